/** An open file that is read in parts, in the version that was opened: the base of all formats. */
import type { Tensor } from "../tensor/tensor.js";
import { changedFile, unreadable } from "./failure.js";
import { type FileHandle, open } from "./file-system.js";
import { type AxisRange, fillAt, readPart, readRows, type TensorPlace } from "./rows.js";

/** The version of a file when it was opened. */
interface Version {
  readonly size: bigint;
  readonly mtimeNs: bigint;
}

export class OpenFile {
  private constructor(
    readonly path: string,
    readonly handle: FileHandle,
    private readonly version: Version,
  ) {}

  /**
   * Opens a file and returns the result of `read`; if that throws, the file is closed again.
   * @throws PergradError FILE_UNREADABLE
   */
  static async open<T>(path: string, read: (file: OpenFile) => Promise<T>): Promise<T> {
    const handle = await open(path).catch((error: unknown) => {
      throw unreadable(path, error);
    });
    try {
      return await read(new OpenFile(path, handle, await versionOf(handle)));
    } catch (error) {
      await handle.close();
      throw unreadable(path, error);
    }
  }

  /** Size in bytes. */
  get size(): number {
    return Number(this.version.size);
  }

  /** A tensor, or the part between two places of one of its axes. Throws FILE_UNREADABLE. */
  tensor(placed: TensorPlace, part?: AxisRange): Promise<Tensor> {
    return readPart(this.handle, placed, part).catch(this.#failed);
  }

  /** The rows at these places of one of a tensor's axes, in this order. Throws FILE_UNREADABLE. */
  rows(placed: TensorPlace, axis: number, places: ArrayLike<number>): Promise<Tensor> {
    return readRows(this.handle, placed, axis, places).catch(this.#failed);
  }

  /** Fills `bytes` from this position on. Throws FILE_UNREADABLE. */
  fill(position: number, bytes: Uint8Array): Promise<void> {
    return fillAt(this.handle, position, bytes).catch(this.#failed);
  }

  /** Throws FILE_UNREADABLE if the file was changed since it was opened. */
  async requireUnchanged(): Promise<void> {
    const { size, mtimeNs } = await versionOf(this.handle);
    if (size !== this.version.size || mtimeNs !== this.version.mtimeNs) throw changedFile(this.path);
  }

  close(): Promise<void> {
    return this.handle.close();
  }

  readonly #failed = (error: unknown): never => {
    throw unreadable(this.path, error);
  };
}

async function versionOf(handle: FileHandle): Promise<Version> {
  const { size, mtimeNs } = await handle.stat({ bigint: true });
  return { size, mtimeNs };
}
