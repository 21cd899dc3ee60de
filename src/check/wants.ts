/**
 * Compares a program's results other than gradients with the same quantities in float64, computed from the loop's
 * gradients.
 */

import type { Objective, ObjectiveOptions } from "../compile/objective.js";
import { drawShifts, placedElements } from "../gradients/shifts.js";
import { entryOf, nth } from "../present.js";
import type { Data } from "../tensor/data.js";
import type { Traced } from "../trace/traced.js";
import { type FloatTensor, type Results, want } from "../wants/want.js";
import {
  type AloneOnDemand,
  type Cause,
  draws,
  furthest,
  isOwnRounding,
  isRounding,
  largestFinite,
  relative,
  tolerance,
} from "./comparison.js";
import { type OnFirstSamples, onFirstSamples } from "./first-samples.js";
import { InFloat64, type SampleGradients, type Settings } from "./in-float64.js";

export interface CheckedWant {
  readonly want: string;
  /** max |program - loop| divided by the largest gradient, or for products by its square. */
  readonly error: number;
  /** The parameter in which the program is furthest off, or "all" for a quantity of the whole gradient. */
  readonly worst: string;
  /** Present if the error is above its tolerance. Rounding alone does not fail a check. */
  readonly cause?: Cause;
  /**
   * The error, measured in the same way, of the want computed in float64 from the float32 gradients of each sample,
   * which are computed alone and without per-sample code: the largest of a few computations in which data and
   * parameters are moved in the last bit. Present if `error` is above its tolerance.
   */
  readonly aloneError?: number;
  /**
   * How far the program's own result moves, measured in the same way, if data and parameters are moved in the last
   * bits. If that is about as much as the error, the error is rounding, but due to the way in which the program
   * computes the want. Present if the cause is a difference.
   */
  readonly ownRounding?: number;
}

const dims = 2;
const seed = 0;

function wantsFor({ maxNorm, vectors }: Settings, first: Readonly<Record<string, Data>>) {
  const filled = [...vectors].flatMap(([name, { data }]) => (data.length > 0 ? [name] : []));
  return {
    norms: want.norms(),
    clippedSum: want.clippedSum({ maxNorm }),
    sum: want.sum(),
    mean: want.mean(),
    moments: want.moments(),
    noiseScale: want.noiseScale(),
    dot: want.dot(Object.fromEntries(vectors)),
    gram: want.gram(),
    cosine: want.cosine(),
    cross: want.cross(first),
    project: want.project({ dims, seed }),
    ...(filled.length === 0 ? {} : { reduce: want.reduce(squaresOf(filled)) }),
  };
}

const squaresOf = (names: readonly string[]) => (gradients: Readonly<Record<string, Traced>>) =>
  Object.fromEntries(names.map((name) => [name, entryOf(gradients, name).square().sum()]));

type Found = Results<ReturnType<typeof wantsFor>>;

/** Numbers by want and by parameter, or for the whole gradient. */
type Numbers = Readonly<Record<string, Readonly<Record<string, Float64Array>>>>;

const whole = "all";
/** What `Float64Array.from` computes, several times as fast. */
const mapped = (data: ArrayLike<number>, f: (x: number) => number) => {
  const result = new Float64Array(data.length);
  for (let i = 0; i < result.length; i++) result[i] = f(data[i] as number);
  return result;
};
const squared = (data: ArrayLike<number>) => mapped(data, (x) => x * x);
const entries = <T, U>(of: Readonly<Record<string, T>>, f: (value: T, name: string) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(of).map(([name, value]) => [name, f(value, name)]));

/**
 * The numbers that a program returned. For norms, their squares: rounding in nearly cancelling sums is not amplified
 * there.
 */
