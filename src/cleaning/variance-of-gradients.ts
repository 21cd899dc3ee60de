/** Variance of gradients (Agarwal et al. 2022): how the gradient in a sample's inputs varies over the checkpoints. */
import { grad } from "../autodiff/grad.js";
import type { Objective } from "../compile/objective.js";
import type { Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import { build } from "../ops/registry.js";
import { entryOf } from "../present.js";
import { type Compiled, compiled } from "../program/compiled.js";
import type { Prepared } from "../program/feeds.js";
import { floatsIn, isFloat, type Tensor } from "../tensor/tensor.js";
import { input } from "../trace/functions.js";
import { Traced } from "../trace/traced.js";
import type { Parameters } from "./following.js";
import type { Targets } from "./targets.js";

export interface Vog {
  /**
   * Standard deviations over the checkpoints (divided by their number), averaged over the elements of the inputs,
   * `[N]`.
   */
  readonly vog: Float32Array;
  /** The same with variances. */
  readonly vogVariance: Float32Array;
}

/** Not a name that an input of a model can have. */
const labelsName = "/labels";

/**
 * Of the gradient of the label's score in all floating-point inputs, element by element; 0 for samples without a label.
 * Not normalised by class. Undefined if there are no classes, no several checkpoints, or no such inputs.
 * @param pieces the data in pieces, each at most as large as a run may be
 */
export async function varianceOfGradients(
  objective: Objective,
  pieces: AsyncIterable<Prepared>,
  targets: Targets,
  checkpoints: readonly Parameters[],
): Promise<Vog | undefined> {
  if (targets.kind !== "classes" || checkpoints.length < 2) return undefined;
  const { graph, sampleAxes } = objective.model;
  const inputs = graph.inputs.filter(({ name, dtype }) => isFloat(dtype) && (sampleAxes[name] ?? null) !== null);
  if (inputs.length === 0) return undefined;
  const gradients = inputGradients(objective, inputs);
  const needed = new Set(leavesOf(Object.values(gradients).map(({ value }) => value)).map(({ name }) => name));
  const program = await compiled(gradients);
  const found: { readonly deviation: number; readonly variance: number }[] = [];
  try {
    for await (const { feeds, samples } of pieces) {
      const own = targets.labels.subarray(found.length, found.length + samples);
      const at = await courses(program, { ...feeds, [labelsName]: places(own) }, checkpoints, needed);
      own.forEach((label, n) => {
        found.push(label < 0 ? { deviation: 0, variance: 0 } : spread(at, n, samples));
      });
    }
  } finally {
    await program.release();
  }
  return {
    vog: Float32Array.from(found, ({ deviation }) => deviation),
    vogVariance: Float32Array.from(found, ({ variance }) => variance),
  };
}

/** Samples first. Samples do not interact, so the gradient of the sum holds each sample's own. */
function inputGradients({ model, output }: Objective, inputs: readonly Value[]): Record<string, Traced> {
  const labels = input(labelsName, ["N"], "int64");
  const score = new Traced(output).gatherElements(labels.unsqueeze(1), 1).sum();
  const found = grad(
    score,
    inputs.map((value) => new Traced(value)),
  );
  const first = found.map(({ value }, k) => build.moveAxis(value, model.sampleAxes[inputs[k]?.name ?? ""] ?? 0, 0));
  return Object.fromEntries(first.map((value, k) => [`gradient${k}`, new Traced(value)]));
}

/** The class whose score is differentiated. For samples without a label it is the first, and the result is discarded. */
function places(labels: Int32Array): Tensor<"int64"> {
  return {
    dtype: "int64",
    dims: [labels.length],
    data: BigInt64Array.from(labels, (label) => BigInt(Math.max(0, label))),
  };
}

/** The gradients of a piece, by checkpoint and input. */
async function courses(
  program: Compiled<Record<string, Traced>>,
  given: Readonly<Record<string, Tensor>>,
  checkpoints: readonly Parameters[],
  needed: ReadonlySet<string>,
): Promise<Float32Array[][]> {
  const at: Float32Array[][] = [];
  for (const parameters of checkpoints) {
    const all = Object.entries({ ...given, ...parameters }).filter(([name]) => needed.has(name));
    const results = await program.run(Object.fromEntries(all), { notFinite: "ignore" });
    at.push(Object.keys(results).map((name) => floatsIn(entryOf(results, name))));
  }
  return at;
}

/** For the elements of sample `n`: the means of their standard deviations and variances over the checkpoints. */
function spread(at: readonly (readonly Float32Array[])[], n: number, samples: number) {
  let [deviation, variance, elements] = [0, 0, 0];
  const [first = []] = at;
  for (let k = 0; k < first.length; k++) {
    const size = (first[k]?.length ?? 0) / samples;
    const rows = at.map((own) => own[k] ?? new Float32Array());
    for (let i = n * size; i < (n + 1) * size; i++) {
      const mean = rows.reduce((sum, row) => sum + (row[i] ?? 0), 0) / rows.length;
      const own = rows.reduce((sum, row) => sum + ((row[i] ?? 0) - mean) ** 2, 0) / rows.length;
      deviation += Math.sqrt(own);
      variance += own;
    }
    elements += size;
  }
  return { deviation: deviation / Math.max(1, elements), variance: variance / Math.max(1, elements) };
}
