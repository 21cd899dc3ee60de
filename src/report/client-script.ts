/** The scripts of pages, as the build packed them with ECharts. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { defect } from "../errors.js";

/** As seen from packed modules, from dist/src, and from the sources. */
const folders = ["../report", "../../report", "../../dist/report"];

/**
 * "client" is the script of reports, "training" that of a training's page. Throws INTERNAL if the build did not make
 * it.
 */
export async function clientScript(name: "client" | "training"): Promise<string> {
  const paths = folders.map((folder) => fileURLToPath(new URL(`${folder}/${name}.js`, import.meta.url)));
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw defect("the script of reports is not where the build puts it");
  return readFile(found, "utf8");
}
