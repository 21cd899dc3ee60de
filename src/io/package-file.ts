import { existsSync, readFileSync } from "node:fs";

/** The parts of package.json that are read. */
export interface PackageFile {
  readonly version?: string;
  readonly engines?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Our own package.json, which is further up from a build than from the sources; empty if there is none. */
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