function returned(found: Found, pairs: number): Numbers {
  const plain = ({ data }: FloatTensor) => mapped(data, (x) => x);
  const samples = found.norms.total.data.length;
  const amongFirst = ({ data }: FloatTensor) =>
    Float64Array.from({ length: pairs ** 2 }, (_, k) => data[Math.floor(k / pairs) * samples + (k % pairs)] as number);
  const { norms, clippedSum, moments, noiseScale, reduce } = found as Found & { reduce?: Record<string, FloatTensor> };
  return {
    norms: { [whole]: squared(norms.total.data), ...entries(norms.parameters, ({ data }) => squared(data)) },
    clippedSum: entries(clippedSum.sum, plain),
    sum: entries(found.sum, plain),
    mean: entries(found.mean, plain),
    "moments.mean": entries(moments.mean, plain),
    "moments.secondMoment": entries(moments.secondMoment, plain),
    "moments.variance": samples < 2 ? {} : entries(moments.variance, plain),
    noiseScale: samples < 2 ? {} : { [whole]: Float64Array.of(noiseScale.signal, noiseScale.noise) },
    dot: { [whole]: plain(found.dot.total) },
    gram: { [whole]: amongFirst(found.gram) },
    cosine: { [whole]: amongFirst(found.cosine) },
    cross: { [whole]: plain(found.cross) },
    project: { [whole]: plain(found.project) },
    reduce: entries(reduce ?? {}, plain),
  };
}

/** The same numbers of gradients, in float64. */
function computed(of: InFloat64): Numbers {
  const { samples, squaredNorms, gram, parameters } = of;
  const each = (f: (own: NonNullable<ReturnType<typeof parameters.get>>) => Float64Array) =>
    Object.fromEntries([...parameters].map(([name, own]) => [name, f(own)]));
  const one = squaredNorms.reduce((sum, x) => sum + x, 0) / samples;
  const all = [...parameters.values()].reduce((sum, { mean }) => sum + mean.reduce((own, x) => own + x * x, 0), 0);
  const pairs = Math.sqrt(gram.length);
  const lengths = (k: number) => Math.sqrt(nth(squaredNorms, Math.floor(k / pairs)) * nth(squaredNorms, k % pairs));
  const means = each(({ mean }) => mean);
  const squares = each(({ squaredNorms: own }) => Float64Array.from(own));
  return {
    norms: { [whole]: Float64Array.from(squaredNorms), ...squares },
    clippedSum: each(({ clipped }) => clipped),
    sum: entries(means, (mean) => mapped(mean, (x) => x * samples)),
    mean: means,
    "moments.mean": means,
    "moments.secondMoment": each(({ mean, deviations }) =>
      deviations.map((x, i) => x / samples + (mean[i] as number) ** 2),
    ),
    "moments.variance":
      samples < 2 ? {} : each(({ deviations }) => mapped(deviations, (x) => Math.max(0, x / (samples - 1)))),
    noiseScale:
      samples < 2
        ? {}
        : {
            [whole]: Float64Array.of(
              (samples * all - one) / (samples - 1),
              (Math.max(0, one - all) * samples) / (samples - 1),
            ),
          },
    dot: { [whole]: Float64Array.from(of.dots) },
    gram: { [whole]: gram },
    cosine: { [whole]: gram.map((x, k) => (lengths(k) === 0 ? 0 : x / lengths(k))) },
    cross: { [whole]: Float64Array.from(of.withFirst) },
    project: { [whole]: Float64Array.from(of.projected) },
    reduce: squares,
  };
}

/** Parts below this share of a whole are compared with that share: they may be sums that nearly cancel. */
const vanishing = 1e-3;

