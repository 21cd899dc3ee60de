/** The names of classes on the command line. */
import { readFile } from "node:fs/promises";
import { PergradError } from "../errors.js";
import { unreadable } from "../io/failure.js";

/**
 * "cat,dog", or the name of a .json file that holds a list of texts, as `pergrad pack` writes them.
 * @throws PergradError FILE_UNREADABLE.
 */
export async function classesOf(given: string): Promise<readonly string[]> {
  if (!/\.json$/i.test(given)) return given.split(",");
  const text = await readFile(given, "utf8").catch((error: unknown) => {
    throw unreadable(given, error);
  });
  const found = parsed(text);
  if (Array.isArray(found) && found.every((name) => typeof name === "string")) return found;
  throw new PergradError("FILE_UNREADABLE", `"${given}" is no JSON list of texts; write it as ["cat", "dog"].`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
