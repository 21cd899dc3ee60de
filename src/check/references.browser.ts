/** The reference of one check: in a browser, in the thread that asks. */
import { InThisThread, type References } from "./in-this-thread.js";
import type { ReferenceParts } from "./oracle.js";

export function referencesOf(parts: ReferenceParts): References {
  return new InThisThread(parts);
}
