/** The sum of a batch's clipped gradients, whatever the data. */

import { entryOf } from "../present.js";
import { prepare, samplesNotFinite } from "../program/feeds.js";
import type { Program } from "../program/program.js";
import type { Data } from "../tensor/data.js";
import { type ClippingGroup, type clippedSum, clippingGroups } from "../wants/clipping.js";
import { type FloatTensor, type Results, type Want, want } from "../wants/want.js";
import { Figures, scores } from "./figures.js";
import { Parts } from "./parts.js";
import { feedsFor, planned, type Setup } from "./setup.js";
import { allFinite, Sums } from "./sums.js";
import type { ClippingOptions, StepOptions } from "./types.js";

interface Wanted {
  readonly clipped: ReturnType<typeof clippedSum>;
  readonly losses: Want<FloatTensor>;
  readonly scores: Want<FloatTensor | null>;
  readonly [name: string]: Want<unknown>;
}

/**
 * The most samples that go through the program at once: within it sums over samples are in float32, between programs
 * they are in float64. More would need a larger margin, fewer would take more runs: of 128 at a time a step of the perceptron
 * 784-256-10 with 256 samples takes 1.4 times as long, of 16 at a time three times.
 */
const mostAtOnce = 256;

/** Bytes that a run of the program may take: where `mostAtOnce` samples would take more, fewer go through it. */
const usualMemory = 2 ** 30;

/**
 * What gradients are clipped to less than the sensitivity, as a part of it, to make up for rounding. It covers twice
 * what is proven of a sample's own part. What is proven of the sum over samples is more, 0.95 % of the norm in all: roundings that
 * all conspired. A margin of that size would move every private step by 1 % from what other implementations compute, so
 * that part is measured instead: on all data tried, adversarial data too, one sample moves a step's sum by the norm at
 * most. The bounds, with u = 2^-24, C what gradients are clipped to, and at most m = 256 samples in the program at once
 * (whatever a microbatch's size, on which no result may depend):
 *
 * - A sample's own part. Its squared norm is a float32 sum in which no term goes through more than 350 additions (256
 *   squares in a row, or blocks of 64 and their sums; then those of parameters), so that it errs by 350 u at most, and
 *   the norm by half of that; root, factor and product add 5 u. Where terms cancel, norm and sum are of the same
 *   multiplied-out values, or the norm bounds what cancels.
 * - The sum over samples. In whatever order m vectors of norm C at most are added up, the norms of all sums on the way
 *   are together m (m + 1) / 2 C at most, and each is rounded once; products before take 2 u each. So the vector of errors
 *   has a norm of at most m (m + 5) / 2 u C. Where a sample is left out, its program's sum becomes another, or those of
 *   two programs with m + 1 samples become one: the errors before and after differ by m (m + 5) u C at most. All
 *   other programs' sums stay the same (see Parts).
 * - The other samples of that program: in another place of the batch their norms may be rounded in another way. Each
 *   errs by 180 u before and after: 360 m u C.
 * - The noise's grid: 2^-15. With a sample's own part, that is below 2^-14.
 *
 * What is not bounded is the derivative's own rounding, where it depends on a sample's place in the batch: a sample
 * that lies on a kink to within rounding may come out on either side of it.
 */
export const margin = 2 ** -13;

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
  readonly #parts: Parts;

  private constructor(
    readonly groups: readonly ClippingGroup[],
    private readonly setup: Setup,
    private readonly options: StepOptions<S>,
    private readonly program: Program<Wanted>,
    atOnce: number,
  ) {
    this.#sums = new Sums(setup.parameters);
    this.#parts = new Parts(setup.data.samples, options.batchSize, atOnce);
  }

  /** Throws what `want.clippedSum` and `perSample` throw. */
  static async compile<S>(setup: Setup, options: StepOptions<S> & ClippingOptions): Promise<BatchClipper<S>> {
    const { maxNorm, groups: named, automatic } = options;
    const clipping = {
      maxNorm,
      ...(named ? { groups: named } : {}),
      ...(automatic ? { automatic } : {}),
      adjustable: true,
      strict: true,
    };
    const wants: Wanted = {
      clipped: want.clippedSum(clipping),
      losses: want.losses(),
      scores: scores(setup.objective),
    };
    // The compiler and the runtime are loaded when they are first used.
    const { Program } = await import("../program/program.js");
    const program = await Program.of(setup.objective, {
      ...planned({ microbatchSize: mostAtOnce, ...options }),
      holdParameters: false,
      want: wants,
    });
    const groups = clippingGroups(clipping, Object.keys(setup.parameters));
    return new BatchClipper(groups, setup, options, program, samplesAtOnce(program, options.microbatchSize));
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
    for (const samples of this.#parts.of(batch)) await this.#add(samples, run);
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

/** It depends on no data. */
function samplesAtOnce(program: Program<Wanted>, given?: number): number {
  if (given !== undefined) return Math.min(given, mostAtOnce);
  let samples = mostAtOnce;
  while (samples > 1 && program.memory(samples) > usualMemory) samples >>= 1;
  return samples;
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
    const within = groups.every(([name, { data }]) => (data[n] as number) <= entryOf(limits, name));
    if (within) total.within++;
    else total.clipped++;
  }
}
