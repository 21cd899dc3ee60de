/** Data sets that are read more than once. */
import { PergradError } from "../errors.js";
import type { Dataset } from "../program/given-data.js";

/**
 * @param why the end of a sentence: "every product reads all of it"
 * @throws PergradError INVALID_ARGUMENT.
 */
export function requireAgain(data: Dataset, why: string): void {
  if (typeof data !== "object" || data === null) return;
  const once =
    (Symbol.asyncIterator in data && Object.is(data[Symbol.asyncIterator](), data)) ||
    (Symbol.iterator in data && Object.is(data[Symbol.iterator](), data));
  if (once)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The data can be read only once, but ${why}; give a batch, a file's path, or an object whose [Symbol.asyncIterator] starts again each time.`,
    );
}
