/** Tensors that a file stores as they are in memory: parts of them are read when they are needed. */
import { type DType, sizeOf, type Tensor } from "../tensor/tensor.js";
import { type HalfType, storedBytesOf, type TensorLayout, tensorOfBytes } from "./bytes.js";
import { type FileHandle, readSync } from "./file-system.js";

/** The place of a tensor in a file: its elements are contiguous, and the last axis runs fastest. */
export interface TensorPlace {
  readonly type: DType | HalfType;
  readonly dims: readonly number[];
  /** The position of its first byte in the file. */
  readonly position: number;
  /** Default false. */
  readonly bigEndian?: boolean;
}

/** The type and shape of a placed tensor once it is read: half-precision elements are widened. */
export function layoutOf({ type, dims }: TensorPlace): TensorLayout {
  return { dtype: type === "float16" || type === "bfloat16" ? "float32" : type, dims };
}

/** The part between two places of one axis. */
export interface AxisRange {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
}

/** Bytes between two wanted rows that are read along with them, since that costs less than a second read. */
const gap = 2 ** 14;
/** The most bytes that are read at once, unless a row is longer. */
const mostAtOnce = 2 ** 22;
/** The number of concurrent reads: Node has as many threads for them. */
const lanes = 4;
/**
 * A stretch of at most this many bytes is read in this thread: handing it to another thread takes ten times as long as
 * copying it from the system's cache, where a training finds most rows.
 */
const mostHere = 2 ** 15;
/** The number of stretches that are read in this thread before others get their turn. */
const turn = 64;

/** A tensor, or a part of it. Throws if the file ends too early. */
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

/** A stretch of the file that contains wanted rows. */
interface Stretch {
  readonly start: number;
  end: number;
  /** Where each row starts in the file, and its place in the result. */
  readonly rows: (readonly [from: number, to: number])[];
}

/** The rows at these places of an axis, in this order. Throws if the file ends too early. */
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
  /** The number of elements along the axes before. */
  readonly blocks: number;
  /** Bytes of a row. */
  readonly behind: number;
  /** The number of rows in a block. */
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

/** The memory to read a stretch into: for a single row, its place in the result. */
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

/** Reverses the bytes of each element. */
export function swapBytes(bytes: Uint8Array, width: number): void {
  for (let i = 0; width > 1 && i < bytes.length; i += width) bytes.subarray(i, i + width).reverse();
}

/** Exactly these bytes, in a buffer of their own. Throws if the file ends too early. */
export async function readAt(file: FileHandle, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  await fillAt(file, position, bytes);
  return bytes;
}

/** Fills `bytes` from this position on. Throws if the file ends too early. */
export async function fillAt(file: FileHandle, position: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, Math.min(bytes.length - done, 2 ** 30), position + done);
    if (bytesRead === 0) throw new Error(shorter);
    done += bytesRead;
  }
}
