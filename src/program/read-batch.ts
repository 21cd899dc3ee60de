/** All samples of a file at once, as a program takes them. */
import { readTensors } from "../io/files.js";
import { scaledTensors } from "../tensor/scaled.js";
import type { Batch } from "./dataset.js";

/**
 * Those tensors of a file that have one of these names, in the dtypes that they are stored in: bytes with a scale stay
 * bytes. Throws FILE_UNREADABLE.
 */
export async function readBatch(path: string, names: Iterable<string>): Promise<Batch> {
  const wanted = new Set(names);
  return Object.fromEntries([...scaledTensors(await readTensors(path))].filter(([name]) => wanted.has(name)));
}
