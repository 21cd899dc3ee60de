/** Workers that compute the parts of private steps. Any of them may die at any time. */
import { PergradError } from "../errors.js";
import { nth, present } from "../present.js";
import type { ProgramOptions } from "../program/options.js";
import type { Wants } from "../wants/want.js";
import type { ClippedBatch, StepRun } from "./clipped-part.js";

/** Where a program runs. */
export type Placed = Pick<ProgramOptions<Wants>, "threads" | "workers">;

/** One worker: it computes a part of a step's batch. */
export interface PartWorker {
  clip(samples: Uint32Array, run: StepRun): Promise<ClippedBatch>;
  /** Frees what it holds. */
  release(): Promise<void>;
}

/** The work that is shared among workers. */
export interface TrainingJob {
  /** Compiles the step's program for a place to run. */
  clipper(placed: Placed): Promise<PartWorker>;
}

/** The workers of a training. */
export interface StepWorkers {
  /** The clipped sum of each part, in order. Each is computed from exactly these samples, and counts once. */
  clip(parts: readonly Uint32Array[], run: StepRun): Promise<readonly ClippedBatch[]>;
  /** Ends them. */
  release(): Promise<void>;
}

/** How often a part is started before the deaths of its workers count as its own fault. */
const tries = 4;

/**
 * Hands out parts, one at a time to each worker. If a worker dies, its part is handed out again, with the samples that were
 * drawn. Only the answer that is awaited counts: a worker that was given up, and answers after all, is ignored.
 */
export class StepPool implements StepWorkers {
  readonly #workers: (PartWorker | undefined)[];

  /** @param make a new worker */
  constructor(
    private readonly make: () => Promise<PartWorker>,
    count: number,
  ) {
    this.#workers = Array.from({ length: count }, () => undefined);
  }

  /** Throws what a living worker throws, and RUNTIME if the workers of a part die again and again. */
  async clip(parts: readonly Uint32Array[], run: StepRun): Promise<readonly ClippedBatch[]> {
    const found: (ClippedBatch | undefined)[] = parts.map(() => undefined);
    const waiting = [...parts.keys()].reverse();
    const begun = parts.map(() => 0);
    let failed = false;
    const serve = async (place: number) => {
      for (let k = waiting.pop(); k !== undefined && !failed; k = waiting.pop()) {
        begun[k] = nth(begun, k) + 1;
        try {
          const worker = await this.#workerAt(place);
          found[k] = await worker.clip(nth(parts, k), run);
        } catch (error) {
          await this.#drop(place);
          if (!isDeath(error) || nth(begun, k) >= tries) {
            failed = true;
            throw error;
          }
          waiting.push(k);
        }
      }
    };
    // No worker may still be computing when the next step begins.
    const served = await Promise.allSettled(this.#workers.map((_, place) => serve(place)));
    for (const each of served) if (each.status === "rejected") throw each.reason;
    return found.map(present);
  }

  async release(): Promise<void> {
    await Promise.all(this.#workers.map((_, place) => this.#drop(place)));
  }

  async #workerAt(place: number): Promise<PartWorker> {
    const worker = this.#workers[place] ?? (await this.make());
    this.#workers[place] = worker;
    return worker;
  }

  async #drop(place: number): Promise<void> {
    const worker = this.#workers[place];
    this.#workers[place] = undefined;
    await worker?.release().catch(() => undefined);
  }
}

/** Whether the worker died, rather than the part being at fault: data and programs are refused with other codes. */
function isDeath(error: unknown): boolean {
  return error instanceof PergradError && error.code === "RUNTIME";
}
