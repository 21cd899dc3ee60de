/** Lists in files: names and texts of samples, names of classes. */
import { PergradError } from "../errors.js";
import { textIn } from "../io/text-file.js";
import { counted } from "../meant.js";

/**
 * A line for each sample; or an entry of a JSON list, in which a text may have several lines.
 * @throws PergradError FILE_UNREADABLE, BATCH_MISMATCH.
 */
export async function entriesIn(path: string, samples: number): Promise<readonly string[]> {
  const text = await textIn(path);
  const found = jsonEntries(path, text) ?? linesOf(text);
  if (found.length === samples) return found;
  throw new PergradError(
    "BATCH_MISMATCH",
    `"${path}" has ${counted(found.length, "entry", "entries")} for ${counted(samples, "sample")}; give one line, or one element of a JSON array, for each.`,
  );
}

function linesOf(text: string): readonly string[] {
  return text === "" ? [] : text.replace(/\r?\n$/, "").split(/\r?\n/);
}

/** Undefined if the file holds lines. */
function jsonEntries(path: string, text: string): readonly string[] | undefined {
  const found = parsed(text);
  if (Array.isArray(found)) return found.map((entry, k) => entryOf(path, entry, k));
  if (!isJson(path)) return undefined;
  throw new PergradError("FILE_UNREADABLE", `"${path}" is no JSON list; correct it.`);
}

function entryOf(path: string, entry: unknown, k: number): string {
  if (typeof entry === "string" || typeof entry === "number") return String(entry);
  throw new PergradError(
    "FILE_UNREADABLE",
    `The entry ${k} of the list in "${path}" is ${JSON.stringify(entry)}; write a text or a number.`,
  );
}

/**
 * "cat,dog", or the name of a .json file that holds a list of texts, as `pergrad pack` writes them.
 * @throws PergradError FILE_UNREADABLE.
 */
export async function classesOf(given: string): Promise<readonly string[]> {
  if (!isJson(given)) return given.split(",");
  const found = parsed(await textIn(given));
  if (Array.isArray(found) && found.every((name) => typeof name === "string")) return found;
  throw new PergradError("FILE_UNREADABLE", `"${given}" is no JSON list of texts; write it as ["cat", "dog"].`);
}

function isJson(path: string): boolean {
  return /\.json$/i.test(path);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
