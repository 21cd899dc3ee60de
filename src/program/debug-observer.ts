/** What the environment says of how a compile is watched. */
import { debugObserver, debugOf } from "../inspect/debug.js";
import type { Observer } from "../inspect/observe.js";

/** An observer that prints to stderr what PERGRAD_DEBUG asks for; undefined if it asks for nothing. Throws INVALID_ARGUMENT. */
export function observerOfEnvironment(): Observer | undefined {
  return debugObserver(debugOf(process.env.PERGRAD_DEBUG), (text) => process.stderr.write(text));
}
