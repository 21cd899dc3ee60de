/** Sums the clipped gradients of samples that go through the program together, whatever their data. */

import { prepare, samplesNotFinite } from "../program/feeds.js";
import type { Program } from "../program/program.js";
import type { Data } from "../tensor/data.js";
import { areFinite } from "../tensor/finite.js";
import { clippingGroups } from "../wants/clipping.js";
import { want } from "../wants/want.js";
import { ClippedBatch, type StepRun, type Wanted } from "./clipped-part.js";
import { scores } from "./figures.js";
import { feedsFor, planned, type Setup } from "./setup.js";
import type { Placed } from "./step-workers.js";
import { Sums } from "./sums.js";
import type { ClippingOptions, StepOptions } from "./types.js";

/**
 * The most samples that go through the program at once: inside it, sums over samples are in float32; between runs they are in
 * float64. More samples would need a larger margin, fewer would need more runs: a step of the perceptron 784-256-10 with 256
 * samples takes 1.4 times as long with 128 at a time, and three times as long with 16.
 */
const mostAtOnce = 256;

/** The most bytes that a run of the program may take: if `mostAtOnce` samples would take more, fewer go through it. */
const usualMemory = 2 ** 30;

/**
 * By how much less than the sensitivity gradients are clipped, as a share of it, to make up for rounding. The margin is twice
 * what is proved for a sample's own part. The proved bound for the sum over samples is larger, 0.95 % of the norm in all, because
 * it assumes that all roundings conspire. A margin of that size would move every private step by 1 % from what other
 * implementations compute. So that part is measured instead: on all data that was tried, adversarial data included, one sample
 * moves a step's sum by at most the norm. The bounds are these, with u = 2^-24, C the norm to which gradients are clipped, and
 * at most m = 256 samples in the program at once (whatever the size of a microbatch, on which no result may depend):
 *
 * - A sample's own part. Its squared norm is a float32 sum in which no term goes through more than 350 additions (256
 *   squares in a row, or blocks of 64 and their sums; then those of parameters). So the squared norm errs by at most 350 u, and
 *   the norm by half of that; root, factor and product add 5 u. If terms cancel, norm and sum are computed from the same
 *   multiplied-out values, or the norm bounds what cancels.
 * - The sum over samples. In whatever order m vectors of norm at most C are added, the norms of all intermediate sums are
 *   together at most m (m + 1) / 2 C, and each is rounded once; the products before take 2 u each. So the vector of errors has a
 *   norm of at most m (m + 5) / 2 u C. If a sample is left out, the sum of its run changes, or two runs with m + 1 samples
 *   become one: the errors before and after differ by at most m (m + 5) u C. The sums of all other runs stay the same (see
 *   Parts).
 * - The other samples of that run. At another place in the batch their norms may be rounded differently. Each errs by 180 u
 *   before and after: 360 m u C.
 * - The noise's grid: 2^-15. Together with a sample's own part, that is below 2^-14.
 *
 * One thing is not bounded: the derivative's own rounding, if it depends on a sample's place in the batch. A sample that lies
 * on a kink, to within rounding, may come out on either side of it.
 */
export const margin = 2 ** -13;

export class PartClipper<S> {
  private constructor(
    private readonly setup: Setup,
    private readonly options: StepOptions<S>,
    private readonly program: Program<Wanted>,
  ) {}

  /** Throws what `want.clippedSum` and `perSample` throw. */
  static async compile<S>(
    setup: Setup,
    options: StepOptions<S> & ClippingOptions,
    placed: Placed = {},
  ): Promise<PartClipper<S>> {
    const wants: Wanted = {
      clipped: want.clippedSum({ ...clippingOf(options), adjustable: true, strict: true }),
      losses: want.losses(),
      scores: scores(setup.objective),
    };
    // The compiler and the runtime are loaded when they are first used.
    const { Program } = await import("../program/program.js");
    const program = await Program.of(setup.objective, {
      ...planned({ microbatchSize: mostAtOnce, ...options }),
      ...placed,
      holdParameters: false,
      want: wants,
    });
    return new PartClipper(setup, options, program);
  }

  /** The most samples in a part. It does not depend on the data. */
  get samplesAtOnce(): number {
    const { microbatchSize } = this.options;
    if (microbatchSize !== undefined) return Math.min(microbatchSize, mostAtOnce);
    let samples = mostAtOnce;
    while (samples > 1 && this.program.memory(samples) > usualMemory) samples >>= 1;
    return samples;
  }

  /** The clipped sum of one part. */
  async clip(samples: Uint32Array, run: StepRun): Promise<ClippedBatch> {
    const found = new ClippedBatch(new Sums(this.setup.parameters));
    await this.add(samples, run, found);
    return found;
  }

  release(): Promise<void> {
    return this.program.release();
  }

  /**
   * Drops samples whose data is not finite. What becomes of a sample must not depend on the others, so a batch must not go
   * through another program because of one sample.
   */
  async #withFiniteData(samples: Uint32Array, run: StepRun, total: ClippedBatch): Promise<Taken> {
    const feeds = await feedsFor(this.setup, this.options, run.step, samples);
    const { expected } = this.setup.objective;
    const bad = samplesNotFinite(prepare(feeds, expected, true).feeds, expected);
    if (bad.size === 0) return { samples, feeds };
    total.dropped.push(...samples.filter((_, n) => bad.has(n)));
    const others = samples.filter((_, n) => !bad.has(n));
    return { samples: others, feeds: await feedsFor(this.setup, this.options, run.step, others) };
  }

  /**
   * Adds the samples' clipped gradients. A gradient that is not finite would spoil the sum even when multiplied by 0, so its
   * sample is left out, and the others run again. That costs nothing if all gradients are finite.
   */
  async add(given: Uint32Array, run: StepRun, total: ClippedBatch): Promise<void> {
    if (given.length === 0) return;
    const { samples, feeds } = await this.#withFiniteData(given, run, total);
    if (samples.length === 0) return;
    const limits = Object.fromEntries(
      Object.entries(run.groups).map(([name, maxNorm]) => [name, maxNorm * (1 - margin)]),
    );
    const found = await this.program.run(feeds, {
      parameters: run.parameters,
      maxNorms: { clipped: limits },
      // Samples that are not finite are dropped here.
      notFinite: "ignore",
    });
    const { norms, sum } = found.clipped;
    const finite = samples.filter((_, n) => Number.isFinite(norms.data[n]));
    if (finite.length < samples.length) {
      total.dropped.push(...samples.filter((_, n) => !Number.isFinite(norms.data[n])));
      await this.add(finite, run, total);
    } else if (Object.values(sum).every(({ data }) => areFinite(data))) {
      total.add(found, feeds.target, limits);
    } else if (samples.length === 1) {
      total.dropped.push(...samples);
    } else {
      // A norm may be finite although a product on the way to the sum is not.
      const half = samples.length >> 1;
      await this.add(samples.subarray(0, half), run, total);
      await this.add(samples.subarray(half), run, total);
    }
  }
}

/** The part of the options that `want.clippedSum` and `clippingGroups` take. */
function clippingOf({ maxNorm, groups, automatic }: ClippingOptions) {
  return { maxNorm, ...(groups ? { groups } : {}), ...(automatic ? { automatic } : {}) };
}

/** The groups that are clipped together. Throws what `want.clippedSum` throws. */
export function groupsOf({ parameters }: Setup, options: ClippingOptions) {
  return clippingGroups(clippingOf(options), Object.keys(parameters));
}

interface Taken {
  readonly samples: Uint32Array;
  readonly feeds: Record<string, Data>;
}
