/** The loop against finite differences: a few elements, spread over parameters and samples. */
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { type Compared, furthest, largestFinite } from "./comparison.js";
import type { Oracle } from "./oracle.js";

/** Elements tried where the user does not say: of each parameter, and in all. */
const defaults = { each: 4, all: 64 };

/**
 * Tried in turn, each times the size of the element (at least 1). The first is small enough that few activations
 * cross a kink, and its rounding, of about 1e-8, is well below what is close enough.
 */
const steps = [1e-7, 1e-8, 1e-6, 1e-5];
/** Of the parameter's largest gradient: an error that no other step need improve. */
const closeEnough = 1e-5;

export interface DifferencesOptions {
  readonly differences?: number;
  readonly seed?: number;
}

export class Differences {
  readonly #oracle: Oracle;
  readonly #random;
  /** What is tried: of which parameter, in which sample. */
  readonly #tries: readonly (readonly [Compared, number])[];
  done = 0;

  constructor(compared: readonly Compared[], oracle: Oracle, samples: number, options: DifferencesOptions) {
    const { seed = 0, differences } = options;
    const filled = compared.filter(({ parameter }) => oracle.sizeOf(parameter) > 0);
    const wanted = differences ?? Math.min(defaults.each * filled.length, defaults.all);
    const length = filled.length === 0 || samples === 0 ? 0 : wanted;
    this.#oracle = oracle;
    this.#random = xoroshiro128plus(seed);
    // Evenly: k runs over the parameters once while it goes round the samples.
    this.#tries = Array.from({ length }, (_, k) => [
      filled[Math.floor((k * filled.length) / length)] as Compared,
      k % samples,
    ]);
  }

  get total(): number {
    return this.#tries.length;
  }

  /** Tries what is to be tried in sample n, whose gradients by the loop these are. */
  add(n: number, gradients: ReadonlyMap<string, Float64Array>, onDone: () => void): void {
    for (const [each, sample] of this.#tries) {
      if (sample !== n) continue;
      const expected = gradients.get(each.parameter) ?? new Float64Array();
      const at = uniformInt(this.#random, 0, expected.length - 1);
      const difference = this.#difference(each.parameter, n, at, expected);
      each.finiteDifference = Math.max(each.finiteDifference ?? 0, difference);
      this.done++;
      onDone();
    }
  }

  /**
   * How far the gradient is from differences of the step that suits it best: a weight that thousands of
   * activations depend on moves some of them over a kink, ever fewer as the step shrinks, while rounding grows.
   * A wrong gradient is wrong at every step.
   */
  #difference(parameter: string, n: number, at: number, gradient: Float64Array): number {
    const [expected, scale] = [gradient.subarray(at, at + 1), largestFinite(gradient)];
    let least = Number.POSITIVE_INFINITY;
    for (const step of steps) {
      least = Math.min(least, furthest([this.#oracle.difference(parameter, n, at, step)], expected));
      if (least <= closeEnough * scale) break;
    }
    return least;
  }
}
