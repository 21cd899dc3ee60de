/** A page's runtime does not run at once, and then neither results nor inputs are searched in this way. */
import type { Value } from "../../graph/value.js";

export const isLarge = (_: Value): boolean => false;

export const isLargeInput = (_: Value): boolean => false;

export const witnessOf = (_: readonly Value[], __: readonly Value[]): Value | null => null;
