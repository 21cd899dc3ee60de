/** Writes a report: the page, and its numbers as CSV and JSON beside it. */
import { writeFileSafely } from "../io/atomic.js";
import { requireOwnBeside } from "../io/beside.js";
import { csvOf } from "../io/table.js";
import { clientScript } from "./client-script.js";
import { jsonOf, pageOf, tableOf } from "./page.js";
import type { ReportContent } from "./types.js";

/** The page, and the files of its numbers. */
export function pageFiles(out: string): readonly [page: string, csv: string, json: string] {
  const stem = out.replace(/\.html?$/i, "");
  return [out, `${stem}.csv`, `${stem}.json`];
}

/**
 * Refuses to overwrite files that do not belong to an earlier page of this name. Throws FILE_UNWRITABLE.
 * @param written a file of the page's numbers that the caller writes instead
 */
export async function requireOwnFiles(out: string, written?: string): Promise<void> {
  const [page, ...beside] = pageFiles(out);
  await requireOwnBeside(
    "page",
    page,
    beside.filter((file) => file !== written),
  );
}

/**
 * Throws FILE_UNWRITABLE. Returns the paths of the page and of its numbers, the page first.
 * @param written a file of the page's numbers that the caller has written instead
 */
export async function writePage(content: ReportContent, out: string, written?: string): Promise<string[]> {
  await requireOwnFiles(out, written);
  const [, ...files] = pageFiles(out);
  const page = pageOf(
    content,
    await clientScript("client"),
    files.map((file) => file.replace(/^.*[\\/]/s, "")),
  );
  const encode = (text: string) => new TextEncoder().encode(text);
  const [csv, json] = files;
  if (csv !== written) await writeFileSafely(csv, encode(csvOf(tableOf(content))));
  if (json !== written) await writeFileSafely(json, encode(jsonOf(content)));
  await writeFileSafely(out, encode(page));
  return [out, ...files];
}
