/** Compares a program's products of curvature and vector with the same products for single samples in float64. */

import type { Objective, ObjectiveOptions } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import { present } from "../present.js";
import { prepare } from "../program/feeds.js";
import type { RuntimeOptions } from "../target/runtime.js";
import type { Data } from "../tensor/data.js";
import { type ByParameter, want } from "../wants/want.js";
import { AloneValues } from "./alone-values.js";
import { draws, furthest, isRounding, largestFinite, relative, tolerance } from "./comparison.js";
import { type OnFirstSamples, onFirstSamples } from "./first-samples.js";
import { type Judged, resultOf, seeOwnRounding } from "./judged.js";
import type { ReferenceParts } from "./oracle.js";
import { type PlainProducts, type ProductName, productNames, type SkippedWant } from "./products.js";
import type { CheckedWant } from "./wants.js";
import { workOf } from "./work.js";

/** The most samples that the program runs on. */
const mostSamples = 8;
/** The number of numbers that the reference reads and writes in negligible time. */
const cheap = 2 ** 22;
/**
 * Products for one sample take the reference some seven times as long as its gradients: too long if there are fewer
 * samples than this.
 */
const enoughSamples = 16;

/**
 * Products below this share of the model's largest product, or of its largest gradient, are compared with that share:
 * they may be identically zero, and consist of rounding errors only.
 */
const vanishing = 1e-3;

type Found = Partial<Record<ProductName, ByParameter>>;
type Parts = ReferenceParts & Pick<PlainProducts, "vectors" | "skipped">;

/** One parameter's product in one sample. */
interface ComparedProduct extends Judged {
  readonly want: ProductName;
  readonly sample: number;
  readonly expected: Float64Array;
  alone: number;
}

/** What a check says of these wants. */
export interface ComparedCurvature {
  readonly wants: readonly CheckedWant[];
  readonly skipped: readonly SkippedWant[];
}

interface Run {
  readonly run: OnFirstSamples<Found> | null;
  readonly skipped: readonly SkippedWant[];
}

export class CurvatureComparison {
  readonly #run: OnFirstSamples<Found> | null;
  readonly #skipped: SkippedWant[];
  readonly #expected = new Map<number, ReadonlyMap<string, Float64Array>>();
  /** The largest element of a gradient in the samples so far. */
  #slope = 0;

  private constructor(
    { run, skipped }: Run,
    /** The samples whose products are to be added. */
    readonly chosen: ReadonlySet<number>,
    private readonly parameters: readonly string[],
    private readonly compileAlone: () => Promise<AloneValues>,
  ) {
    this.#run = run;
    this.#skipped = [...skipped];
  }

  /**
   * Runs a program on the first few samples. If the reference takes long, one of them is compared: the last, so that a
   * mix-up between samples shows.
   */
  static async run(
    objective: Objective,
    data: Readonly<Record<string, Data>>,
    options: ObjectiveOptions & RuntimeOptions & { readonly samples: number },
    parts: Parts,
  ): Promise<CurvatureComparison> {
    const samples = Math.min(options.samples, mostSamples);
    const isCheap = workOf([...parts.products.values()]) * samples <= cheap;
    const ran =
      parts.products.size === 0 || isCheap || options.samples >= enoughSamples
        ? await runOf(objective, data, { ...options, samples }, parts)
        : { run: null, skipped: tooLong(parts) };
    const compared = Array.from({ length: ran.run ? samples : 0 }, (_, n) => n);
    const { threads } = options;
    const compileAlone = () => {
      const { feeds } = prepare(data, objective.expected, true);
      const given = new Map([...parts.vectors.values()].map(({ value, tensor }) => [value, tensor]));
      return AloneValues.compile(objective, feeds, parts.products, given, threads === undefined ? {} : { threads });
    };
    const chosen = new Set(isCheap ? compared : compared.slice(-1));
    return new CurvatureComparison(ran, chosen, parts.names, compileAlone);
  }

  /** Takes one sample's products in float64, and its gradients. */
  add(sample: number, products: ReadonlyMap<string, Float64Array>, gradients: ReadonlyMap<string, Float64Array>): void {
    this.#expected.set(sample, products);
    this.#slope = Math.max(this.#slope, ...[...gradients.values()].map(largestFinite));
  }

