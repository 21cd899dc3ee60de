/** NumPy's .npy format, versions 1 to 3: a Python dict as header, then the elements. */
import { type DType, sizeOf, type Tensor, type TypedArray, tensor } from "../tensor/tensor.js";
import { tensorOfTexts } from "../tensor/texts.js";
import { type HalfType, storedBytesOf, type TensorLayout, tensorOfBytes } from "./bytes.js";
import { swapBytes, type TensorPlace } from "./rows.js";

/** What is wrong with an array; the reader of the file adds its name and that of the file. */
export class NpyError extends Error {}

const codes: Record<DType, string> = {
  float32: "<f4",
  float64: "<f8",
  float16: "<f2",
  int64: "<i8",
  int32: "<i4",
  int16: "<i2",
  int8: "|i1",
  uint64: "<u8",
  uint32: "<u4",
  uint16: "<u2",
  uint8: "|u1",
  bool: "|b1",
};
const types = new Map<string, DType | HalfType>([
  ...(Object.entries(codes) as [DType, string][]).map(([dtype, code]) => [code.slice(1), dtype] as const),
]);

/** Texts of a fixed length: in letters (NumPy's "U") or bytes ("S"). */
interface TextType {
  readonly letters: number;
  readonly bytesEach: 1 | 4;
}

interface Header {
  readonly type: DType | HalfType | TextType;
  readonly dims: readonly number[];
  readonly bigEndian: boolean;
  readonly columnMajor: boolean;
  /** Where the elements start. */
  readonly start: number;
}

/**
 * Decodes one array into row-major little-endian order; float16 becomes float32, and a list of texts uint8 `[N, length]` in
 * UTF-8. Throws NpyError.
 */
export function decodeNpy(bytes: Uint8Array): Tensor {
  const { type, dims, bigEndian, columnMajor, start } = parseHeader(bytes);
  const width = typeof type === "string" ? storedBytesOf(type) : type.letters * type.bytesEach;
  requireSize(dims, width, bytes.length - start);
  const data = new Uint8Array(bytes.subarray(start)); // a copy, for alignment
  if (bigEndian) swapBytes(data, typeof type === "string" ? width : type.bytesEach);
  if (typeof type !== "string") return textsIn(data, type, dims);
  const stored = tensorOfBytes(type, dims, data.buffer);
  return columnMajor && dims.length > 1 ? tensor(stored.dtype, dims, toRowMajor(stored.data, dims)) : stored;
}

/**
 * The place of an array's elements, counted from its first byte; null if they are not stored as they are in memory, or
 * if the header does not end within these bytes. Throws NpyError.
 * @param bytes the first bytes
 * @param size the number of all bytes
 */
export function npyPlace(bytes: Uint8Array, size: number): TensorPlace | null {
  const header = attempt(() => parseHeader(bytes));
  if (!header || typeof header.type !== "string" || (header.columnMajor && header.dims.length > 1)) return null;
  const { type, dims, bigEndian, start } = header;
  requireSize(dims, storedBytesOf(type), size - start);
  return { type, dims, bigEndian, position: start };
}

/** Header errors are reported when the whole array is decoded. */
function attempt(parse: () => Header): Header | null {
  try {
    return parse();
  } catch (error) {
    if (error instanceof NpyError) return null;
    throw error;
  }
}

/** Throws NpyError. */
function requireSize(dims: readonly number[], width: number, size: number): void {
  const needed = sizeOf(dims) * width;
  if (needed !== size) throw new NpyError(`needs ${needed} bytes for its shape [${dims.join(", ")}] and has ${size}`);
}

/** Throws NpyError. */
function textsIn(data: Uint8Array, { letters, bytesEach }: TextType, dims: readonly number[]): Tensor {
  const [samples] = dims;
  if (samples === undefined || dims.length !== 1)
    throw new NpyError(`holds texts [${dims.join(", ")}], and pergrad reads lists of texts alone, so save a list`);
  const view = new DataView(data.buffer);
  const decoder = new TextDecoder();
  const width = letters * bytesEach;
  const texts = Array.from({ length: samples }, (_, n) => {
    if (bytesEach === 1) return decoder.decode(data.subarray(n * width, (n + 1) * width));
    const points = Array.from({ length: letters }, (_, k) => view.getUint32(n * width + 4 * k, true));
    if (points.some((point) => point > 0x10ffff)) throw new NpyError("holds texts with letters that do not exist");
    return String.fromCodePoint(...points);
  });
  return tensorOfTexts(texts);
}

