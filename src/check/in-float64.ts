/** Computes wants in float64 from given gradients, one sample after another. */

import type { PlacedElements } from "../gradients/shifts.js";
import { nth, present } from "../present.js";
import type { FloatTensor } from "../wants/want.js";

/** One sample's gradients by parameter. */
export type SampleGradients = ReadonlyMap<string, ArrayLike<number>>;

export interface Settings {
  readonly maxNorm: number;
  readonly vectors: ReadonlyMap<string, FloatTensor>;
  readonly placed: ReadonlyMap<string, PlacedElements>;
  /** The dimensions of a projection. */
  readonly dims: number;
}

/** What is known of one parameter. */
interface Sums {
  readonly mean: Float64Array;
  /** Sums of squared deviations from the mean: Welford 1962, "Note on a method for calculating corrected sums of squares". */
  readonly deviations: Float64Array;
  readonly clipped: Float64Array;
  readonly squaredNorms: number[];
  /** The largest element of all samples. */
  peak: number;
}

/** The number of samples whose gradients are held to compare inner products. */
const maxPairs = 3;

export class InFloat64 {
  readonly parameters = new Map<string, Sums>();
  readonly squaredNorms: number[] = [];
  readonly dots: number[] = [];
  /** `dims` numbers for each sample. */
  readonly projected: number[] = [];
  /** Inner products with the first sample. */
  readonly withFirst: number[] = [];
  readonly #first: SampleGradients[] = [];

  constructor(private readonly settings: Settings) {}

  get samples(): number {
    return this.squaredNorms.length;
  }

  /** Inner products of all pairs of the first few samples. */
  get gram(): Float64Array {
    return Float64Array.from(this.#first.flatMap((a) => this.#first.map((b) => products(a, b))));
  }

  add(gradients: SampleGradients): this {
    const { maxNorm, vectors, placed, dims } = this.settings;
    const squares = [...gradients.values()].map((own) => product(own, own));
    const square = squares.reduce((sum, x) => sum + x, 0);
    const factor = Math.min(1, maxNorm / Math.sqrt(square));
    const projected = new Float64Array(dims);
    const count = this.samples + 1;
    let dot = 0;
    [...gradients].forEach(([name, own], k) => {
      const sums = this.#sumsOf(name, own.length);
      sums.squaredNorms.push(nth(squares, k));
      sums.peak = Math.max(sums.peak, take(own, sums, count, factor));
      dot += product(own, vectors.get(name)?.data ?? []);
      project(own, present(placed.get(name)), projected);
    });
    this.squaredNorms.push(square);
    this.dots.push(dot);
    this.projected.push(...projected);
    if (this.#first.length < maxPairs) this.#first.push(gradients);
    this.withFirst.push(products(nth(this.#first, 0), gradients));
    return this;
  }

  #sumsOf(name: string, size: number): Sums {
    const known = this.parameters.get(name);
    if (known) return known;
    const fresh = () => new Float64Array(size);
    const sums: Sums = { mean: fresh(), deviations: fresh(), clipped: fresh(), squaredNorms: [], peak: 0 };
    this.parameters.set(name, sums);
    return sums;
  }
}

function product(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

function products(a: SampleGradients, b: SampleGradients): number {
  return [...a].reduce((sum, [name, own]) => sum + product(own, b.get(name) ?? []), 0);
}

/** Adds the `count`-th sample to the sums; returns its largest element. */
function take(gradient: ArrayLike<number>, { mean, deviations, clipped }: Sums, count: number, factor: number): number {
  let largest = 0;
  for (let i = 0; i < gradient.length; i++) {
    const x = gradient[i] as number;
    const before = x - (mean[i] as number);
    mean[i] = (mean[i] as number) + before / count;
    deviations[i] = (deviations[i] as number) + before * (x - (mean[i] as number));
    clipped[i] = (clipped[i] as number) + factor * x;
    largest = Math.max(largest, Math.abs(x));
  }
  return largest;
}

/** Adds each element, with its sign, to its place. */
function project(gradient: ArrayLike<number>, { places, signs }: PlacedElements, to: Float64Array): void {
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as number;
    to[place] = (to[place] as number) + (signs[i] as number) * (gradient[i] as number);
  }
}
