/** Reads all samples of a file at once, as a program takes them. */
import { readTensors } from "../io/files.js";
import { scaledTensors } from "../tensor/scaled.js";
import type { Batch } from "./given-data.js";
import { idsIn } from "./sample-names.js";

/**
 * The tensors of a file that have one of these names, in the dtypes of the file (bytes with a scale stay bytes), and the names
 * of its samples, if it has any. Throws FILE_UNREADABLE.
 */
export async function readNamed(
  path: string,
  names: Iterable<string>,
): Promise<{ readonly batch: Batch; readonly ids?: readonly string[] }> {
  const wanted = new Set(names);
  const tensors = scaledTensors(await readTensors(path));
  const ids = idsIn(tensors, wanted)?.names;
  const batch = Object.fromEntries([...tensors].filter(([name]) => wanted.has(name)));
  return { batch, ...(ids ? { ids } : {}) };
}
