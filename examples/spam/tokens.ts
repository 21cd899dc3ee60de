/** Words, and their numbers. */
import type { Mail } from "./mails.js";

/** Numbers of the words that have a special meaning. */
export const special = { padding: 0, unknown: 1, ham: 2, spam: 3, body: 4 } as const;
const names = ["<padding>", "<unknown>", "<ham>", "<spam>", "<body>"];

/**
 * The words of a text in lower case, the names of HTML tags ("<font"), and one sign each for runs of digits ("0"), "$" and
 * "!". Nothing else of HTML is kept, and no word longer than 20 letters.
 */
export function wordsOf(text: string): string[] {
  const plain = text.toLowerCase().replace(/<(\/?[a-z]\w*)[^<>]*>/g, " <$1 ");
  const found = plain.match(/<\/?[a-z]\w*|[\p{L}][\p{L}']*|\d+|[$!]/gu) ?? [];
  return found.map((word) => (/^\d/.test(word) ? "0" : word)).filter((word) => word.length <= 20);
}

/** Subject and body, one after the other, at most `length` words. */
export function wordsOfMail({ subject, body }: Pick<Mail, "subject" | "body">, length: number): string[] {
  // The beginning of the body is enough for that many words: attachments may take megabytes.
  return [...wordsOf(subject), "<body>", ...wordsOf(body.slice(0, 50 * length))].slice(0, length);
}

/** The most frequent words, with their numbers; words with a special meaning come first. */
export function vocabularyOf(texts: Iterable<readonly string[]>, size: number): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const words of texts) for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  for (const name of names) counts.delete(name);
  // Words with equal counts are sorted alphabetically, so that the order of the texts does not matter.
  const byCount = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([word]) => word);
  return new Map([...names, ...byCount].slice(0, Math.max(size, names.length)).map((word, k) => [word, k]));
}

/** The words' numbers, padded to `length`. */
export function encode(words: readonly string[], vocabulary: ReadonlyMap<string, number>, length: number): bigint[] {
  const numbers = words.slice(0, length).map((word) => vocabulary.get(word) ?? special.unknown);
  return [...numbers, ...Array<number>(length - numbers.length).fill(special.padding)].map(BigInt);
}
