/** A browser has no files to open by their path. */
import { PergradError } from "../errors.js";
import type { TensorFile } from "./files.js";

export async function openTensorFile(path: string): Promise<TensorFile> {
  throw new PergradError(
    "FILE_UNREADABLE",
    `Cannot read "${path}": a browser has no files by path; give the tensors, or an iterable of batches.`,
  );
}
