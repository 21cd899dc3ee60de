/** The self-test on a user's own model and data: a program against the naive loop, and the loop against finite differences. */
import type { Model } from "../model.js";
import { want } from "../plan/want.js";
import type { Data } from "../program/data.js";
import { type ObjectiveOptions, objectiveOf } from "../program/objective.js";
import { Program } from "../program/program.js";
import { AloneOnDemand, type CheckedParameter, Compared, LoopComparison, tolerance } from "./comparison.js";
import { Differences } from "./differences.js";
import { Oracle } from "./oracle.js";

export interface CheckOptions extends ObjectiveOptions {
  /** Samples compared with the loop, taken from the front. Default: all. */
  readonly samples?: number;
  /**
   * Elements of gradients compared with finite differences, in all: spread evenly over the parameters and the
   * samples, and chosen at random. Default: 4 of each parameter, at most 64. Each takes two forward passes of
   * the reference.
   */
  readonly differences?: number;
  /** Seed of that choice. Default 0. */
  readonly seed?: number;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Told after each gradient and each finite difference, and once before the first (`done` is 0). */
  readonly onProgress?: (done: number, total: number) => void;
}

export type { CheckedParameter } from "./comparison.js";

export interface CheckResult {
  readonly parameters: readonly CheckedParameter[];
  readonly samples: number;
  /**
   * The bounds that errors were held against. Up to `rounding`, an error against the loop passes where rounding
   * of float32 explains it.
   */
  readonly tolerance: { readonly loop: number; readonly difference: number; readonly rounding: number };
  /** Whether no parameter's cause is a difference. */
  readonly passed: boolean;
}

/**
 * Compares a program's per-sample gradients with the float64 loop over samples, and the loop with central
 * finite differences. Where the program is further off than the tolerance, the float32 gradient of that sample
 * alone tells whether that is rounding or a difference. Throws what compiling and running throw.
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
  const { threads } = options;
  const samples = Math.min(options.samples ?? oracle.samples, oracle.samples);
  const compared = [...objective.parameters.keys()].map((name) => new Compared(name));
  const loop = new LoopComparison(
    compared,
    new AloneOnDemand(objective, data, threads === undefined ? {} : { threads }),
  );
  const differences = new Differences(compared, oracle, samples, options);
  const total = samples + differences.total;
  const progress = (done: number) => options.onProgress?.(done, total);
  progress(0);
  try {
    for (let n = 0; n < samples; n++) {
      const { gradients: expected } = oracle.sample(n);
      await loop.add(n, (name) => ({
        actual: gradients[name]?.data ?? [],
        expected: expected.get(name) ?? new Float64Array(),
      }));
      progress(n + 1 + differences.done);
      differences.add(n, expected, () => progress(n + 1 + differences.done));
    }
  } finally {
    await loop.alone.release();
  }
  const parameters = compared.map((each) => each.result(loop.scaleOf(each)));
  return { parameters, samples, tolerance, passed: parameters.every(({ cause }) => cause !== "difference") };
}
