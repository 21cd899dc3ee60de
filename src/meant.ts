/** Names and numbers in messages: the name that was probably meant, the first few of many, and how many there are. */
import { distance } from "fastest-levenshtein";

/** The name that `text` most likely stands for or is a part of; undefined if none is close. */
export function nearest(text: string, names: readonly string[]): string | undefined {
  const plain = normal(text);
  const found = names
    .map((name) => ({ name, errors: distance(plain, normal(name)) }))
    .filter(({ name, errors }) => {
      const length = Math.max(plain.length, normal(name).length);
      // Names without a letter in common are not close, however short.
      return errors < length && errors <= maxErrors(length);
    })
    .sort((a, b) => a.errors - b.errors)[0];
  return found?.name ?? (plain.length > 3 ? names.find((name) => normal(name).includes(plain)) : undefined);
}

/** `; did you mean "x"?`, or nothing if no name is close. */
export function meant(text: string, names: readonly string[]): string {
  const found = nearest(text, names);
  return found === undefined ? "" : `; did you mean "${found}"?`;
}

/** The first `most` of some names or numbers, and how many more there are: "a, b and 3 more". */
export function listed(all: readonly (string | number)[], most: number, more = "more"): string {
  const rest = all.length > most ? ` and ${all.length - most} ${more}` : "";
  return all.slice(0, most).join(", ") + rest;
}

/** A number and what it counts: "1 sample", "3 samples", "2 classes". */
export function counted(count: number, what: string, many = `${what}s`): string {
  return `${count} ${count === 1 ? what : many}`;
}

/** Ignores case, and the characters that join words. */
function normal(text: string): string {
  return text.toLowerCase().replaceAll(/[-_ ]/g, "");
}

/** One letter in three may be wrong; two letters that changed places count as two errors. */
function maxErrors(length: number): number {
  return Math.max(length > 3 ? 2 : 1, Math.floor(length / 3));
}
