/** One private step: with its noise taken away again, it is the sum of PyTorch's gradients, clipped. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadModel, losses, PrivateTrainer, type Tensor } from "../../src/index.js";
import { readTensors } from "../../src/io/files.js";
import { withNoise } from "../../src/privacy/noise.js";
import { seededBits } from "../../src/privacy/random-bits.js";
import { margin } from "../../src/train/part-clipper.js";
import { poisson } from "../../src/train/samplers.js";
import type { ClippingOptions } from "../../src/train/types.js";
import { expectClose } from "../support/per-sample.js";
import { recorder } from "./support.js";

const folder = join(import.meta.dirname, "..", "goldens");

interface Golden {
  readonly loss: "cross_entropy" | "mse";
  readonly inputs: Readonly<Record<string, { readonly sample_axis: number }>>;
  readonly output: { readonly name: string; readonly sample_axis: number };
  readonly samples: number;
  readonly parameters: readonly string[];
}

async function load(name: string) {
  const golden: Golden = JSON.parse(readFileSync(join(folder, name, "case.json"), "utf8"));
  const axes = Object.entries(golden.inputs).map(([input, { sample_axis }]) => [input, sample_axis] as const);
  const model = await loadModel(join(folder, name, "model.onnx"), { sampleAxes: Object.fromEntries(axes) });
  const data = Object.fromEntries(await readTensors(join(folder, name, "data.safetensors")));
  const target = data.target as Tensor;
  const gradients = await readTensors(join(folder, name, "expected.safetensors"));
  const objective = {
    loss: golden.loss === "mse" ? losses.mse() : losses.crossEntropy(),
    output: golden.output.name,
    outputSampleAxis: golden.output.sample_axis,
    target: { dtype: target.dtype, shape: ["N" as const, ...target.dims.slice(1)] },
    parameters: golden.parameters,
  };
  return { golden, model, data, gradients, objective };
}

type Gradients = ReadonlyMap<string, Tensor>;

/** One sample's gradient of a parameter. */
function own(gradients: Gradients, parameter: string, sample: number, samples: number): Float64Array {
  const { data } = gradients.get(parameter) as Tensor<"float64">;
  return data.subarray((sample * data.length) / samples, ((sample + 1) * data.length) / samples);
}

/** The norm of one sample's gradient of some parameters. */
function normOf(gradients: Gradients, parameters: readonly string[], sample: number, samples: number): number {
  return Math.hypot(...parameters.flatMap((name) => [...own(gradients, name, sample, samples)]));
}

const models = ["opacus_mnist_cnn", "lstm", "tied_embedding_head", "self_attention", "reused_layer", "conv1d", "lora"];
const [seed, noiseMultiplier] = [11, 1.3];

describe.each(models)("a step of %s", (name) => {
  it.each(["whole", "by parameter"] as const)("is its clipped sum and its noise, clipped %s", async (kind) => {
    const { golden, model, data, gradients, objective } = await load(name);
    const { samples, parameters } = golden;
    const groups =
      kind === "whole" ? { all: parameters } : Object.fromEntries(parameters.map((each) => [each, [each]]));
    // Norms in the middle of the samples', so that some are clipped and some are not.
    const limits = Object.entries(groups).map(([group, members]) => {
      const norms = Array.from({ length: samples }, (_, n) => normOf(gradients, members, n, samples)).sort(
        (a, b) => a - b,
      );
      return [group, norms[samples >> 1] || 1] as const;
    });
    const maxNorms: Readonly<Record<string, number>> = Object.fromEntries(limits);
    const clipping: ClippingOptions = { maxNorm: kind === "whole" ? (maxNorms.all ?? 0) : maxNorms };
    const released = recorder();
    const batchSize = Math.ceil(samples / 2);
    const trainer = await PrivateTrainer.create(model, data, {
      ...objective,
      ...clipping,
      optimizer: released.optimizer,
      batchSize,
      noiseMultiplier,
      delta: 1e-5,
      seed,
    });
    for (let step = 0; step < 3; step++) {
      const result = await trainer.step();
      const batch = poisson(samples, batchSize, seededBits(seed, "sample", step));
      expect(result.samples).toBe(batch.length);
      expect(result.sensitivity).toBeCloseTo(Math.hypot(...Object.values(maxNorms)), 6);
      const zeros = parameters.map((each) => [each, own(gradients, each, 0, samples).map(() => 0)] as const);
      const noise = withNoise(new Map(zeros), {
        sensitivity: result.sensitivity,
        noiseMultiplier,
        scale: 1,
        bits: seededBits(seed, "noise", step),
      });
      for (const [group, members] of Object.entries(groups)) {
        for (const parameter of members) {
          const wanted = own(gradients, parameter, 0, samples).map((_, i) =>
            batch.reduce((sum, n) => {
              const factor = Math.min(
                1,
                ((maxNorms[group] ?? 0) * (1 - margin)) / normOf(gradients, members, n, samples),
              );
              return sum + factor * (own(gradients, parameter, n, samples)[i] ?? 0);
            }, 0),
          );
          const gradient = released.last()[parameter]?.data ?? new Float32Array();
          const found = Float64Array.from(gradient, (x, i) => x * batchSize - (noise.get(parameter)?.[i] ?? 0));
          // 1e-4 of computing in float32.
          expectClose(found, wanted, 1e-4, `${parameter}, step ${step}`, result.sensitivity);
        }
      }
    }
    await trainer.release();
  });
});