/** The scale of a want's errors, by parameter or for the whole gradient. */
function scaleOf(of: InFloat64, vectors: number, maxNorm: number): (name: string, parameter: string) => number {
  const square = largestFinite(Float64Array.from(of.squaredNorms));
  const peak = Math.max(...[...of.parameters.values()].map((own) => own.peak), 0);
  return (name, parameter) => {
    const own = of.parameters.get(parameter);
    const element = Math.max(own?.peak ?? 0, vanishing * peak);
    const ownSquare = Math.max(
      largestFinite(Float64Array.from(own?.squaredNorms ?? of.squaredNorms)),
      vanishing * square,
    );
    switch (name) {
      // Half of a square's relative error is that of the norm.
      case "norms":
        return 2 * ownSquare;
      case "clippedSum":
        return Math.min(1, maxNorm / Math.sqrt(square)) * element * of.samples;
      case "sum":
        return element * of.samples;
      case "moments.secondMoment":
      case "moments.variance":
        return element ** 2;
      case "dot":
        return Math.sqrt(square) * vectors;
      case "project":
        return Math.sqrt(square);
      case "cosine":
        return 1;
      default:
        return own ? (name === "reduce" ? ownSquare : element) : square;
    }
  };
}

/** Compares the wants of one program, sample by sample. */
export class WantsComparison {
  readonly #loop: InFloat64;

  private constructor(
    private readonly settings: Settings,
    private readonly run: OnFirstSamples<Found>,
  ) {
    this.#loop = new InFloat64(settings);
  }

  /**
   * Runs a program on the first samples.
   * @param own the gradients from another program: they set the norm so that half of the samples are clipped
   */
  static async run(
    objective: Objective,
    data: Readonly<Record<string, Data>>,
    options: ObjectiveOptions & { readonly samples: number },
    own: readonly SampleGradients[],
  ): Promise<WantsComparison> {
    const settings = settingsFor(objective, own);
    const run = await onFirstSamples(objective, data, options, (part) => wantsFor(settings, part(1)));
    return new WantsComparison(settings, run);
  }

  /** Takes the loop's gradients for the next sample. */
  add(gradients: SampleGradients): void {
    this.#loop.add(gradients);
  }

