/** A browser has no files to open by their path. */
import { PergradError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Named } from "./bytes.js";
import type { TensorFile } from "./tensor-file.js";

function noFiles(path: string): PergradError {
  return new PergradError(
    "FILE_UNREADABLE",
    `Cannot read "${path}": a browser has no files by path; give the tensors, or an iterable of batches.`,
  );
}

export async function openTensorFile(path: string): Promise<TensorFile> {
  throw noFiles(path);
}

export async function readTensors(path: string): Promise<Map<string, Tensor>> {
  throw noFiles(path);
}

export async function writeTensors(path: string, _tensors: Named<Tensor>): Promise<void> {
  throw new PergradError(
    "FILE_UNWRITABLE",
    `Cannot write "${path}": a browser has no files by path; use the tensors as they are.`,
  );
}
