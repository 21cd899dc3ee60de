/** Reads the environment where a caller enters the library; from there on it is a value. */
import type { Observer } from "../inspect/observe.js";
import { observerOfEnvironment } from "./debug-observer.js";

/** The options, with the environment's observer if they have none. Throws INVALID_ARGUMENT. */
export function observed<O extends { readonly observe?: Observer }>(options: O): O {
  const observe = options.observe ?? observerOfEnvironment();
  return observe ? { ...options, observe } : options;
}

/** Warns: in Node by a process warning, in a browser in the console. */
export function warn(message: string, code: string): void {
  if (typeof process === "undefined" || typeof process.emitWarning !== "function") console.warn(message);
  else process.emitWarning(message, { type: "PergradWarning", code });
}
