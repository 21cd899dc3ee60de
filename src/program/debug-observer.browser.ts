/** A browser has no environment. */
import type { Observer } from "../inspect/observe.js";

export function observerOfEnvironment(): Observer | undefined {
  return undefined;
}
