/** The names of classes that the caller gives: the same numbers in every file. */
import { invalidArgument } from "../arguments.js";
import { PergradError } from "../errors.js";
import { listed } from "../meant.js";
import { option, sentence } from "../sentence.js";

/** Throws INVALID_ARGUMENT unless these are different texts, at least one. */
export function checkClasses(classes: readonly string[] | undefined): void {
  if (classes === undefined) return;
  const given: unknown = classes;
  if (!Array.isArray(given) || given.length === 0 || given.some((name) => typeof name !== "string" || name === ""))
    throw invalidArgument(sentence`${option("classes")} must be a list of texts, at least one; name all classes.`);
  const twice = classes.find((name, k) => classes.indexOf(name) < k);
  if (twice !== undefined)
    throw invalidArgument(sentence`${option("classes")} names "${twice}" twice; name each class once.`);
}

/** @param found the beginning of the sentence: what holds which class, and where */
export function unknownClass(found: string, classes: readonly string[]): PergradError {
  return new PergradError(
    "LABEL_OUT_OF_RANGE",
    sentence`${found}, which is none of the classes ${listed(classes, 10)}; correct it, or add it to ${option("classes")}.`,
  );
}
