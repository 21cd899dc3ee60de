/** Sums the clipped gradients of a batch, part by part, in this thread or by workers. */

import type { ClippingGroup } from "../wants/clipping.js";
import { ClippedBatch, type StepRun } from "./clipped-part.js";
import { groupsOf, PartClipper } from "./part-clipper.js";
import { BatchParts } from "./parts.js";
import { releasedOnFailure, type Setup } from "./setup.js";
import type { StepWorkers } from "./step-workers.js";
import { Sums } from "./sums.js";
import type { ClippingOptions, StepOptions, TrainingWorkers } from "./types.js";

export class BatchClipper<S> {
  readonly #sums: Sums;
  readonly #parts: BatchParts;

  private constructor(
    readonly groups: readonly ClippingGroup[],
    setup: Setup,
    { batchSize }: StepOptions<S>,
    private readonly clipper: PartClipper<S>,
    private readonly workers: StepWorkers | undefined,
  ) {
    this.#sums = new Sums(setup.parameters);
    this.#parts = new BatchParts(setup.data.samples, batchSize, clipper.samplesAtOnce);
  }

  /** Throws what `want.clippedSum` and `perSample` throw, and what beginning with workers throws. */
  static async compile<S>(
    setup: Setup,
    options: StepOptions<S> & ClippingOptions & { readonly cluster?: TrainingWorkers },
  ): Promise<BatchClipper<S>> {
    const { cluster, ...own } = options;
    const clipper = await PartClipper.compile(setup, own);
    return releasedOnFailure(clipper, async () => {
      const workers = await cluster?.begin({ clipper: (placed) => PartClipper.compile(setup, own, placed) });
      return new BatchClipper(groupsOf(setup, own), setup, own, clipper, workers);
    });
  }

  /** The result is valid until the next batch is run. */
  async run(batch: Uint32Array, step: number, common: Omit<StepRun, "step">): Promise<ClippedBatch> {
    const total = new ClippedBatch(this.#sums);
    const run: StepRun = { ...common, step };
    const parts = this.#parts.of(batch);
    if (this.workers) for (const part of await this.workers.clip(parts, run)) total.join(part);
    else for (const samples of parts) await this.clipper.add(samples, run, total);
    return total;
  }

  async release(): Promise<void> {
    await this.workers?.release();
    await this.clipper.release();
  }
}