function parseHeader(bytes: Uint8Array): Header {
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY
  if (bytes.length < 12 || magic.some((byte, i) => bytes[i] !== byte)) throw new NpyError("is not a .npy array");
  const version = bytes[6] ?? 0;
  if (version < 1 || version > 3) throw new NpyError(`is of .npy version ${version}, and only 1 to 3 exist`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const from = version === 1 ? 10 : 12;
  const start = from + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (start > bytes.length) throw new NpyError("is truncated within its header");
  const text = new TextDecoder(version === 3 ? "utf-8" : "latin1").decode(bytes.subarray(from, start));
  return { ...parseType(text), ...parseLayout(text), start };
}

function parseType(text: string): Pick<Header, "type" | "bigEndian"> {
  const described = /'descr'\s*:\s*(?:'([^']*)'|(\[))/.exec(text);
  if (!described) throw new NpyError("has a header without a type");
  const code = described[1] ?? "of a record";
  const [, kind, size] = /^[<>|=]([US])(\d+)$/.exec(code) ?? [];
  const letters = Number(size);
  if (kind && letters > 0 && letters < 1e5)
    return { type: { letters, bytesEach: kind === "U" ? 4 : 1 }, bigEndian: code.startsWith(">") };
  const type = types.get(code.slice(1));
  if (!type || !"<>|=".includes(code[0] ?? "")) {
    throw new NpyError(`has the type ${code}, which pergrad does not read, so save it as float32 or float64`);
  }
  return { type, bigEndian: code.startsWith(">") };
}

function parseLayout(text: string): Pick<Header, "dims" | "columnMajor"> {
  const order = /'fortran_order'\s*:\s*(True|False)\b/.exec(text)?.[1];
  const shape = /'shape'\s*:\s*\(([\s\dL,]*)\)/.exec(text)?.[1]; // Python 2 wrote 3L
  if (!order || shape === undefined) throw new NpyError("has a header without a valid shape and order");
  const dims = (shape.match(/\d+/g) ?? []).map(Number);
  if (!dims.every(Number.isSafeInteger)) throw new NpyError(`has the impossible shape (${shape})`);
  return { dims, columnMajor: order === "True" };
}

/** The elements in row-major order, from an order in which the first axis runs fastest. */
function toRowMajor(source: TypedArray, dims: readonly number[]): TypedArray {
  const strides = dims.map((_, axis) => sizeOf(dims.slice(0, axis)));
  const index = dims.map(() => 0);
  const target = source.slice();
  let from = 0;
  for (let to = 0; to < target.length; to++) {
    target[to] = source[from] as never; // number or bigint, the same on both sides
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const next = (index[axis] ?? 0) + 1;
      const [stride = 0, dim = 0] = [strides[axis], dims[axis]];
      from += stride;
      index[axis] = next;
      if (next < dim) break;
      from -= stride * dim;
      index[axis] = 0;
    }
  }
  return target;
}

/** The header of an array in row-major order; its elements follow as they are in memory. */
export function npyHeader({ dtype, dims }: TensorLayout): Uint8Array {
  const shape = `(${dims.join(", ")}${dims.length === 1 ? "," : ""})`;
  const dict = `{'descr': '${codes[dtype]}', 'fortran_order': False, 'shape': ${shape}, }`;
  const length = Math.ceil((10 + dict.length + 1) / 64) * 64; // the data starts aligned, as NumPy does it
  const bytes = new TextEncoder().encode(`\0NUMPY\x01\0\0\0${dict.padEnd(length - 11)}\n`);
  bytes[0] = 0x93;
  new DataView(bytes.buffer).setUint16(8, length - 10, true);
  return bytes;
}
