/** The sum of a batch's clipped gradients, whatever the data. */

import { prepare, samplesNotFinite } from "../program/feeds.js";
import { Program } from "../program/program.js";
import type { Data } from "../tensor/data.js";
import { type ClippingGroup, type clippedSum, clippingGroups } from "../wants/clipping.js";
import { type FloatTensor, type Results, type Want, want } from "../wants/want.js";
import { Figures, scores } from "./figures.js";
import { feedsFor, microbatches, planned, type Setup } from "./setup.js";
import { allFinite, Sums } from "./sums.js";
import type { ClippingOptions, StepOptions } from "./types.js";

interface Wanted {
  readonly clipped: ReturnType<typeof clippedSum>;
  readonly losses: Want<FloatTensor>;
  readonly scores: Want<FloatTensor | null>;
  readonly [name: string]: Want<unknown>;
}

/**
 * Norms are computed, and gradients scaled and summed, in float32. So that no rounding lifts one sample's part of the
 * sum above the sensitivity, gradients are clipped to this part less than it; a quarter of it is left to the noise's grid.
 * That leaves 9e-5. A norm errs by up to 5e-6 (sums of up to 1,024 equal terms) or 1e-6 (longer ones, which are summed in
 * blocks), and the factor and the product by 2e-7.
 *
 * The rest covers the sum over samples, which is measured and not proven. Proven is this: with u = 2^-24, an element of
 * a float32 sum of m terms errs by at most m u times the sum of the terms' magnitudes, in whatever order; so the vector
 * of errors has a norm of at most m u times the sum of the clipped norms, m^2 u times the clip norm. Two neighbouring
 * data sets may err so in opposite directions: 2 m^2 u, which is 2^-7 for 256 samples and below what is left for 27.
 */
const margin = 2 ** -13;

/**
 * The most samples that go through the program at once. Within it sums are in float32, whose rounding grows with the
 * sum: of 16,384 equal gradients it exceeded the margin, of 4,096 it did not. Between programs sums are in float64.
 */
const mostAtOnce = 256;

export class ClippedBatch {
  readonly figures = new Figures();
  clipped = 0;
  /** Numbers in the data set of samples whose gradients are not finite. */
  readonly dropped: number[] = [];
  /** Samples whose gradients are within the norm. */
  within = 0;

  /** @param sums of the clipped gradients, by parameter; valid until the next batch is run */
  constructor(readonly sums: ReadonlyMap<string, Float64Array>) {}
}

export class BatchClipper<S> {
  readonly #sums: Sums;

  private constructor(
    readonly groups: readonly ClippingGroup[],
    private readonly setup: Setup,
    private readonly options: StepOptions<S>,
    private readonly program: Program<Wanted>,
  ) {
    this.#sums = new Sums(setup.parameters);
  }

  /** Throws what `want.clippedSum` and `perSample` throw. */
  static async compile<S>(setup: Setup, options: StepOptions<S> & ClippingOptions): Promise<BatchClipper<S>> {
    const { maxGradNorm: maxNorm, groups, automatic } = options;
    const clipping = {
      maxNorm,
      ...(groups ? { groups } : {}),
      ...(automatic ? { automatic } : {}),
      adjustable: true,
      strict: true,
    };
    const wants: Wanted = {
      clipped: want.clippedSum(clipping),
      losses: want.losses(),
      scores: scores(setup.objective),
    };
    const program = await Program.of(setup.objective, { ...planned(options), want: wants });
    return new BatchClipper(clippingGroups(clipping, Object.keys(setup.parameters)), setup, options, program);
  }

  /** @param groups the norms to clip to, by group; the sensitivity of the sum is that of these norms */
  async run(
    batch: Uint32Array,
    step: number,
    { parameters, groups }: Pick<Run, "parameters" | "groups">,
  ): Promise<ClippedBatch> {
    this.#sums.clear();
    const total = new ClippedBatch(this.#sums.values);
    const run: Run = { step, parameters, groups, total };
    const size = Math.min(mostAtOnce, this.options.microbatchSize ?? mostAtOnce);
    for (const samples of microbatches(batch, size)) await this.#add(samples, run);
    return total;
  }

  release(): Promise<void> {
    return this.program.release();
  }

  /**
   * Drops samples whose data is not finite. What becomes of a sample must not depend on the others, so that no batch
   * may go through another program because of one of them.
   */
  #withFiniteData(samples: Uint32Array, run: Run): Taken {
    const feeds = feedsFor(this.setup, this.options, run.step, samples);
    const { expected } = this.setup.objective;
    const bad = samplesNotFinite(prepare(feeds, expected, true).feeds, expected);
    if (bad.size === 0) return { samples, feeds };
    run.total.dropped.push(...samples.filter((_, n) => bad.has(n)));
    const others = samples.filter((_, n) => !bad.has(n));
    return { samples: others, feeds: feedsFor(this.setup, this.options, run.step, others) };
  }

  /**
   * Adds the samples' clipped gradients. A gradient that is not finite would spoil the sum even times 0, so that
   * its sample is left out and the others are run anew: that costs nothing where there is none.
   */
  async #add(given: Uint32Array, run: Run): Promise<void> {
    if (given.length === 0) return;
    const { samples, feeds } = this.#withFiniteData(given, run);
    if (samples.length === 0) return;
    const limits = Object.fromEntries(
      Object.entries(run.groups).map(([name, maxNorm]) => [name, maxNorm * (1 - margin)]),
    );
    const found = await this.program.run(feeds, {
      parameters: run.parameters,
      maxNorms: { clipped: limits },
      // They are dropped here, whatever is spoilt.
      notFinite: "ignore",
    });
    const { norms, sum } = found.clipped;
    const finite = samples.filter((_, n) => Number.isFinite(norms.data[n]));
    if (finite.length < samples.length) {
      run.total.dropped.push(...samples.filter((_, n) => !Number.isFinite(norms.data[n])));
      await this.#add(finite, run);
    } else if (allFinite(sum)) {
      this.#sums.add(found.clipped.sum);
      count(found, run, limits);
      run.total.figures.add(found.losses, found.scores, feeds.target);
    } else if (samples.length === 1) {
      run.total.dropped.push(...samples);
    } else {
      // A norm may be finite where a product on the way to the sum is not.
      const half = samples.length >> 1;
      await this.#add(samples.subarray(0, half), run);
      await this.#add(samples.subarray(half), run);
    }
  }
}

interface Taken {
  readonly samples: Uint32Array;
  readonly feeds: Record<string, Data>;
}

interface Run {
  readonly step: number;
  readonly parameters: Setup["parameters"];
  readonly groups: Readonly<Record<string, number>>;
  readonly total: ClippedBatch;
}

function count({ clipped }: Results<Wanted>, { total }: Run, limits: Readonly<Record<string, number>>): void {
  const groups = Object.entries(clipped.groups);
  for (let n = 0; n < clipped.norms.data.length; n++) {
    const within = groups.every(([name, { data }]) => (data[n] as number) <= (limits[name] as number));
    if (within) total.within++;
    else total.clipped++;
  }
}
