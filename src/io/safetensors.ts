/**
 * The safetensors format: 8 bytes of header length, a JSON header (name -> dtype, shape, byte range), the data.
 * https://github.com/huggingface/safetensors describes it; no maintained package for Node does.
 */
import { PergradError } from "../errors.js";
import { bytesOf, type DType, sizeOf, type Tensor, type TypedArray } from "../tensor/tensor.js";
import { AtomicFile } from "./atomic.js";
import {
  byteLengthOf,
  bytesOfArray,
  entriesOf,
  type HalfType,
  type Named,
  storedBytesOf,
  type TensorLayout,
  tensorOfBytes,
} from "./bytes.js";
import { OpenFile } from "./open-file.js";
import { type AxisRange, layoutOf, readAt, type TensorPlace } from "./rows.js";
import { PieceChecker, type TensorWriter } from "./writer.js";

export interface SafetensorsContent {
  /** In the order of the header. */
  readonly tensors: Map<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const names: Record<DType, string> = {
  float32: "F32",
  float64: "F64",
  float16: "F16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint64: "U64",
  uint32: "U32",
  uint16: "U16",
  uint8: "U8",
  bool: "BOOL",
};
const types = new Map<unknown, DType | HalfType>([
  ...(Object.entries(names) as [DType, string][]).map(([dtype, name]) => [name, dtype] as const),
  ["BF16", "bfloat16"],
]);

/**
 * The limit of the format's own implementation: a longer header is an attack, or the file is not a safetensors file.
 */
const MAX_HEADER = 100_000_000;

interface Entry {
  readonly name: string;
  readonly type: DType | HalfType;
  readonly dims: readonly number[];
  readonly begin: number;
  readonly end: number;
}
interface Header {
  readonly entries: readonly Entry[];
  readonly metadata: Readonly<Record<string, string>>;
}

function broken(fileName: string, problem: string): PergradError {
  return new PergradError("FILE_UNREADABLE", `"${fileName}" is not a readable safetensors file: ${problem}.`);
}

/** Decodes a whole file held in memory; `fileName` is for messages. Float16 and bfloat16 become float32. */
export function decodeSafetensors(bytes: Uint8Array, fileName: string): SafetensorsContent {
  const start = 8 + headerLength(bytes, bytes.length, fileName);
  const header = parseHeader(bytes.subarray(8, start), bytes.length - start, fileName);
  const tensors = header.entries.map((entry): [string, Tensor] => {
    // A copy, because typed arrays must be aligned.
    const data = new Uint8Array(bytes.subarray(start + entry.begin, start + entry.end));
    return [entry.name, tensorOfBytes(entry.type, entry.dims, data.buffer)];
  });
  return { tensors: new Map(tensors), metadata: header.metadata };
}

/** Reads a file tensor by tensor, so that it may be larger than one buffer. */
export async function readSafetensors(path: string): Promise<SafetensorsContent> {
  const file = await SafetensorsFile.open(path);
  try {
    const tensors = new Map<string, Tensor>();
    for (const name of file.layout.keys()) tensors.set(name, await file.read(name));
    return { tensors, metadata: file.metadata };
  } finally {
    await file.close();
  }
}

/** An open file whose tensors, or parts of them, are read when they are requested. */
export class SafetensorsFile {
  readonly #entries: ReadonlyMap<string, Entry>;

