/** A program that is loaded into several threads, which compute as many batches at once. */
import { nth } from "../../present.js";
import type { Running, Tensors } from "../target.js";

interface Lane {
  readonly running: Running;
  /** Runs that have been requested and are not finished. */
  pending: number;
}

export class Lanes implements Running {
  readonly #all: readonly Lane[];

  /** @param all the same program in each thread, at least one */
  constructor(all: readonly Running[]) {
    this.#all = all.map((running) => ({ running, pending: 0 }));
  }

  get held(): ReadonlySet<string> {
    return nth(this.#all, 0).running.held;
  }

  get lanes(): number {
    return this.#all.length;
  }

  isReady(feeds: Tensors, samples: number): boolean {
    return this.#all.every(({ running }) => running.isReady(feeds, samples));
  }

  /** Runs in the thread that has the least to do. */
  async run(...args: Parameters<Running["run"]>): Promise<Tensors> {
    const lane = this.#all.reduce((least, other) => (other.pending < least.pending ? other : least));
    lane.pending += 1;
    try {
      return await lane.running.run(...args);
    } finally {
      lane.pending -= 1;
    }
  }

  async release(): Promise<void> {
    await Promise.all(this.#all.map(({ running }) => running.release()));
  }
}
