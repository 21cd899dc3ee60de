/** The script of a page, as the build packed it with ECharts. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { defect } from "../errors.js";

/** From packed modules, from dist/src, and from the sources. */
const places = ["../report/client.js", "../../report/client.js", "../../dist/report/client.js"];

/** Throws INTERNAL where the build left it out. */
export async function clientScript(): Promise<string> {
  const found = places.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((path) => existsSync(path));
  if (found === undefined) throw defect("the script of reports is not where the build puts it");
  return readFile(found, "utf8");
}