  /**
   * Empty if a gradient is not finite in float64: which results are then not finite depends on the order of sums.
   * @param alone the gradients of each sample alone, which show how far rounding can take a want
   */
  async results(alone: Pick<AloneOnDemand, "sample">): Promise<CheckedWant[]> {
    if (!this.#loop.squaredNorms.every(Number.isFinite)) return [];
    const compared = this.#compared();
    const beyond = compared.filter(({ error }) => error > tolerance.loop);
    for (let draw = 0; draw < draws && !beyond.every(isRoundingOf); draw++) {
      const numbers = computed(await this.#fromAlone(alone, draw));
      for (const each of beyond) each.alone = Math.max(each.alone, each.errorOf(numbers));
    }
    const unexplained = beyond.filter((each) => !isRoundingOf(each));
    if (unexplained.length > 0) await this.#seeOwnRounding(unexplained);
    return [...new Set(compared.map(({ want }) => want))].map((name) => resultOf(compared.filter(isOf(name))));
  }

  async #seeOwnRounding(of: readonly Compared[]): Promise<void> {
    const before = of.map(({ numbersOf }) => numbersOf(this.#numbers(this.run.found)));
    for await (const found of this.run.again(draws)) {
      const numbers = this.#numbers(found);
      for (const [k, each] of of.entries()) {
        const moved = each.relative(furthest(each.numbersOf(numbers), before[k] ?? []));
        each.ownRounding = Math.max(each.ownRounding, moved);
      }
      if (of.every(({ error, ownRounding }) => isOwnRounding(error, ownRounding))) break;
    }
  }

  #numbers(found: Found): Numbers {
    return returned(found, Math.sqrt(this.#loop.gram.length));
  }

  #compared(): Compared[] {
    const found = this.#numbers(this.run.found);
    const lengths = [...this.settings.vectors.values()].map(({ data }) => data.reduce((sum, x) => sum + x * x, 0));
    const scale = scaleOf(this.#loop, Math.sqrt(lengths.reduce((a, b) => a + b, 0)), this.settings.maxNorm);
    return Object.entries(computed(this.#loop)).flatMap(([name, parts]) =>
      Object.entries(parts).flatMap(([part, expected]) =>
        pieces(name, expected.length).map(([start, end]): Compared => {
          const numbersOf = (numbers: Numbers) => numbers[name]?.[part]?.subarray(start, end) ?? [];
          const relativeTo = (difference: number) => relative(difference, scale(name, part));
          const errorOf = (numbers: Numbers) => relativeTo(furthest(numbersOf(numbers), expected.subarray(start, end)));
          const error = errorOf(found);
          return { want: name, part, numbersOf, relative: relativeTo, errorOf, error, alone: 0, ownRounding: 0 };
        }),
      ),
    );
  }

  /** The same numbers from float32 gradients. */
  async #fromAlone(alone: Pick<AloneOnDemand, "sample">, draw: number): Promise<InFloat64> {
    const all = new InFloat64(this.settings);
    for (let n = 0; n < this.#loop.samples; n++) {
      const gradients = await alone.sample(n, draw);
      all.add(new Map([...gradients].map(([name, { gradient }]) => [name, gradient])));
    }
    return all;
  }
}

/** Numbers of a want that one error judges. */
interface Compared {
  readonly want: string;
  readonly part: string;
  readonly numbersOf: (numbers: Numbers) => ArrayLike<number>;
  /** A difference relative to the scale of these numbers. */
  readonly relative: (difference: number) => number;
  readonly errorOf: (numbers: Numbers) => number;
  readonly error: number;
  alone: number;
  ownRounding: number;
}

/**
 * Wants with one number for each sample or pair, each judged by itself: the rounding of one does not explain another.
 */
const oneByOne = new Set(["norms", "noiseScale", "dot", "gram", "cosine", "cross", "project"]);

/** Where the numbers that are judged together start and end. */
function pieces(name: string, length: number): (readonly [number, number])[] {
  if (!oneByOne.has(name)) return [[0, length]];
  const size = name === "project" ? dims : 1;
  return Array.from({ length: length / size }, (_, k) => [k * size, (k + 1) * size]);
}

const isOf =
  (name: string) =>
  ({ want }: Compared) =>
    want === name;
const isRoundingOf = ({ error, alone }: Compared) => isRounding({ difference: error, alone });

/** The worst numbers of one want; if rounding explains only some, the worst of the others. */
function resultOf(compared: readonly Compared[]): CheckedWant {
  const beyond = compared.filter(({ error }) => error > tolerance.loop);
  const unexplained = beyond.filter((each) => !isRoundingOf(each));
  const of = unexplained.length > 0 ? unexplained : compared;
  const { want, part, error, alone, ownRounding } = of.reduce((most, each) => (each.error > most.error ? each : most));
  const own = { want, error, worst: part };
  if (beyond.length === 0) return own;
  if (unexplained.length === 0) return { ...own, cause: "rounding", aloneError: alone };
  return { ...own, cause: "difference", aloneError: alone, ownRounding };
}

/** A clip norm that about half of the samples' norms exceed. */
function settingsFor({ parameters }: Objective, own: readonly SampleGradients[]): Settings {
  const norms = own.map((gradients) => {
    const squares = [...gradients.values()].map((data) => Array.prototype.reduce.call(data, addSquare, 0) as number);
    return Math.sqrt(squares.reduce((a, b) => a + b, 0));
  });
  const usable = norms.filter((norm) => norm > 1e-12 && norm < 1e12).sort((a, b) => a - b);
  const shaped = [...parameters].map(([name, { shape }]) => [name, shape as readonly number[]] as const);
  return {
    maxNorm: usable[usable.length >> 1] ?? 1,
    dims,
    vectors: new Map(shaped.map(([name, shape]) => [name, vectorOf(shape)])),
    placed: new Map(shaped.map(([name, shape]) => [name, placedElements(drawShifts(seed, name, shape, dims))])),
  };
}

const addSquare = (sum: unknown, x: unknown) => (sum as number) + (x as number) ** 2;

function vectorOf(shape: readonly number[]): FloatTensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return { dtype: "float32", dims: shape, data: Float32Array.from({ length: size }, (_, i) => ((i * 7) % 11) - 4) };
}
