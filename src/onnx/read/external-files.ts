/**
 * Weights in files next to the model's file: found by its path, never outside its folder, and read into its tensors.
 */
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import type { ModelProto } from "onnx-buf";
import { unreadable } from "../../io/failure.js";
import { readAt } from "../../io/rows.js";
import { checkSize, checkTotal, fileError, fill, type Range, rangesElsewhere } from "./external.js";

/**
 * Reads the data that the model at `path` stores in other files into its tensors, which then hold their bytes
 * themselves, each in a buffer of its own. Initializers that nothing reads stay in their files.
 * @throws PergradError INVALID_MODEL, FILE_UNREADABLE, TOO_LARGE.
 */
export async function readExternalData(model: ModelProto, path: string): Promise<void> {
  const ranges = rangesElsewhere(model);
  if (ranges.length === 0) return;
  const folders = await foldersOf(path);
  const files = new Map<string, Range[]>();
  const found = new Map<string, string>();
  for (const range of ranges) {
    const file = found.get(range.location) ?? (await locate(range, folders));
    found.set(range.location, file);
    const inFile = files.get(file);
    if (inFile) inFile.push(range);
    else files.set(file, [range]);
  }
  for (const [file, inFile] of files) {
    const { size } = await stat(file);
    checkSize(file, size, inFile);
    checkTotal(file, size, inFile);
  }
  for (const [file, inFile] of files) await readRanges(file, inFile);
}

/** The folder of the model's path and, if that is a symbolic link, the folder of the file itself. */
async function foldersOf(path: string): Promise<string[]> {
  try {
    return [...new Set([await realpath(dirname(path)), dirname(await realpath(path))])];
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** The real path of a file. It may be in either folder: caches link models and their data into one store. */
async function locate({ location, what }: Range, folders: readonly string[]): Promise<string> {
  const problems: unknown[] = [];
  for (const folder of folders) {
    const file = await realpath(join(folder, location)).catch((error: unknown) => void problems.push(error));
    if (file === undefined) continue;
    if (!folders.some((allowed) => isInside(file, allowed))) {
      const problem = `${what} is stored in "${location}", a link to "${file}" outside the model's folder`;
      throw fileError(`${problem}, where pergrad does not read; put the file itself beside the model`);
    }
    if ((await stat(file)).isFile()) return file;
    throw fileError(`${what} is stored in "${location}", but "${file}" is not a file; put the model's data there`);
  }
  const [cause] = problems;
  const { message } = unreadable(join(folders[0] ?? "", location), cause);
  throw fileError(
    `${what} is stored outside the model: ${message.slice(0, -1)}; put that file beside the model`,
    cause,
  );
}

function isInside(file: string, folder: string): boolean {
  const path = relative(folder, file);
  return path !== ".." && !path.startsWith(`..${sep}`) && !isAbsolute(path);
}

/** Tensors may share bytes of the file (tied weights); in memory each has its own. */
async function readRanges(path: string, ranges: readonly Range[]): Promise<void> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    for (const range of [...ranges].sort((a, b) => a.offset - b.offset))
      fill(range, await readAt(file, range.offset, range.length));
  } catch (error) {
    throw unreadable(path, error);
  } finally {
    await file?.close();
  }
}
