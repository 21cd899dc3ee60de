/** `predict`: a model's outputs for a data set. */
import { SampleAxes } from "../analysis/sample-axes.js";
import { checkGlobs, checkOptions, invalidArgument, type OptionNames } from "../arguments.js";
import { expectedInputs } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import type { Expected, Model } from "../graph/model.js";
import { leavesOf } from "../graph/walk.js";
import { meant } from "../meant.js";
import { withMissing } from "../missing.js";
import { asModel } from "../nn/as-model.js";
import type { ModelOptions } from "../nn/model.js";
import type { Module } from "../nn/module.js";
import { present } from "../present.js";
import { joinSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
import { traced } from "../trace/model.js";
import { prepare } from "./feeds.js";
import { type Batch, type Dataset, isBatch } from "./given-data.js";
import { modelOptions } from "./options.js";

/** Options of `predict`. */
export interface PredictOptions extends ModelOptions {
  /** Names of the outputs to compute. Default: all. */
  readonly outputs?: readonly string[];
  /** Samples computed at a time. Default 256. */
  readonly microbatchSize?: number;
  /** Compute even if the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
  /** Called after each microbatch with the number of samples done. Default: no call. */
  readonly onProgress?: (samples: number) => void;
}

const optionNames: OptionNames<PredictOptions> = {
  ...modelOptions,
  outputs: true,
  microbatchSize: true,
  allowNotFinite: true,
  onProgress: true,
};

/**
 * The model's outputs for all samples of a data set, by name, in the shapes and dtypes of the model. They are computed in
 * microbatches, and joined along each output's sample axis. No loss is needed; a `target` in the data is ignored.
 * @param data all samples by the inputs' names, batches one after another, or the path of a file
 * @throws PergradError MISSING_TENSOR, SHAPE_MISMATCH, DTYPE_MISMATCH, BATCH_MISMATCH, NOT_FINITE, SAMPLES_INTERACT,
 * FILE_UNREADABLE, INVALID_ARGUMENT.
 */
export async function predict(
  model: Model | Module,
  data: Dataset,
  options: PredictOptions = {},
): Promise<Record<string, Tensor>> {
  checkOptions("predict(model, data, options)", options, optionNames);
  const { microbatchSize = 256, allowNotFinite = false, onProgress } = options;
  if (!Number.isSafeInteger(microbatchSize) || microbatchSize < 1)
    throw invalidArgument(`microbatchSize must be a whole number from 1 up, not ${microbatchSize}.`);
  const own = await withMissing(() => asModel(model, "predict", options));
  const chosen = outputsOf(own, options.outputs);
  const expected = inputsOf(own, chosen);
  const axes = outputAxes(own, chosen);
  // The readers and the runtime are loaded when they are first used.
  const [{ openDataset }, { compiled }] = await Promise.all([import("./dataset.js"), import("./compiled.js")]);
  const source = await openDataset(isBatch(data) ? inputsAlone(data, expected) : data, {
    expected,
    prepare: (batch) => prepare(batch, expected, allowNotFinite),
  });
  const { outputs } = traced(own);
  const program = await compiled(Object.fromEntries(chosen.map((name) => [name, present(outputs[name])])));
  const parts = new Map<string, Tensor[]>(chosen.map((name) => [name, []]));
  try {
    let done = 0;
    for await (const { feeds, samples } of source.pieces(microbatchSize)) {
      const found = await program.run(feeds, { notFinite: "ignore" });
      for (const [name, list] of parts) list.push(present(found[name]));
      done += samples;
      onProgress?.(done);
    }
  } finally {
    await program.release();
    await source.close();
  }
  return Object.fromEntries(
    [...parts].map(([name, list]) => [name, joinSamples(list, present(axes.get(name)).axis)] as const),
  );
}

function outputsOf({ graph, leftOut }: Model, wanted: readonly string[] | undefined): readonly string[] {
  checkGlobs("outputs", wanted);
  const names = graph.outputs.map(({ name }) => name);
  const unknown = wanted?.find((name) => !names.includes(name));
  if (unknown === undefined) return wanted ?? names;
  const why = Object.hasOwn(leftOut, unknown) ? leftOut[unknown] : undefined;
  throw new PergradError(
    "MISSING_TENSOR",
    why === undefined
      ? `The model has no output "${unknown}"${meant(unknown, names) || `; its outputs are ${names.join(", ")}.`}`
      : `pergrad cannot compute the model's output "${unknown}": ${why}`,
  );
}

/** The inputs that the outputs read. */
function inputsOf(model: Model, chosen: readonly string[]): Map<string, Expected> {
  const results = model.graph.outputs.filter(({ name }) => chosen.includes(name)).map(({ value }) => value);
  const used = new Set(leavesOf(results));
  return new Map([...expectedInputs(model, results)].filter(([, { value }]) => used.has(value)));
}

/** The axis of the samples in each output. Throws SAMPLES_INTERACT or UNSUPPORTED_OP if parts cannot be joined. */
export function outputAxes({ graph, sampleAxes }: Pick<Model, "graph" | "sampleAxes">, chosen: readonly string[]) {
  const axes = SampleAxes.ofInputs(graph.inputs, sampleAxes);
  return new Map(
    chosen.map((name) => {
      const { value } = present(graph.outputs.find((output) => output.name === name));
      const at = axes.of(value);
      if (at && at.outer === 1) return [name, at] as const;
      throw new PergradError(
        at ? "UNSUPPORTED_OP" : "SAMPLES_INTERACT",
        at
          ? `The output "${name}" has its samples folded into another axis, so parts cannot be joined; give them an axis of their own.`
          : `The output "${name}" does not depend on the samples; leave it out of \`outputs\`.`,
      );
    }),
  );
}

/** Without the target, which no output reads. */
function inputsAlone(data: Batch, expected: ReadonlyMap<string, Expected>): Batch {
  const { target, ...others } = data;
  return target !== undefined && expected.has("target") ? data : others;
}
