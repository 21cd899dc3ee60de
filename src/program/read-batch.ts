/** All samples of a file at once, as a program takes them. */
import { readTensors } from "../io/files.js";
import { scaledTensors } from "../tensor/scaled.js";
import type { Batch } from "./dataset.js";
import { idsIn } from "./sample-names.js";

/**
 * Those tensors of a file that have one of these names, in the dtypes that they are stored in (bytes with a scale stay
 * bytes), and what the file calls its samples. Throws FILE_UNREADABLE.
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
