/** A browser has no file system: readers are given the contents of files instead. */
import type { FileHandle } from "node:fs/promises";

export type { FileHandle };

const reason = "a browser has no files by path; give what the file holds";

export async function open(_path: string): Promise<FileHandle> {
  throw new Error(reason);
}

export async function access(_path: string): Promise<void> {
  throw new Error(reason);
}

export function readSync(): number {
  throw new Error(reason);
}

export async function readFile(_path: string): Promise<Uint8Array> {
  throw new Error(reason);
}
