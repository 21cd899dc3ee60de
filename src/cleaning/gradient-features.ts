/** Gradients as features of samples: projected at random, so that inner products are preserved. */
import { type Objective, type ObjectiveOptions, objectiveOf } from "../compile/objective.js";
import { bindShape } from "../graph/dim.js";
import type { Loss } from "../nn/loss.js";
import type { Dataset } from "../program/given-data.js";
import { type Running, runningOf } from "../program/options.js";
import { Program } from "../program/program.js";
import { random } from "../tensor/random.js";
import { sizeOf } from "../tensor/tensor.js";
import { constant } from "../trace/functions.js";
import type { Traced } from "../trace/traced.js";
import { want } from "../wants/want.js";

/** `[N, dims]` in row-major order. */
export interface ProjectedGradients {
  readonly samples: number;
  readonly dims: number;
  readonly data: Float32Array;
}

/**
 * The most weights of the output that are drawn: for larger outputs, those of their last axis are drawn and repeated.
 */
const maxWeights = 2 ** 20;

/**
 * A loss that does not depend on labels: the output, weighted by random numbers that are the same for all samples. The
 * inner product of two samples' gradients is then a random sample of their neural tangent kernel.
 */
function labelFree(seed: number): Loss {
  return {
    name: "label_free",
    target: () => null,
    apply: (output: Traced) => {
      const own = bindShape(output.value.shape.slice(1), 0);
      const dims = sizeOf(own) <= maxWeights ? own : own.slice(-1);
      const weights = constant({ dtype: "float32", dims, data: random(seed).normals(sizeOf(dims), 1) });
      const axes = own.map((_, k) => k + 1);
      const weighted = output.mul(weights.cast(output.dtype));
      return axes.length === 0 ? weighted : weighted.sum(axes);
    },
  };
}

export interface ProjectOptions extends Running {
  readonly dims: number;
  readonly allowNotFinite: boolean;
}

/** The gradients of the loss itself. */
export async function lossFeatures(
  objective: Objective,
  dataset: Dataset,
  options: ProjectOptions,
): Promise<ProjectedGradients> {
  const { dims, allowNotFinite } = options;
  const program = await Program.of(objective, {
    loss: objective.loss,
    ...runningOf(options),
    want: { projected: want.project({ dims, seed: 1 }) },
  });
  try {
    const run = { allowNotFinite, notFinite: "ignore", inPlace: true } as const;
    const { data } = (await program.runAll(dataset, run)).projected;
    return { samples: data.length / dims, dims, data };
  } finally {
    await program.release();
  }
}

/** Gradients that do not depend on labels: those of a random sum of the model's outputs. */
export async function outputFeatures(
  objective: Objective,
  given: ObjectiveOptions,
  dataset: Dataset,
  options: ProjectOptions,
): Promise<ProjectedGradients> {
  const output = given.output ?? objective.loss.output;
  const own = objectiveOf(objective.model, {
    loss: labelFree(2),
    ...(output === undefined ? {} : { output }),
    ...(given.outputSampleAxis === undefined ? {} : { outputSampleAxis: given.outputSampleAxis }),
    parameters: [...objective.parameters.keys()],
  });
  return lossFeatures(own, dataset, options);
}

/** Replaces rows that hold NaN or infinity by zeros: nothing is known about them, and other rows stay as they are. */
export function finiteOnly({ samples, dims, data }: ProjectedGradients): ProjectedGradients {
  const kept = data.slice();
  for (let n = 0; n < samples; n++) {
    const row = kept.subarray(n * dims, (n + 1) * dims);
    if (!row.every(Number.isFinite)) row.fill(0);
  }
  return { samples, dims, data: kept };
}

/** Whether a row is all zeros. */
export function isZero({ dims, data }: ProjectedGradients, n: number): boolean {
  return data.subarray(n * dims, (n + 1) * dims).every((x) => x === 0);
}

/** Rows scaled to length 1; rows that are zero or not finite become zeros. */
export function normalised({ samples, dims, data }: ProjectedGradients): ProjectedGradients {
  const scaled = new Float32Array(data.length);
  for (let n = 0; n < samples; n++) {
    const row = data.subarray(n * dims, (n + 1) * dims);
    const length = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
    if (length > 0 && Number.isFinite(length))
      for (let k = 0; k < dims; k++) scaled[n * dims + k] = (row[k] ?? 0) / length;
  }
  return { samples, dims, data: scaled };
}
