/** Reads the environment where a caller enters the library; from there on it is a value. */
import { debugObserver, debugOf } from "../inspect/debug.js";
import type { Observer } from "../inspect/observe.js";

/** An observer that prints to stderr what PERGRAD_DEBUG asks for; undefined if it asks for nothing. Throws INVALID_ARGUMENT. */
function observerOfEnvironment(): Observer | undefined {
  // A browser has no environment.
  if (typeof process === "undefined") return undefined;
  return debugObserver(debugOf(process.env.PERGRAD_DEBUG), (text) => process.stderr.write(text));
}

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
