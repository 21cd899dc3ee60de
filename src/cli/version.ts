import { existsSync, readFileSync } from "node:fs";

/** The version in package.json, which lies further up from the sources than from a build of them. */
export function version(): string {
  for (let folder = new URL("./", import.meta.url); ; folder = new URL("../", folder)) {
    const file = new URL("package.json", folder);
    if (existsSync(file)) return String(JSON.parse(readFileSync(file, "utf8")).version);
    if (folder.pathname === "/" || folder.href === new URL("../", folder).href) return "unknown";
  }
}
