/** The self-test on a user's own model and data: a program against the naive loop, and the loop against finite differences. */

import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { Model } from "../model.js";
import { want } from "../plan/want.js";
import type { Data } from "../program/data.js";
import { type ObjectiveOptions, objectiveOf } from "../program/objective.js";
import { Program } from "../program/program.js";
import { Oracle } from "./oracle.js";

export interface CheckOptions extends ObjectiveOptions {
  /** Samples compared with the loop, taken from the front. Default: all. */
  readonly samples?: number;
  /**
   * Elements per parameter compared with finite differences, chosen at random. Default 4, or as few as 1 where
   * that makes more than 256 in all: each takes two forward passes of the reference.
   */
  readonly differences?: number;
  /** Seed of that choice. Default 0. */
  readonly seed?: number;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface CheckedParameter {
  readonly parameter: string;
  /** max |program - loop| over max |loop| (at least a thousandth of the largest of any parameter), over all samples compared. */
  readonly loopError: number;
  /** The sample in which the program differs most from the loop. */
  readonly worstSample: number;
  /** max |loop - finite difference| over max |loop|, over the elements tried. */
  readonly differenceError: number;
}

export interface CheckResult {
  readonly parameters: readonly CheckedParameter[];
  readonly samples: number;
  /** The bounds that errors were held against. */
  readonly tolerance: { readonly loop: number; readonly difference: number };
  readonly passed: boolean;
}

/** Relative error allowed between a float32 program and the float64 loop, and between the loop and finite differences. */
const tolerance = { loop: 1e-4, difference: 1e-4 };

/**
 * A gradient that vanishes identically (a bias before a normalisation) is rounding error alone, which has no
 * relative size: errors are measured against at least this part of the model's largest gradient.
 */
const vanishing = 1e-3;

/**
 * Compares a program's per-sample gradients with the float64 loop over samples, and the loop with central
 * finite differences. Throws what compiling and running throw.
 */
export async function check(
  model: Model,
  data: Readonly<Record<string, Data>>,
  options: CheckOptions,
): Promise<CheckResult> {
  const objective = objectiveOf(model, options);
  const oracle = new Oracle(objective, data);
  const program = await Program.compile(model, { ...options, want: { gradients: want.gradients() } });
  const { gradients } = await program.run(data, { allowNotFinite: true });
  await program.release();
  const samples = Math.min(options.samples ?? oracle.samples, oracle.samples);
  const names = [...objective.parameters.keys()];
  const loops = new Map(names.map((name) => [name, new Comparison()]));
  const differences = new Map(names.map((name) => [name, new Comparison()]));
  const random = xoroshiro128plus(options.seed ?? 0);
  const tried = options.differences ?? Math.min(4, Math.max(1, Math.floor(256 / names.length)));
  for (let n = 0; n < samples; n++) {
    const { gradients: loop } = oracle.sample(n);
    for (const name of names) {
      const own = gradients[name]?.data;
      const expected = loop.get(name) as Float64Array;
      for (let i = 0; i < expected.length; i++) {
        loops.get(name)?.add(own?.[n * expected.length + i] ?? 0, expected[i] as number, n);
      }
      // A few elements of every parameter, spread over the samples.
      for (let k = n; k < tried && expected.length > 0; k += samples) {
        const at = uniformInt(random, 0, expected.length - 1);
        differences.get(name)?.add(oracle.difference(name, n, at), expected[at] as number, n);
      }
    }
    options.onProgress?.(n + 1, samples);
  }
  return summary(names, samples, loops, differences);
}

function summary(
  names: readonly string[],
  samples: number,
  loops: ReadonlyMap<string, Comparison>,
  differences: ReadonlyMap<string, Comparison>,
): CheckResult {
  const largest = Math.max(...[...loops.values()].map((loop) => loop.scale));
  const parameters = names.map((parameter) => {
    const [loop, difference] = [loops.get(parameter) as Comparison, differences.get(parameter) as Comparison];
    return {
      parameter,
      loopError: loop.relative(Math.max(loop.scale, vanishing * largest)),
      worstSample: loop.worst,
      differenceError: difference.relative(Math.max(loop.scale, vanishing * largest)),
    };
  });
  const passed = parameters.every(
    (each) => each.loopError <= tolerance.loop && each.differenceError <= tolerance.difference,
  );
  return { parameters, samples, tolerance, passed };
}

/** The largest difference seen, and the largest expected number. NaN where exactly one side is NaN. */
class Comparison {
  #difference = 0;
  scale = 0;
  worst = 0;

  add(actual: number, expected: number, sample: number): void {
    if (Object.is(actual, expected)) return;
    const difference = Math.abs(actual - expected);
    if (Number.isNaN(difference) || difference > this.#difference) {
      this.#difference = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
      this.worst = sample;
    }
    if (Number.isFinite(expected)) this.scale = Math.max(this.scale, Math.abs(expected));
  }

  relative(scale: number): number {
    return this.#difference === 0 ? 0 : this.#difference / (scale || 1);
  }
}
