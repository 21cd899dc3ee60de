/** The loop against finite differences: a few elements, spread over parameters and samples. */
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { type Compared, furthest } from "./comparison.js";
import type { Oracle } from "./oracle.js";

/** Elements tried where the user does not say: of each parameter, and in all. */
const defaults = { each: 4, all: 64 };

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
      const found = [this.#oracle.difference(each.parameter, n, at)];
      each.finiteDifference = Math.max(each.finiteDifference ?? 0, furthest(found, expected.subarray(at, at + 1)));
      this.done++;
      onDone();
    }
  }
}
