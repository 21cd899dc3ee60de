/** What the environment asks of the library: read where a caller enters it, and handed on as a value. */
import { debugObserver, debugOf } from "../inspect/debug.js";
import type { Observer } from "../inspect/observe.js";

/** What PERGRAD_DEBUG asks for, printed to stderr; undefined where it asks for nothing. Throws INVALID_ARGUMENT. */
function observerOfEnvironment(): Observer | undefined {
  // A browser has no environment.
  if (typeof process === "undefined") return undefined;
  return debugObserver(debugOf(process.env.PERGRAD_DEBUG), (text) => process.stderr.write(text));
}

/** The options, observed as the environment asks where the caller does not. Throws INVALID_ARGUMENT. */
export function observed<O extends { readonly observe?: Observer }>(options: O): O {
  const observe = options.observe ?? observerOfEnvironment();
  return observe ? { ...options, observe } : options;
}

/** Warns as the environment does: in Node as a process warning; in a browser, in its console. */
export function warn(message: string, code: string): void {
  if (typeof process === "undefined" || typeof process.emitWarning !== "function") console.warn(message);
  else process.emitWarning(message, { type: "PergradWarning", code });
}
