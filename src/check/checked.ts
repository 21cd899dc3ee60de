/** The self-test on a user's own model and data: a program against the naive loop, and the loop against finite differences. */

import { type Objective, type ObjectiveOptions, objectiveOf } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import type { Observer } from "../inspect/observe.js";
import { withMissing } from "../missing.js";
import { present } from "../present.js";
import { Program } from "../program/program.js";
import type { Data } from "../tensor/data.js";
import { areFinite } from "../tensor/finite.js";
import { sizeOf } from "../tensor/tensor.js";
import { type ByParameter, want } from "../wants/want.js";
import { AloneOnDemand, LoopComparison, ParameterErrors, tolerance } from "./comparison.js";
import { CurvatureComparison } from "./curvature.js";
import { Differences } from "./differences.js";
import type { References } from "./in-this-thread.js";
import { comparedMatrices } from "./matrices.js";
import { Reference, referenceParts } from "./oracle.js";
import { referencesOf } from "./references.js";
import type { CheckedNotFinite, CheckOptions, CheckResult } from "./types.js";
import { WantsComparison } from "./wants.js";

/** See `check`. */
export async function checked(
  model: Model,
  data: Readonly<Record<string, Data>>,
  given: CheckOptions,
): Promise<CheckResult> {
  const { observe, secondDerivatives = true, ...options } = given;
  const objective = await withMissing(() => objectiveOf(model, options));
  const parts = referenceParts(objective, data, secondDerivatives);
  const { threads, signal } = options;
  signal?.throwIfAborted();
  const samples = Math.min(options.samples ?? parts.samples, parts.samples);
  const compared = [...objective.parameters.keys()].map((name) => new ParameterErrors(name));
  const differences = new Differences(compared, new Reference(parts), samples, options);
  const references = referencesOf(parts, samples + differences.total / 8, threads);
  const alone = new AloneOnDemand(objective, data, threads === undefined ? {} : { threads });
  const loop = new LoopComparison(compared, alone);
  const pending = new Pending();
  try {
    // Other threads begin while this one compiles the programs.
    const ahead = new Ahead(references, samples);
    if (references.lanes > 1) ahead.begin();
    const { gradients, wants, curvature, matrices } = await programsOf(
      objective,
      data,
      { ...options, samples, ...(observe ? { observe } : {}) },
      parts,
    );
    const progress = counting(samples + differences.total, options.onProgress);
    const notFinite: CheckedNotFinite[] = [];
    for (let n = 0; n < samples; n++) {
      // If this thread computes the reference, the caller must get a turn to abort.
      if (signal) await new Promise((resolve) => setTimeout(resolve));
      signal?.throwIfAborted();
      const expected = await ahead.take(n);
      await loop.add(n, (name) => ({
        actual: gradients[name]?.data ?? [],
        expected: expected.get(name) ?? new Float64Array(),
      }));
      for (const [parameter, gradient] of expected) if (!areFinite(gradient)) notFinite.push({ sample: n, parameter });
      wants?.add(expected);
      if (curvature.chosen.has(n))
        pending.add(references.products(n).then((products) => curvature.add(n, products, expected)));
      progress(1);
      progress(differences.without(n, expected));
      for (const group of differences.groups(n, expected, (each) => loop.scaleOf(each))) {
        const told = references.differences(n, group.tries).then((errors) => {
          for (const [k, each] of group.compared.entries()) each.seeDifference(errors[k] ?? null);
          progress(group.tries.length);
        });
        pending.add(told);
      }
      if (references.lanes === 1) await pending.all();
    }
    await pending.all();
    const products = await curvature.results();
    const others = [...((await wants?.results(alone)) ?? []), ...products.wants, ...matrices.wants];
    const skipped = [...products.skipped, ...matrices.skipped];
    const parameters = compared.map((each) => each.result(loop.scaleOf(each)));
    const passed = [...parameters, ...others].every(({ cause }) => cause !== "difference");
    return { parameters, wants: others, skipped, notFinite, samples, tolerance, passed };
  } finally {
    await Promise.all([alone.release(), references.release(), pending.settled()]);
  }
}

/** The results of the programs: gradients, and everything else that is compared. */
async function programsOf(
  objective: Objective,
  data: Readonly<Record<string, Data>>,
  { observe, ...options }: ObjectiveOptions & CheckOptions & { readonly samples: number },
  parts: ReturnType<typeof referenceParts>,
) {
  const gradients = await gradientsOf(objective, data, observe ? { ...options, observe } : options);
  const own = Array.from({ length: options.samples }, (_, n) => sampleOf(gradients, n));
  return {
    gradients,
    wants: options.samples === 0 ? null : await WantsComparison.run(objective, data, options, own),
    curvature: await CurvatureComparison.run(objective, data, options, parts),
    matrices: await comparedMatrices(objective, data, options, parts, gradients),
  };
}

async function gradientsOf(
  objective: Objective,
  data: Readonly<Record<string, Data>>,
  options: ObjectiveOptions & { readonly observe?: Observer },
): Promise<ByParameter> {
  const program = await Program.of(objective, { ...options, want: { gradients: want.gradients() } });
  const { gradients } = await program.run(data, { allowNotFinite: true, notFinite: "ignore" });
  await program.release();
  return gradients;
}

/** One sample's part of a program's gradients. */
function sampleOf(gradients: ByParameter, n: number): Map<string, Float32Array> {
  return new Map(
    Object.entries(gradients).map(([name, { data, dims }]) => {
      const size = sizeOf(dims.slice(1));
      return [name, data.subarray(n * size, (n + 1) * size)];
    }),
  );
}

/** Reports each step, and once before the first. */
function counting(total: number, onProgress: CheckOptions["onProgress"]): (steps: number) => void {
  let done = 0;
  onProgress?.(done, total);
  return (steps) => {
    for (let k = 0; k < steps; k++) onProgress?.(++done, total);
  };
}

/** Computations that are still running. */
class Pending {
  readonly #all: Promise<void>[] = [];

  add(one: Promise<void>): void {
    // The error is thrown when all of them are awaited.
    one.catch(() => undefined);
    this.#all.push(one);
  }

  async all(): Promise<void> {
    await Promise.all(this.#all);
  }

  /** Waits until all have ended, with or without an error. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#all);
  }
}

/** The loop's gradients of one sample after another; as many samples as there are threads are computed ahead. */
class Ahead {
  readonly #asked: Promise<ReadonlyMap<string, Float64Array>>[] = [];

  constructor(
    private readonly references: References,
    private readonly samples: number,
  ) {}

  begin(): void {
    this.#upTo(this.references.lanes);
  }

  /** The gradients of sample n, which must be the one after the last taken. */
  async take(n: number): Promise<ReadonlyMap<string, Float64Array>> {
    this.#upTo(n + this.references.lanes);
    const gradients = present(await this.#asked[n]);
    delete this.#asked[n];
    return gradients;
  }

  #upTo(end: number): void {
    for (let n = this.#asked.length; n < Math.min(end, this.samples); n++) {
      const asked = this.references.gradients(n);
      // The error is thrown when it is the sample's turn.
      asked.catch(() => undefined);
      this.#asked.push(asked);
    }
  }
}
