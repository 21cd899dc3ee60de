/** A model in a folder, with files beside it. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** The files in the model's folder besides the model. Their paths may leave it, but not the folder around it. */
export type Beside =
  | { readonly path: string; readonly bytes: Uint8Array }
  /** A file with that many zeros, which take no space on most file systems. */
  | { readonly path: string; readonly zeros: number }
  | { readonly path: string; readonly link: string }
  | { readonly path: string; readonly folder: true };

export async function inFolder<T>(
  model: Uint8Array,
  files: readonly Beside[],
  use: (path: string) => Promise<T>,
): Promise<T> {
  const around = mkdtempSync(join(tmpdir(), "pergrad-fuzz-"));
  try {
    const folder = join(around, "model");
    mkdirSync(folder);
    writeFileSync(join(folder, "model.onnx"), model);
    for (const file of files) place(folder, file);
    return await use(join(folder, "model.onnx"));
  } finally {
    rmSync(around, { recursive: true, force: true });
  }
}

function place(folder: string, file: Beside): void {
  const path = join(folder, file.path);
  mkdirSync(dirname(path), { recursive: true });
  if ("bytes" in file) writeFileSync(path, file.bytes);
  else if ("link" in file) symlinkSync(file.link, path);
  else if ("folder" in file) mkdirSync(path);
  else {
    writeFileSync(path, "");
    truncateSync(path, file.zeros);
  }
}
