/**
 * Open .npy and .npz files: arrays that are stored as they are in memory are read in parts; others are read at once and
 * held.
 */
import { basename } from "node:path";
import { PergradError } from "../errors.js";
import { pickSamples, takeSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
import type { TensorLayout } from "./bytes.js";
import { unknownTensor } from "./failure.js";
import type { FileHandle } from "./file-system.js";
import { decodeNpy, NpyError, npyPlace } from "./npy.js";
import { readNpz } from "./npz.js";
import { OpenFile } from "./open-file.js";
import { type AxisRange, layoutOf, readAt, type TensorPlace } from "./rows.js";
import type { TensorFile } from "./tensor-file.js";
import { membersOf } from "./zip-directory.js";

/** Most headers end within this many bytes at the front of an array. */
const headerBytes = 4096;

/** An array in memory, or its place in the file. */
type Found = Tensor | TensorPlace;

/**
 * Opens an archive. One with compressed members is read whole, and held.
 * @throws PergradError FILE_UNREADABLE
 */
export async function openNpzFile(path: string): Promise<TensorFile> {
  return ArraysFile.open(path, async (file) => {
    const members = await membersOf(file).catch(() => null);
    if (!members?.every(({ name, method }) => name.endsWith(".npy") && method === 0)) return readNpz(path);
    const found = new Map<string, Found>();
    for (const { name, position, size } of members) {
      const own = name.slice(0, -".npy".length);
      found.set(own, await arrayAt(file, position, size).catch(refused(path, ".npz", `its array "${own}"`)));
    }
    return found;
  });
}

/**
 * Opens a single array, which is named after its file.
 * @throws PergradError FILE_UNREADABLE
 */
export async function openNpyFile(path: string): Promise<TensorFile> {
  return ArraysFile.open(path, async (file) => {
    const { size } = await file.stat();
    const own = await arrayAt(file, 0, size).catch(refused(path, ".npy", "it"));
    return new Map([[basename(path).replace(/\.npy$/i, ""), own]]);
  });
}

/**
 * The place of the array's elements; or, if memory holds them in another form (texts, first axis fastest), the array
 * itself. Throws NpyError.
 */
async function arrayAt(file: FileHandle, position: number, size: number): Promise<Found> {
  const placed = npyPlace(await readAt(file, position, Math.min(size, headerBytes)), size);
  if (placed) return { ...placed, position: position + placed.position };
  return decodeNpy(await readAt(file, position, size));
}

function refused(path: string, kind: string, what: string) {
  return (error: unknown): never => {
    if (error instanceof NpyError)
      throw new PergradError("FILE_UNREADABLE", `"${path}" is not a readable ${kind} file: ${what} ${error.message}.`);
    throw error;
  };
}

class ArraysFile implements TensorFile {
  readonly layout: ReadonlyMap<string, TensorLayout>;

  private constructor(
    private readonly file: OpenFile,
    private readonly arrays: ReadonlyMap<string, Found>,
  ) {
    this.layout = new Map([...arrays].map(([name, own]) => [name, "data" in own ? own : layoutOf(own)]));
  }

  static open(path: string, find: (file: FileHandle) => Promise<ReadonlyMap<string, Found>>): Promise<ArraysFile> {
    return OpenFile.open(path, async (file) => new ArraysFile(file, await find(file.handle)));
  }

  async read(name: string, part?: AxisRange): Promise<Tensor> {
    const own = this.#array(name);
    if ("data" in own) return part ? takeSamples(own, part.axis, part.from, part.to) : own;
    return this.file.tensor(own, part);
  }

  async rows(name: string, axis: number, places: ArrayLike<number>): Promise<Tensor> {
    const own = this.#array(name);
    return "data" in own ? pickSamples(own, axis, places) : this.file.rows(own, axis, places);
  }

  requireUnchanged(): Promise<void> {
    return this.file.requireUnchanged();
  }

  close(): Promise<void> {
    return this.file.close();
  }

  #array(name: string): Found {
    const own = this.arrays.get(name);
    if (own) return own;
    throw unknownTensor(this.file.path, name);
  }
}
