/** Generated parts of documents, between `<!-- NAME -->` and `<!-- end of NAME -->`. */
import { readFileSync, writeFileSync } from "node:fs";

/** The text with this between the marks. Throws where it has none. */
export function between(text: string, name: string, own: string, page = "The page"): string {
  const marked = new RegExp(`(<!-- ${name} -->\n).*?(<!-- end of ${name} -->)`, "s");
  if (!marked.test(text)) throw new Error(`${page} has no place for "${name}".`);
  return text.replace(marked, (_, start: string, end: string) => `${start}${own}\n${end}`);
}

/** What stands between the marks, without the last end of a line. Throws where there are none. */
export function betweenMarks(text: string, name: string, page = "The page"): string {
  const found = new RegExp(`<!-- ${name} -->\\n(.*?)\\n<!-- end of ${name} -->`, "s").exec(text)?.[1];
  if (found === undefined) throw new Error(`${page} has no place for "${name}".`);
  return found;
}

/** Writes it into a page. Throws where that has no such marks. */
export function putBetween(page: string, name: string, own: string): void {
  writeFileSync(page, between(readFileSync(page, "utf8"), name, own, page));
}
