/**
 * PyTorch's goldens: the reference agrees with them to 1e-10, with finite differences, and programs agree
 * with the reference to 1e-4, all relative to each parameter's largest gradient.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Oracle } from "../src/check/oracle.js";
import { objectiveOf } from "../src/compile/objective.js";
import type { Model } from "../src/graph/model.js";
import { readTensors } from "../src/io/files.js";
import type { Loss } from "../src/nn/loss.js";
import { losses } from "../src/nn/losses.js";
import { loadModel } from "../src/onnx/read/load.js";
import { perSample } from "../src/program/per-sample.js";
import type { Tensor } from "../src/tensor/tensor.js";
import { want } from "../src/wants/want.js";
import { foldedGru } from "./support/folded-recurrent.js";
import { expectClose } from "./support/per-sample.js";

const folder = join(import.meta.dirname, "goldens");

interface Golden {
  readonly loss: "cross_entropy" | "mse" | "bce_with_logits";
  readonly inputs: Readonly<Record<string, { readonly sample_axis: number }>>;
  readonly output: { readonly name: string; readonly sample_axis: number };
  readonly samples: number;
  readonly parameters: readonly string[];
}

const lossOf: Record<Golden["loss"], () => Loss> = {
  cross_entropy: () => losses.crossEntropy(),
  mse: () => losses.mse(),
  bce_with_logits: () => losses.bceWithLogits(),
};

/** Parameters whose gradient the file cannot give, since its exporter folded a path from them: pergrad warns of them. */
const lostPaths: Readonly<Record<string, readonly string[]>> = { folded_path_lost_dynamo: ["a"] };

/** Goldens of which the exporter folded the weights of the GRU "r" into ONNX's. */
const withFoldedGru: readonly string[] = ["arange_last_step_dynamo"];

/**
 * The reference agrees to 1e-10, but with a file whose weights are stored in float64, which are read in float32, or that
 * holds in float32 what PyTorch computes in float64, being folded.
 */
const referenceTolerance = (name: string) => (name === "modulated_conv_groups" || name in lostPaths ? 1e-7 : 1e-10);

function goldenOf(name: string): Golden {
  const golden: Golden = JSON.parse(readFileSync(join(folder, name, "case.json"), "utf8"));
  if (!withFoldedGru.includes(name)) return golden;
  const kept = golden.parameters.filter((parameter) => !parameter.startsWith("r."));
  return { ...golden, parameters: [...kept, "r.W", "r.R", "r.B"] };
}

async function load(name: string) {
  const golden = goldenOf(name);
  const sampleAxes = Object.fromEntries(
    Object.entries(golden.inputs).map(([input, { sample_axis }]) => [input, sample_axis]),
  );
  const model = await loadModel(join(folder, name, "model.onnx"), { sampleAxes });
  const data = Object.fromEntries(await readTensors(join(folder, name, "data.safetensors")));
  const given = await readTensors(join(folder, name, "expected.safetensors"));
  const expected = new Map(withFoldedGru.includes(name) ? foldedGru(given, golden.samples) : given);
  const lost = lostPaths[name] ?? [];
  const kept = golden.parameters.filter((parameter) => !lost.includes(parameter));
  const parameters = kept.map((parameter) => storedAs(parameter, model, expected));
  const target = data.target as Tensor;
  const options = {
    loss: lossOf[golden.loss](),
    output: golden.output.name,
    outputSampleAxis: golden.output.sample_axis,
    target: { dtype: target.dtype, shape: ["N" as const, ...target.dims.slice(1)] },
    parameters,
  };
  return { golden: { ...golden, parameters }, model, data, expected, options };
}

/** The name in the file, where the exporter stored a weight's transpose only: it is expected so. */
function storedAs(parameter: string, model: Model, expected: Map<string, Tensor>): string {
  const transposed = `${parameter}.T`;
  if (parameter in model.parameters || !(transposed in model.parameters)) return parameter;
  if (expected.has(transposed)) return transposed;
  const { dims, data } = expected.get(parameter) as Tensor<"float64">;
  const [samples = 0, rows = 0, columns = 0] = dims;
  const size = rows * columns;
  const turned = data.map((_, at) => {
    const within = at % size;
    return data[at - within + (within % rows) * columns + Math.floor(within / rows)] as number;
  });
  expected.set(transposed, { dtype: "float64", dims: [samples, columns, rows], data: turned });
  return transposed;
}

/** A gradient that vanishes identically has no relative size: it counts against the model's largest. */
function floorOf(golden: Golden, expected: ReadonlyMap<string, Tensor>): number {
  const largest = golden.parameters.map((name) =>
    Array.from((expected.get(name) as Tensor<"float64">).data).reduce((max, x) => Math.max(max, Math.abs(x)), 0),
  );
  return 1e-3 * Math.max(...largest);
}

