/**
 * The ledger of a private run: a file to which every release is added, and synced to the disk, before its result leaves
 * the trainer. So a process that is killed may have paid for a step that nobody saw, but never the other way round.
 *
 * Each line is an entry: a checksum, a space, and the entry as JSON. The first line identifies the file.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { PergradError } from "../errors.js";
import { unreadable, unwritable } from "../io/failure.js";

const header = { pergrad: "privacy ledger", version: 1 };

/** @typeParam E the cost of one release, of plain JSON values */
export class Ledger<E extends object> {
  #last: Promise<void> = Promise.resolve();

  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
  ) {}

  /**
   * Begins a ledger. Throws FILE_UNWRITABLE, also if the file exists: its record of what was spent must not be lost.
   */
  static async create<E extends object>(path: string): Promise<Ledger<E>> {
    const handle = await open(path, "ax").catch((error: unknown) => {
      throw refusal(path, error);
    });
    const ledger = new Ledger<E>(path, handle);
    await ledger.#write(header);
    await syncFolder(path);
    return ledger;
  }

  /** Continues a ledger. An incomplete last line is removed. Throws FILE_UNREADABLE, FILE_UNWRITABLE. */
  static async open<E extends object>(path: string): Promise<{ readonly ledger: Ledger<E>; readonly entries: E[] }> {
    const { entries, length } = await read<E>(path);
    try {
      const handle = await open(path, "a");
      await handle.truncate(length);
      const ledger = new Ledger<E>(path, handle);
      if (length === 0) await ledger.#write(header);
      return { ledger, entries };
    } catch (error) {
      throw unwritable(path, error);
    }
  }

  /**
   * Adds an entry. Its result may be released once the promise is fulfilled, not before. After a failure the ledger
   * accepts nothing more. Throws FILE_UNWRITABLE.
   */
  append(entry: E): Promise<void> {
    return this.#write(entry);
  }

  /** Waits for pending writes. */
  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.handle.close();
  }

  #write(line: object): Promise<void> {
    this.#last = this.#last.then(async () => {
      try {
        await this.handle.appendFile(encodeLine(line));
        await this.handle.datasync();
      } catch (error) {
        throw unwritable(this.path, error);
      }
    });
    // The caller of `append` hears of a failure; this only keeps it from counting as unhandled before the caller
    // listens.
    this.#last.catch(() => undefined);
    return this.#last;
  }
}

/** The entries of a ledger, in order. Throws FILE_UNREADABLE. */
export async function readLedger<E>(path: string): Promise<E[]> {
  return (await read<E>(path)).entries;
}

function encodeLine(content: object): string {
  const json = JSON.stringify(content);
  return `${checksum(json)} ${json}\n`;
}

function checksum(json: string): string {
  return createHash("sha256").update(json).digest("hex").slice(0, 16);
}

/** The entries, and the length in bytes of the complete lines. */
async function read<E>(path: string): Promise<{ entries: E[]; length: number }> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  // A line counts once its end is there; before that its release was still waiting for it.
  const length = bytes.lastIndexOf(0x0a) + 1;
  const lines = bytes.toString("utf8", 0, length).split("\n").slice(0, -1);
  const [first, ...entries] = lines.map((line, k) => decodeLine(line, k, path));
  // Not even the first line is complete: the process was killed before it could spend anything.
  if (first === undefined) return { entries: [], length };
  const { pergrad, version } = first as Partial<typeof header>;
  if (pergrad !== header.pergrad) throw damaged(path, "it is not a privacy ledger");
  if (version !== header.version) throw damaged(path, `it is of version ${version}, which this pergrad does not know`);
  return { entries: entries as E[], length };
}

function decodeLine(line: string, index: number, path: string): object {
  const [, sum, json = ""] = /^([0-9a-f]{16}) (\{.*\})$/.exec(line) ?? [];
  if (sum === undefined || sum !== checksum(json)) {
    const problem = `line ${index + 1} is damaged, so what the run has spent is not known`;
    throw damaged(path, `${problem}; restore the file, or count the run's whole budget as spent`);
  }
  return JSON.parse(json) as object;
}

function damaged(path: string, problem: string): PergradError {
  return new PergradError("FILE_UNREADABLE", `Cannot read the ledger "${path}": ${problem}.`);
}

function refusal(path: string, error: unknown): PergradError {
  if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) return unwritable(path, error);
  const advice = "a run is recorded there already; resume it, or choose another place";
  return new PergradError("FILE_UNWRITABLE", `Cannot begin the ledger "${path}": ${advice}.`, { cause: error });
}

/** Makes the new file's name survive a power failure; some systems cannot sync a folder, and do not need to. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), "r").catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}
