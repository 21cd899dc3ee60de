/** Generated parts of documents, between `<!-- NAME -->` and `<!-- end of NAME -->`. */
import { readFileSync, writeFileSync } from "node:fs";

/** The text with this part between the marks. Throws if it has no such marks. */
export function between(text: string, name: string, own: string, page = "The page"): string {
  const marked = new RegExp(`(<!-- ${name} -->\n).*?(<!-- end of ${name} -->)`, "s");
  if (!marked.test(text)) throw new Error(`${page} has no place for "${name}".`);
  return text.replace(marked, (_, start: string, end: string) => `${start}${own}\n${end}`);
}

/** The text between the marks, without its last newline. Throws if there are no marks. */
export function betweenMarks(text: string, name: string, page = "The page"): string {
  const found = new RegExp(`<!-- ${name} -->\\n(.*?)\\n<!-- end of ${name} -->`, "s").exec(text)?.[1];
  if (found === undefined) throw new Error(`${page} has no place for "${name}".`);
  return found;
}

/** Writes the part into a page. Throws if the page has no such marks. */
export function putBetween(page: string, name: string, own: string): void {
  writeFileSync(page, between(readFileSync(page, "utf8"), name, own, page));
}
