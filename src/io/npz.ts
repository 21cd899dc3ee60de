/** NumPy's .npz format: a zip archive of .npy arrays. */
import { unzipSync, Zip, ZipPassThrough } from "fflate";
import { PergradError } from "../errors.js";
import { arrayOf, sizeOf, type Tensor, type TypedArray } from "../tensor/tensor.js";
import { AtomicFile } from "./atomic.js";
import { byteLengthOf, bytesOfArray, entriesOf, type Named, type TensorLayout } from "./bytes.js";
import { crc32 } from "./crc32.js";
import { unreadable } from "./failure.js";
import { open, readFile } from "./file-system.js";
import { decodeNpy, NpyError, npyHeader } from "./npy.js";
import { PieceChecker, type TensorWriter } from "./writer.js";
import { membersOf } from "./zip-directory.js";

function broken(fileName: string, problem: string): PergradError {
  return new PergradError("FILE_UNREADABLE", `"${fileName}" is not a readable .npz file: ${problem}.`);
}

/**
 * Decodes a whole archive.
 * @param fileName for messages
 * @param checksums CRC-32 of members that are verified, by their names: unpacking alone does not notice all damage
 */
export function decodeNpz(
  bytes: Uint8Array,
  fileName: string,
  checksums: ReadonlyMap<string, number> = new Map(),
): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const [member, content] of Object.entries(unzip(bytes, fileName))) {
    const name = member.slice(0, -".npy".length);
    if (checksums.has(member) && checksums.get(member) !== crc32(content))
      throw broken(fileName, `its array "${name}" is damaged (the checksum is another)`);
    try {
      tensors.set(name, decodeNpy(content));
    } catch (error) {
      if (error instanceof NpyError) throw broken(fileName, `its array "${name}" ${error.message}`);
      throw error;
    }
  }
  return tensors;
}

function unzip(bytes: Uint8Array, fileName: string): Record<string, Uint8Array> {
  try {
    return unzipSync(bytes, {
      filter: ({ name, size, originalSize }) => {
        if (!name.endsWith(".npy")) throw broken(fileName, `it holds "${name}", which is not a .npy array`);
        // Deflate shrinks data at most 1032-fold: a larger claim is an attempt to exhaust the memory.
        if (originalSize > size * 1032 + 64) throw broken(fileName, `its array "${name}" claims ${originalSize} bytes`);
        return true;
      },
    });
  } catch (error) {
    if (error instanceof PergradError) throw error;
    throw broken(fileName, "it is not a whole zip archive, so it is truncated, damaged or of another format");
  }
}

/** Reads a whole archive, and verifies its checksums. Throws FILE_UNREADABLE. */
export async function readNpz(path: string): Promise<Map<string, Tensor>> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  return decodeNpz(bytes, path, await checksumsIn(path));
}

/** By the names of members; empty if the archive's directory is unusual. */
async function checksumsIn(path: string): Promise<ReadonlyMap<string, number>> {
  const file = await open(path);
  try {
    const members = await membersOf(file).catch(() => null);
    return new Map(members?.map(({ name, checksum }) => [name, checksum]));
  } finally {
    await file.close();
  }
}

const ZIP_LIMIT = 2 ** 32 - 1;

/** Emits the pieces of an archive in order. Members are not compressed, as with NumPy: gradients hardly shrink. */
function encode(tensors: readonly (readonly [string, Tensor])[], emit: (piece: Uint8Array) => void): void {
  let failure: Error | null = null;
  const zip = new Zip((error, piece) => {
    failure ??= error;
    if (!error) emit(piece);
  });
  for (const [name, tensor] of tensors) {
    const member = new ZipPassThrough(`${name}.npy`);
    zip.add(member);
    member.push(npyHeader(tensor));
    member.push(bytesOfArray(tensor.data), true);
  }
  zip.end();
  if (failure) throw failure;
}

/** The bytes of an archive with these tensors. */
export function encodeNpz(tensors: Named<Tensor>): Uint8Array {
  const pieces: Uint8Array[] = [];
  encode(entriesOf(tensors), (piece) => pieces.push(piece));
  return new Uint8Array(Buffer.concat(pieces));
}

/**
 * Starts an archive. Its tensors are held in memory until `commit`, because a zip needs each member's checksum and
 * whole content at once: use safetensors for results larger than memory. 4 GiB at most.
 */
export async function openNpz(path: string, layout: Named<TensorLayout>): Promise<TensorWriter> {
  const entries = entriesOf(layout);
  const size = entries.reduce((sum, [name, tensor]) => sum + byteLengthOf(tensor) + 2 * name.length + 512, 0);
  if (size > ZIP_LIMIT) {
    const problem = "an .npz holds at most 4 GiB, so use the extension .safetensors";
    throw new PergradError("FILE_UNWRITABLE", `Cannot write "${path}": ${problem}.`);
  }
  const file = await AtomicFile.create(path);
  const tensors = entries.map(([name, { dtype, dims }]): [string, Tensor] => {
    return [name, { dtype, dims, data: new (arrayOf(dtype))(sizeOf(dims)) }];
  });
  return new NpzWriter(file, new Map(tensors));
}

class NpzWriter implements TensorWriter {
  readonly #pieces: PieceChecker<Tensor>;

  constructor(
    private readonly file: AtomicFile,
    private readonly tensors: ReadonlyMap<string, Tensor>,
  ) {
    this.#pieces = new PieceChecker(file.path, tensors);
  }

  async write(name: string, elementOffset: number, data: TypedArray): Promise<void> {
    const whole: TypedArray = this.#pieces.check(name, elementOffset, data).data;
    bytesOfArray(whole).set(bytesOfArray(data), elementOffset * data.BYTES_PER_ELEMENT);
  }

  async commit(): Promise<void> {
    await this.#pieces.checkComplete(this.file);
    // The pieces are views of the tensors and a few headers, so collecting them copies nothing.
    const pieces: Uint8Array[] = [];
    encode([...this.tensors], (piece) => pieces.push(piece));
    let position = 0;
    for (const piece of pieces) {
      await this.file.write(piece, position);
      position += piece.length;
    }
    await this.file.commit();
  }

  abort(): Promise<void> {
    return this.file.abort();
  }
}