  async results(): Promise<ComparedCurvature> {
    if (!this.#run) return { wants: [], skipped: this.#skipped };
    const compared = this.#compared(this.#run.found);
    const scaleOf = this.#scales(compared);
    const errorOf = (each: ComparedProduct) => relative(each.difference, scaleOf(each));
    const beyond = compared.filter((each) => errorOf(each) > tolerance.loop);
    if (beyond.length > 0) await this.#seeAlone(beyond);
    const unexplained = beyond.filter((each) => !isRounding(each));
    await seeOwnRounding(unexplained, this.#run, (moved, { want: name, parameter, sample, expected }) =>
      ofSample(moved[name] ?? {}, parameter, sample, expected.length),
    );
    const wants = productNames.flatMap((name) => {
      const own = compared.filter((each) => each.want === name);
      return own.length === 0 ? [] : [resultOf(name, own, scaleOf)];
    });
    return { wants, skipped: this.#skipped };
  }

  /** Leaves out those with a number that is not finite: how float32 computes these says nothing. */
  #compared(found: Found): ComparedProduct[] {
    return productNames.flatMap((name) => {
      const own = found[name];
      if (!own) return [];
      const all = [...this.#expected].flatMap(([sample, products]) =>
        this.parameters.map((parameter): ComparedProduct => {
          const expected = present(products.get(`${name}/${parameter}`));
          const numbers = ofSample(own, parameter, sample, expected.length);
          const difference = furthest(numbers, expected);
          return { want: name, parameter, sample, expected, found: numbers, difference, alone: 0, ownRounding: 0 };
        }),
      );
      const lost = all.find(({ expected }) => !expected.every(Number.isFinite));
      if (!lost) return all;
      const { parameter, sample } = lost;
      const reason = `In float64 it is not finite, for "${parameter}" in sample ${sample}.`;
      this.#skipped.push({ want: name, reason });
      return [];
    });
  }

  /** What differences are relative to: the parameter's largest product over all samples. */
  #scales(compared: readonly ComparedProduct[]): (each: ComparedProduct) => number {
    const peaks = new Map<string, number>();
    let most = this.#slope;
    for (const { want: name, parameter, expected } of compared) {
      const [key, peak] = [`${name}/${parameter}`, largestFinite(expected)];
      peaks.set(key, Math.max(peaks.get(key) ?? 0, peak));
      most = Math.max(most, peak);
    }
    return ({ want: name, parameter }) => Math.max(peaks.get(`${name}/${parameter}`) ?? 0, vanishing * most);
  }

  async #seeAlone(beyond: readonly ComparedProduct[]): Promise<void> {
    const alone = await this.compileAlone();
    try {
      for (let draw = 0; draw < draws && !beyond.every(isRounding); draw++) {
        for (const sample of new Set(beyond.map((each) => each.sample))) {
          const values = await alone.sample(sample, draw);
          for (const each of beyond.filter((other) => other.sample === sample)) {
            const own = values[`${each.want}/${each.parameter}`]?.data;
            const numbers = own instanceof Float32Array ? own : [];
            each.alone = Math.max(each.alone, furthest(numbers, each.expected));
          }
        }
      }
    } finally {
      await alone.release();
    }
  }
}

function tooLong({ skipped }: Parts): SkippedWant[] {
  const reason = `The reference of this model would take too long beside so few samples; check ${enoughSamples} or more.`;
  return productNames.map((name) => skipped.find((each) => each.want === name) ?? { want: name, reason });
}

/**
 * Undefined if no product has a second derivative, or the program refuses one. Throws what compiling and running throw.
 */
async function runOf(
  objective: Objective,
  data: Readonly<Record<string, Data>>,
  options: ObjectiveOptions & { readonly samples: number },
  { vectors, products, skipped }: Parts,
): Promise<Run> {
  const names = productNames.filter((name) => !skipped.some((each) => each.want === name));
  if (options.samples === 0 || products.size === 0) return { run: null, skipped };
  const vector = Object.fromEntries([...vectors].map(([name, { tensor }]) => [name, tensor]));
  const make = { hvp: want.hvp({ vector }), ggnProduct: want.ggnProduct({ vector }) };
  const wants = Object.fromEntries(names.map((name) => [name, make[name]]));
  try {
    return { run: await onFirstSamples(objective, data, options, () => wants), skipped };
  } catch (error) {
    if (!(error instanceof PergradError) || error.code !== "UNSUPPORTED_OP") throw error;
    return { run: null, skipped: [...skipped, ...names.map((name) => ({ want: name, reason: error.message }))] };
  }
}

/** A parameter's numbers in one sample. */
function ofSample(of: ByParameter, parameter: string, sample: number, size: number): ArrayLike<number> {
  return of[parameter]?.data.subarray(sample * size, (sample + 1) * size) ?? [];
}
