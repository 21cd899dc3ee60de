import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { type FileHandle, mkdir, open, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PergradError } from "../errors.js";
import { unwritable } from "./failure.js";

const unfinished = new Set<string>();

/** Removes the temporary files of all writers still open: for a process about to end on a signal. */
export function removeUnfinishedFiles(): void {
  for (const path of unfinished) rmSync(path, { force: true });
  unfinished.clear();
}

// One write call takes at most 2 GiB.
const MAX_CHUNK = 2 ** 30;

/** A file under a temporary name in the folder of its target, which takes the target's place on `commit`. */
export class AtomicFile {
  #open = true;

  private constructor(
    readonly path: string,
    private readonly target: string,
    private readonly temporary: string,
    private readonly handle: FileHandle,
  ) {}

  static async create(path: string): Promise<AtomicFile> {
    try {
      await mustBeReplaceable(path);
      // Through a symbolic link the file it points to is replaced, not the link.
      const target = await realpath(path).catch(() => path);
      const name = `.${basename(target).slice(0, 100)}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
      const temporary = join(dirname(target), name);
      const handle = await open(temporary, "wx+");
      unfinished.add(temporary);
      return new AtomicFile(path, target, temporary, handle);
    } catch (error) {
      throw unwritable(path, error);
    }
  }

  /** Writes all the bytes at this position; any failure aborts. */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    await this.#orAbort(async () => {
      for (let done = 0; done < bytes.length; ) {
        const length = Math.min(bytes.length - done, MAX_CHUNK);
        done += (await this.handle.write(bytes, done, length, position + done)).bytesWritten;
      }
    });
  }

  /** Reserves the size, so that a full disk is reported before the work and not at its end, if the system can tell. */
  async resize(size: number): Promise<void> {
    await this.#orAbort(() => this.handle.truncate(size));
  }

  async commit(): Promise<void> {
    await this.#orAbort(async () => {
      await this.handle.sync();
      await this.handle.close();
      await rename(this.temporary, this.target);
      this.#open = false;
      unfinished.delete(this.temporary);
    });
  }

  /** Removes the temporary file; does nothing after `commit` or another `abort`. */
  async abort(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.handle.close().catch(() => undefined);
    await rm(this.temporary, { force: true });
    unfinished.delete(this.temporary);
  }

  async #orAbort(action: () => Promise<void>): Promise<void> {
    if (!this.#open)
      throw new PergradError("INVALID_ARGUMENT", `The writer of "${this.path}" is already closed; open another.`);
    try {
      await action();
    } catch (error) {
      await this.abort().catch(() => undefined);
      throw unwritable(this.path, error);
    }
  }
}

/** Refuses folders and devices at once: renaming onto /dev/null would replace it. */
async function mustBeReplaceable(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found || found.isFile()) return;
  const what = found.isDirectory() ? "it is a directory" : "it is not a regular file";
  throw new PergradError("FILE_UNWRITABLE", `Cannot write "${path}": ${what}, so give the name of a file.`);
}

/** Writes a whole file at once: all of it or, on any failure, nothing. Throws FILE_UNWRITABLE. */
export async function writeFileSafely(path: string, bytes: Uint8Array): Promise<void> {
  const file = await AtomicFile.create(path);
  await file.write(bytes, 0);
  await file.commit();
}

/** Creates a folder, and its parent folders, if it is missing. Throws FILE_UNWRITABLE. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((error: unknown) => {
    throw unwritable(path, error);
  });
}
