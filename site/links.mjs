// Links between pages as they are written in the repository, and as the site has them.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Markdown at the repository's root, by its name on the site. */
export const { rootPages } = JSON.parse(readFileSync(new URL("pages.json", import.meta.url), "utf8"));

/**
 * A page's Markdown for the site. A link to another page leads to where that page is on the site; a link to a file of
 * the repository that the site does not have becomes its text.
 * @param folder the page's folder in the repository
 * @param root the repository's root
 */
export function relink(markdown, folder, root) {
  return markdown.replace(/(!?\[([^\]]*)\]\()([\w./-]+)(#[^)]*)?\)/g, (link, before, text, path, part = "") => {
    const file = join(folder, path);
    if (Object.hasOwn(rootPages, file)) return `${before}/${rootPages[file]}${part})`;
    if (file.startsWith("docs/"))
      return file.endsWith(".md") ? `${before}/${file.slice("docs/".length)}${part})` : link;
    return existsSync(join(root, file)) ? text : link;
  });
}
