import { existsSync, readFileSync } from "node:fs";

/** What is read of package.json. */
export interface PackageFile {
  readonly version?: string;
  readonly engines?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Our own package.json, which lies further up from the sources than from a build of them; empty where there is none. */
export function packageFile(): PackageFile {
  for (let folder = new URL("./", import.meta.url); ; folder = new URL("../", folder)) {
    const file = new URL("package.json", folder);
    if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8"));
    if (folder.pathname === "/" || folder.href === new URL("../", folder).href) return {};
  }
}

export function version(): string {
  return packageFile().version ?? "unknown";
}
