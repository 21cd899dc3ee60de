import { open, readFile } from "node:fs/promises";
import { basename } from "node:path";
import { PergradError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { openNpyFile, openNpzFile } from "./arrays-file.js";
import { AtomicFile } from "./atomic.js";
import { bytesOfArray, entriesOf, type Named, type TensorLayout } from "./bytes.js";
import { unreadable } from "./failure.js";
import { decodeNpy, NpyError, npyHeader } from "./npy.js";
import { openNpz, readNpz } from "./npz.js";
import { otherFormat } from "./other-formats.js";
import { openSafetensors, readSafetensors, SafetensorsFile } from "./safetensors.js";
import type { TensorFile } from "./tensor-file.js";
import type { TensorWriter } from "./writer.js";

type Format = "safetensors" | "npz" | "npy";

/** Reads the tensors of a safetensors or .npz file, distinguished by their first bytes, in the order of the file. */
export async function readTensors(path: string): Promise<Map<string, Tensor>> {
  const format = await formatOf(path);
  if (format === "npz") return readNpz(path);
  if (format === "npy") return readNpy(path);
  return (await readSafetensors(path)).tensors;
}

/**
 * Opens a file to read it in parts. Tensors that are not stored as they are in memory (compressed members of an .npz,
 * arrays whose first axis runs fastest) are read whole, and held. Throws FILE_UNREADABLE.
 */
export async function openTensorFile(path: string): Promise<TensorFile> {
  const format = await formatOf(path);
  if (format === "safetensors") return SafetensorsFile.open(path);
  return format === "npy" ? openNpyFile(path) : openNpzFile(path);
}

/** Writes the tensors in the format that the extension names; nothing appears under that name if it fails. */
export async function writeTensors(path: string, tensors: Named<Tensor>): Promise<void> {
  if (/\.npy$/i.test(path)) return writeNpy(path, tensors);
  const writer = await openTensors(path, tensors);
  try {
    for (const [name, { data }] of entriesOf(tensors)) await writer.write(name, 0, data);
    await writer.commit();
  } finally {
    await writer.abort();
  }
}

/** Starts a file of tensors that are written piece by piece. Only safetensors goes straight to disk. */
export async function openTensors(path: string, layout: Named<TensorLayout>): Promise<TensorWriter> {
  const format = formatToWrite(path);
  return format === "npz" ? openNpz(path, layout) : openSafetensors(path, layout);
}

/** Checks, as far as the name shows it, that a result can be written here, before the work starts. */
export function formatToWrite(path: string): Format {
  const extension = /\.(safetensors|npz)$/i.exec(path)?.[1]?.toLowerCase();
  if (extension === "safetensors" || extension === "npz") return extension;
  const advice = "its name must end in .safetensors or .npz, which says the format";
  throw new PergradError("FILE_UNWRITABLE", `Cannot write "${path}": ${advice}.`);
}

async function formatOf(path: string): Promise<Format> {
  const start = await firstBytes(path);
  const other = otherFormat(path, start);
  if (other !== undefined) throw new PergradError("FILE_UNREADABLE", `Cannot read "${path}": ${other}.`);
  if (start.startsWith("PK")) return "npz";
  if (start.startsWith("\x93NUMPY")) return "npy";
  return /\.npz$/i.test(path) ? "npz" : "safetensors";
}

/** The array of an .npy file, under the name of the file. Throws FILE_UNREADABLE. */
async function readNpy(path: string): Promise<Map<string, Tensor>> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    return new Map([[basename(path).replace(/\.npy$/i, ""), decodeNpy(bytes)]]);
  } catch (error) {
    if (error instanceof NpyError)
      throw new PergradError("FILE_UNREADABLE", `"${path}" is not a readable .npy file: it ${error.message}.`);
    throw error;
  }
}

/** Throws FILE_UNWRITABLE. */
async function writeNpy(path: string, tensors: Named<Tensor>): Promise<void> {
  const entries = entriesOf(tensors);
  const [first] = entries;
  if (!first || entries.length > 1)
    throw new PergradError(
      "FILE_UNWRITABLE",
      `Cannot write "${path}": an .npy file holds one tensor, not ${entries.length}, so give its name the extension .npz or .safetensors.`,
    );
  const [header, elements] = [npyHeader(first[1]), bytesOfArray(first[1].data)];
  const file = await AtomicFile.create(path);
  await file.write(header, 0);
  await file.write(elements, header.length);
  await file.commit();
}

/** The number of bytes from which a format is recognised. */
const sniffed = 512;

async function firstBytes(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(sniffed), 0, sniffed, 0);
      return buffer.toString("latin1", 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}
