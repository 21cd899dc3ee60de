/** Tensors that lie in a file as they are in memory. Parts of them are read when they are needed. */
import { type DType, sizeOf, type Tensor } from "../tensor/tensor.js";
import { type HalfType, storedBytesOf, type TensorLayout, tensorOfBytes } from "./bytes.js";
import { type FileHandle, readSync } from "./file-system.js";

/** Where a tensor lies in a file: its elements one after another, the last axis running fastest. */
export interface TensorPlace {
  readonly type: DType | HalfType;
  readonly dims: readonly number[];
  /** The place of its first byte in the file. */
  readonly position: number;
  /** Default false. */
  readonly bigEndian?: boolean;
}

/** What a placed tensor is when it is read: halves are widened. */
export function layoutOf({ type, dims }: TensorPlace): TensorLayout {
  return { dtype: type === "float16" || type === "bfloat16" ? "float32" : type, dims };
}

/** What lies between two places of one axis. */
export interface AxisRange {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
}

/** Bytes between two wanted rows that are read along with them: that costs less than to ask twice. */
const gap = 2 ** 14;
/** Bytes that are read at once, unless a row is longer. */
const mostAtOnce = 2 ** 22;
/** Reads under way at the same time: as many as Node has threads for them. */
const lanes = 4;
/**
 * A stretch of at most so many bytes is read in this thread: to hand it to another one takes ten times as long as to copy it
 * from the system's memory, where a training finds most rows.
 */
const mostHere = 2 ** 15;
/** Stretches that are read in this thread before others get their turn. */
const turn = 64;

/** A tensor, or a part of it. Throws where the file ends before. */
export async function readPart(file: FileHandle, placed: TensorPlace, part?: AxisRange): Promise<Tensor> {
  const { type, dims, position } = placed;
  if (!part) return elements(placed, dims, await readAt(file, position, sizeOf(dims) * storedBytesOf(type)));
  const { axis, from, to } = part;
  const { blocks, behind, all } = along(placed, axis);
  const length = (to - from) * behind;
  const bytes = new Uint8Array(blocks * length);
  for (let block = 0; block < blocks; block++)
    await fillAt(file, position + (block * all + from) * behind, bytes.subarray(block * length, (block + 1) * length));
  return elements(placed, taken(dims, axis, to - from), bytes);
}

/** A stretch of the file in which some rows are wanted. */
interface Stretch {
  readonly start: number;
  end: number;
  /** Where each row starts in the file, and where it goes in the result. */
  readonly rows: (readonly [from: number, to: number])[];
}

/** The rows at these places of an axis, in this order. Throws where the file ends before. */
export async function readRows(
  file: FileHandle,
  placed: TensorPlace,
  axis: number,
  places: ArrayLike<number>,
): Promise<Tensor> {
  const { blocks, behind, all } = along(placed, axis);
  const bytes = new Uint8Array(blocks * places.length * behind);
  const stretches = stretchesOf(placed.position, { blocks, behind, all }, places);
  const elsewhere: Stretch[] = [];
  let here = 0;
  for (const stretch of stretches)
    if (stretch.end - stretch.start > mostHere) elsewhere.push(stretch);
    else {
      fillHere(file, stretch, behind, bytes);
      if (++here % turn === 0) await new Promise((done) => setImmediate(done));
    }
  const read = async (): Promise<void> => {
    for (let next = elsewhere.shift(); next; next = elsewhere.shift()) await fillFrom(file, next, behind, bytes);
  };
  await Promise.all(Array.from({ length: lanes }, read));
  return elements(placed, taken(placed.dims, axis, places.length), bytes);
}

interface Along {
  /** Of the axes in front. */
  readonly blocks: number;
  /** Bytes of a row. */
  readonly behind: number;
  /** Rows in a block. */
  readonly all: number;
}

function along({ type, dims }: TensorPlace, axis: number): Along {
  return {
    blocks: sizeOf(dims.slice(0, axis)),
    behind: sizeOf(dims.slice(axis + 1)) * storedBytesOf(type),
    all: dims[axis] ?? 0,
  };
}

function stretchesOf(position: number, { blocks, behind, all }: Along, places: ArrayLike<number>): Stretch[] {
  const order = Array.from(places, (place, k) => [place, k] as const).sort(([a], [b]) => a - b);
  const found: Stretch[] = [];
  for (let block = 0; block < blocks && behind > 0; block++)
    for (const [place, k] of order) {
      const start = position + (block * all + place) * behind;
      const row = [start, (block * places.length + k) * behind] as const;
      const last = found[found.length - 1];
      if (last && start - last.end <= gap && start + behind - last.start <= mostAtOnce) {
        last.rows.push(row);
        last.end = Math.max(last.end, start + behind);
      } else found.push({ start, end: start + behind, rows: [row] });
    }
  return found;
}

async function fillFrom(file: FileHandle, stretch: Stretch, behind: number, bytes: Uint8Array): Promise<void> {
  const into = targetOf(stretch, behind, bytes);
  await fillAt(file, stretch.start, into);
  copyRows(stretch, into, behind, bytes);
}

function fillHere(file: FileHandle, stretch: Stretch, behind: number, bytes: Uint8Array): void {
  const into = targetOf(stretch, behind, bytes);
  for (let done = 0; done < into.length; ) {
    const read = readSync(file.fd, into, done, into.length - done, stretch.start + done);
    if (read === 0) throw new Error(shorter);
    done += read;
  }
  copyRows(stretch, into, behind, bytes);
}

/** Where a stretch is read to: one row, to its place at once. */
function targetOf({ start, end, rows }: Stretch, behind: number, bytes: Uint8Array): Uint8Array {
  const [first] = rows;
  return rows.length === 1 && first ? bytes.subarray(first[1], first[1] + behind) : new Uint8Array(end - start);
}

function copyRows({ start, rows }: Stretch, read: Uint8Array, behind: number, bytes: Uint8Array): void {
  if (rows.length === 1) return;
  for (const [from, to] of rows) bytes.set(read.subarray(from - start, from - start + behind), to);
}

const shorter = "it became shorter while it was read";

function taken(dims: readonly number[], axis: number, count: number): number[] {
  return dims.map((dim, k) => (k === axis ? count : dim));
}

function elements(
  { type, bigEndian = false }: TensorPlace,
  dims: readonly number[],
  bytes: Uint8Array<ArrayBuffer>,
): Tensor {
  if (bigEndian) swapBytes(bytes, storedBytesOf(type));
  return tensorOfBytes(type, dims, bytes.buffer);
}

/** Turns the bytes of each element around. */
export function swapBytes(bytes: Uint8Array, width: number): void {
  for (let i = 0; width > 1 && i < bytes.length; i += width) bytes.subarray(i, i + width).reverse();
}

/** Exactly these bytes, in a buffer of their own. Throws where the file ends before. */
export async function readAt(file: FileHandle, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  await fillAt(file, position, bytes);
  return bytes;
}

/** Fills the bytes from there on. Throws where the file ends before. */
export async function fillAt(file: FileHandle, position: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, Math.min(bytes.length - done, 2 ** 30), position + done);
    if (bytesRead === 0) throw new Error(shorter);
    done += bytesRead;
  }
}