const numbersOf = (tensor: Tensor | undefined): ArrayLike<number> => (tensor as Tensor<"float64">).data;

const cases = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

it.each(Object.entries(lostPaths))("golden %s warns of the paths that its exporter folded", async (name, lost) => {
  const { model } = await load(name);
  for (const parameter of lost)
    expect(model.notes.join()).toMatch(new RegExp(`from the parameter "${parameter}", .*optimize=False`));
  const path = join(folder, name, "model.onnx");
  await expect(loadModel(path, { strict: true })).rejects.toMatchObject({ code: "FOLDED_PARAMETERS" });
});

describe.each(cases)("golden %s", (name) => {
  it("the reference agrees with PyTorch to 1e-10, and with finite differences", async () => {
    const { golden, model, data, expected, options } = await load(name);
    const oracle = new Oracle(objectiveOf(model, options), data);
    const floor = floorOf(golden, expected);
    const loop = Array.from({ length: golden.samples }, (_, n) => oracle.sample(n));
    expectClose(
      loop.map(({ loss }) => loss),
      numbersOf(expected.get("losses")),
      referenceTolerance(name),
      "losses",
    );
    for (const parameter of golden.parameters) {
      const own = loop.flatMap(({ gradients }) => [...(gradients.get(parameter) ?? [])]);
      const wanted = numbersOf(expected.get(parameter));
      expectClose(own, wanted, referenceTolerance(name), parameter, floor);
      const size = oracle.sizeOf(parameter);
      for (const index of new Set([0, size >> 1, size - 1])) {
        const n = index % golden.samples;
        const scale = Array.from(wanted).reduce((max, x) => Math.max(max, Math.abs(x)), floor);
        expect(Math.abs(oracle.difference(parameter, n, index) - (wanted[n * size + index] as number))).toBeLessThan(
          1e-6 * scale,
        );
      }
    }
  });

  it("the program agrees with it to 1e-4, whatever is wanted", async () => {
    const { golden, model, data, expected, options } = await load(name);
    const maxNorm = 0.1;
    const program = await perSample(model, {
      ...options,
      want: {
        losses: want.losses(),
        gradients: want.gradients(),
        norms: want.norms(),
        clipped: want.clippedSum({ maxNorm }),
        mean: want.mean(),
      },
    });
    const separate = await perSample(model, {
      ...options,
      want: { norms: want.norms(), clipped: want.clippedSum({ maxNorm }) },
    });
    const both = [await program.run(data), await separate.run(data)] as const;
    await Promise.all([program.release(), separate.release()]);
    const floor = floorOf(golden, expected);
    expectClose(both[0].losses.data, numbersOf(expected.get("losses")), 1e-5, "losses");
    const total = new Float64Array(golden.samples);
    for (const parameter of golden.parameters) {
      const wanted = numbersOf(expected.get(parameter));
      expect([...(both[0].gradients[parameter]?.dims ?? [])]).toEqual([...(expected.get(parameter)?.dims ?? [])]);
      expectClose(both[0].gradients[parameter]?.data ?? [], wanted, 1e-4, `gradients of ${parameter}`, floor);
      const size = wanted.length / golden.samples;
      const squares = total.map((_, n) =>
        Array.from({ length: size }, (_, i) => (wanted[n * size + i] as number) ** 2).reduce((a, b) => a + b, 0),
      );
      squares.forEach((square, n) => {
        total[n] = (total[n] as number) + square;
      });
      for (const { norms } of both)
        expectClose(
          norms.parameters[parameter]?.data ?? [],
          squares.map(Math.sqrt),
          1e-4,
          `norms of ${parameter}`,
          floor,
        );
      const mean = Array.from({ length: size }, (_, i) =>
        total.reduce((sum, _, n) => sum + (wanted[n * size + i] as number) / golden.samples, 0),
      );
      expectClose(both[0].mean[parameter]?.data ?? [], mean, 1e-4, `mean of ${parameter}`, floor);
    }
    const factors = total.map((square) => Math.min(1, maxNorm / Math.sqrt(square)));
    for (const { norms, clipped } of both) {
      expectClose(norms.total.data, total.map(Math.sqrt), 1e-4, "norms");
      for (const parameter of golden.parameters) {
        const wanted = numbersOf(expected.get(parameter));
        const size = wanted.length / golden.samples;
        const sum = Array.from({ length: size }, (_, i) =>
          factors.reduce((acc, factor, n) => acc + factor * (wanted[n * size + i] as number), 0),
        );
        expectClose(clipped.sum[parameter]?.data ?? [], sum, 1e-4, `clipped sum of ${parameter}`, floor);
      }
    }
  });
});