  private constructor(
    private readonly file: OpenFile,
    private readonly start: number,
    entries: readonly Entry[],
    readonly metadata: Readonly<Record<string, string>>,
  ) {
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  /** Throws FILE_UNREADABLE. */
  static open(path: string): Promise<SafetensorsFile> {
    return OpenFile.open(path, async (file) => {
      const { handle, size } = file;
      const length = headerLength(await readAt(handle, 0, Math.min(8, size)), size, path);
      const header = parseHeader(await readAt(handle, 8, length), size - 8 - length, path);
      return new SafetensorsFile(file, 8 + length, header.entries, header.metadata);
    });
  }

  /** In the order of the header. Half-precision tensors are read as float32. */
  get layout(): ReadonlyMap<string, TensorLayout> {
    return new Map([...this.#entries.keys()].map((name) => [name, layoutOf(this.#placed(name))]));
  }

  /** The type in which a tensor's elements are stored. Throws FILE_UNREADABLE. */
  storedAs(name: string): DType | HalfType {
    return this.#entry(name).type;
  }

  /**
   * Reads rows of a tensor, as stored, into the caller's memory, without any copies.
   * @param from the first row, counted along the first axis
   * @param into as many bytes as the rows take
   * @throws PergradError FILE_UNREADABLE
   */
  async readStored(name: string, from: number, into: Uint8Array): Promise<void> {
    const { type, dims, begin, end } = this.#entry(name);
    const position = begin + from * sizeOf(dims.slice(1)) * storedBytesOf(type);
    if (position + into.length > end) throw broken(this.file.path, `its tensor "${name}" has fewer rows than are read`);
    await this.file.fill(this.start + position, into);
  }

  /** A tensor, or the part between two places of one of its axes. Throws FILE_UNREADABLE. */
  async read(name: string, part?: AxisRange): Promise<Tensor> {
    return this.file.tensor(this.#placed(name), part);
  }

  /** The rows at these places of one of a tensor's axes, in this order. Throws FILE_UNREADABLE. */
  async rows(name: string, axis: number, places: ArrayLike<number>): Promise<Tensor> {
    return this.file.rows(this.#placed(name), axis, places);
  }

  /** Throws FILE_UNREADABLE if the file was changed since it was opened. */
  requireUnchanged(): Promise<void> {
    return this.file.requireUnchanged();
  }

  close(): Promise<void> {
    return this.file.close();
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (!entry) throw broken(this.file.path, `it holds no tensor "${name}"`);
    return entry;
  }

  #placed(name: string): TensorPlace {
    const { type, dims, begin } = this.#entry(name);
    return { type, dims, position: this.start + begin };
  }
}

function headerLength(bytes: Uint8Array, size: number, fileName: string): number {
  if (size < 8) throw broken(fileName, `it has ${size} bytes, fewer than the smallest header`);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > BigInt(Math.min(size - 8, MAX_HEADER))) {
    throw broken(
      fileName,
      `its header claims ${length} bytes and the file has ${size}, so it is truncated or of another format`,
    );
  }
  return Number(length);
}

function parseHeader(bytes: Uint8Array, dataLength: number, fileName: string): Header {
  const header = parseJson(bytes, fileName);
  const { __metadata__: metadata = {}, ...tensors } = header;
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    throw broken(fileName, "its __metadata__ is not a map of strings");
  }
  const entries = Object.entries(tensors).map(([name, entry]) => parseEntry(name, entry, dataLength, fileName));
  checkCoverage(entries, dataLength, fileName);
  return { entries, metadata: metadata as Record<string, string> };
}

function parseJson(bytes: Uint8Array, fileName: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw broken(fileName, "its header is not valid JSON, so it is damaged or of another format");
  }
  if (!isRecord(header)) throw broken(fileName, "its header is not a JSON object");
  return header;
}

function parseEntry(name: string, entry: unknown, dataLength: number, fileName: string): Entry {
  const refuse = (problem: string) => broken(fileName, `tensor "${name}" ${problem}`);
  if (!isRecord(entry)) throw refuse("has no description");
  const type = types.get(entry.dtype);
  if (!type) throw refuse(`has dtype ${String(entry.dtype)}, which pergrad does not read, so save it as F32 or F64`);
  const { shape: dims, data_offsets: offsets } = entry;
  if (!areSizes(dims)) throw refuse("has a shape that is not a list of sizes");
  if (!areSizes(offsets) || offsets.length !== 2) throw refuse("has no valid data_offsets");
  const [begin = 0, end = 0] = offsets;
  if (begin > end || end > dataLength) {
    throw refuse(`lies at bytes ${begin}..${end} of ${dataLength}, so the file is truncated or damaged`);
  }
  const needed = sizeOf(dims) * storedBytesOf(type);
  if (needed !== end - begin) {
    throw refuse(`needs ${needed} bytes for its shape [${dims.join(", ")}] and has ${end - begin}`);
  }
  return { name, type, dims, begin, end };
}

/**
 * The format requires that tensors fill the data without holes or overlaps, so that nothing can be hidden in a file.
 */
function checkCoverage(entries: readonly Entry[], dataLength: number, fileName: string): void {
  let position = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== position) {
      const problem = begin < position ? "overlaps another tensor" : "leaves a hole before it";
      throw broken(fileName, `tensor "${name}" ${problem}, so the file is damaged`);
    }
    position = end;
  }
  if (position !== dataLength) {
    throw broken(fileName, `${dataLength - position} bytes at its end belong to no tensor, so it is damaged`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function areSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

interface Placed extends TensorLayout {
  /** Position of the data in the file. */
  readonly position: number;
}

/**
 * The header's bytes, and the place of each tensor's data: wide element types come first, so that all data is aligned.
 */
function plan(layout: Named<TensorLayout>, metadata: Readonly<Record<string, string>> | undefined) {
  const entries = entriesOf(layout);
  if (entries.some(([name]) => name === "__metadata__")) {
    throw new PergradError(
      "INVALID_ARGUMENT",
      'A safetensors file cannot hold a tensor named "__metadata__"; rename it.',
    );
  }
  const begins = new Map<string, number>();
  let size = 0;
  for (const [name, tensor] of [...entries].sort(([, a], [, b]) => bytesOf(b.dtype) - bytesOf(a.dtype))) {
    begins.set(name, size);
    size += byteLengthOf(tensor);
  }
  const begin = (name: string) => begins.get(name) ?? 0;
  const fields = entries.map(([name, tensor]): [string, object] => {
    const data_offsets = [begin(name), begin(name) + byteLengthOf(tensor)];
    return [name, { dtype: names[tensor.dtype], shape: tensor.dims, data_offsets }];
  });
  const header = headerBytes(metadata ? [["__metadata__", metadata], ...fields] : fields);
  const placed = entries.map(([name, tensor]): [string, Placed] => {
    return [name, { ...tensor, position: header.length + begin(name) }];
  });
  return { header, placed: new Map(placed), size: header.length + size };
}

function headerBytes(fields: readonly (readonly [string, object])[]): Uint8Array {
  // Joined by hand, because an object would put names such as "0" first.
  const json = `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const text = new TextEncoder().encode(json);
  const bytes = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(text, 8);
  return bytes;
}

/** The bytes of a file with these tensors. */
export function encodeSafetensors(tensors: Named<Tensor>, metadata?: Readonly<Record<string, string>>): Uint8Array {
  const { header, placed, size } = plan(tensors, metadata);
  const bytes = new Uint8Array(size);
  bytes.set(header);
  for (const [name, { data }] of entriesOf(tensors)) bytes.set(bytesOfArray(data), placed.get(name)?.position ?? 0);
  return bytes;
}

/** Starts a file of tensors that are written piece by piece, straight to disk. */
export async function openSafetensors(
  path: string,
  layout: Named<TensorLayout>,
  metadata?: Readonly<Record<string, string>>,
): Promise<TensorWriter> {
  const { header, placed, size } = plan(layout, metadata);
  const file = await AtomicFile.create(path);
  await file.resize(size);
  await file.write(header, 0);
  return new SafetensorsWriter(file, placed);
}

class SafetensorsWriter implements TensorWriter {
  readonly #pieces: PieceChecker<Placed>;

  constructor(
    private readonly file: AtomicFile,
    placed: ReadonlyMap<string, Placed>,
  ) {
    this.#pieces = new PieceChecker(file.path, placed);
  }

  async write(name: string, elementOffset: number, data: TypedArray): Promise<void> {
    const { position } = this.#pieces.check(name, elementOffset, data);
    await this.file.write(bytesOfArray(data), position + elementOffset * data.BYTES_PER_ELEMENT);
  }

  async commit(): Promise<void> {
    await this.#pieces.checkComplete(this.file);
    await this.file.commit();
  }

  abort(): Promise<void> {
    return this.file.abort();
  }
}
