/** A browser has no files to write: the error says what to use instead. */
import { PergradError } from "../errors.js";

function refused(path: string): PergradError {
  return new PergradError(
    "FILE_UNWRITABLE",
    `Cannot write "${path}": a browser cannot write files; encode the bytes and offer them as a download.`,
  );
}

export class AtomicFile {
  private constructor(readonly path: string) {}

  static async create(path: string): Promise<AtomicFile> {
    throw refused(path);
  }

  async write(_bytes: Uint8Array, _position: number): Promise<void> {
    throw refused(this.path);
  }

  async resize(_size: number): Promise<void> {
    throw refused(this.path);
  }

  async commit(): Promise<void> {
    throw refused(this.path);
  }

  async abort(): Promise<void> {}
}

export async function makeFolder(path: string): Promise<void> {
  throw refused(path);
}

export async function writeFileSafely(path: string, _bytes: Uint8Array): Promise<void> {
  throw refused(path);
}
