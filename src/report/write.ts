/** Writes a report: the page, and its numbers as CSV and JSON beside it. */
import { PergradError } from "../errors.js";
import { writeFileSafely } from "../io/atomic.js";
import { access } from "../io/file-system.js";
import { csvOf } from "../io/table.js";
import { clientScript } from "./client-script.js";
import { jsonOf, pageOf, tableOf } from "./page.js";
import type { ReportContent } from "./types.js";

/** The page, and the files of its numbers. */
export function pageFiles(out: string): readonly [page: string, csv: string, json: string] {
  const stem = out.replace(/\.html?$/i, "");
  return [out, `${stem}.csv`, `${stem}.json`];
}

/** Refuses to overwrite files that do not belong to an earlier page of this name. Throws FILE_UNWRITABLE. */
export async function requireOwnFiles(out: string): Promise<void> {
  const isThere = (path: string) =>
    access(path).then(
      () => true,
      () => false,
    );
  const [page, ...beside] = pageFiles(out);
  if (await isThere(page)) return;
  for (const file of beside) {
    if (!(await isThere(file))) continue;
    throw new PergradError(
      "FILE_UNWRITABLE",
      `The page "${page}" comes with "${file}", which is there already and is of no page before; give the page another name.`,
    );
  }
}

/** Throws FILE_UNWRITABLE. Returns the paths of the written files, the page first. */
export async function writePage(content: ReportContent, out: string): Promise<string[]> {
  await requireOwnFiles(out);
  const [, ...files] = pageFiles(out);
  const page = pageOf(
    content,
    await clientScript("client"),
    files.map((file) => file.replace(/^.*[\\/]/s, "")),
  );
  const encode = (text: string) => new TextEncoder().encode(text);
  await writeFileSafely(files[0], encode(csvOf(tableOf(content))));
  await writeFileSafely(files[1], encode(jsonOf(content)));
  await writeFileSafely(out, encode(page));
  return [out, ...files];
}
