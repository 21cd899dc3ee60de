/** Writes a report: the page, and its numbers as CSV and JSON beside it. */
import { writeFileSafely } from "../io/atomic.js";
import { csvOf } from "../io/table.js";
import { clientScript } from "./client-script.js";
import { jsonOf, pageOf, tableOf } from "./page.js";
import type { ReportContent } from "./types.js";

/** Throws FILE_UNWRITABLE. Returns the paths of what was written, the page first. */
export async function writePage(content: ReportContent, out: string): Promise<string[]> {
  const stem = out.replace(/\.html?$/i, "");
  const files = [`${stem}.csv`, `${stem}.json`] as const;
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
