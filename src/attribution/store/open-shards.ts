/**
 * Shards that are read several times stay open in between: opening a file takes longer than reading some rows of it.
 */
import { nth } from "../../present.js";
import { requireSamples } from "./blocks.js";
import type { Manifest } from "./manifest.js";
import { type RowScalars, ShardFile } from "./shards.js";

/** The most files open at once. */
const mostOpen = 256;

export interface OpenShard {
  readonly file: ShardFile;
  readonly scalars: RowScalars;
}

export class OpenShards {
  /** The most recently used stand last. */
  readonly #open = new Map<number, OpenShard>();

  constructor(
    private readonly folder: string,
    private readonly manifest: Manifest,
    private readonly samples: number,
  ) {}

  /** It stays open until `mostOpen` others have been asked for. Throws FILE_UNREADABLE. */
  async at(number: number): Promise<OpenShard> {
    const before = this.#open.get(number);
    if (before) {
      this.#open.delete(number);
      this.#open.set(number, before);
      return before;
    }
    if (this.#open.size >= mostOpen) await this.#close(nth([...this.#open.keys()], 0));
    const file = await ShardFile.open(this.folder, number, this.manifest);
    try {
      requireSamples(file, this.samples, this.manifest);
      const shard = { file, scalars: await file.scalars() };
      this.#open.set(number, shard);
      return shard;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const number of [...this.#open.keys()]) await this.#close(number);
  }

  async #close(number: number): Promise<void> {
    await this.#open.get(number)?.file.close();
    this.#open.delete(number);
  }
}
