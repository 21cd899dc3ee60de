/** The commands on models and data exported from PyTorch, against its per-sample gradients. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readTensors } from "../../src/io/files.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { temporaryFolder } from "../support/folder.js";
import { expectClose } from "../support/per-sample.js";
import { run } from "./support.js";

const goldens = join(import.meta.dirname, "..", "goldens");
const tolerance = 1e-4;

const cases = [
  "linear_2d",
  "linear_3d",
  "mlp_784",
  "multilabel_bce",
  "conv_maxpool",
  "opacus_mnist_cnn",
  "bilinear",
  "tied_autoencoder",
  "lora",
  "scalar_parameter",
  // NaN that a model computes and leaves out is nothing to warn of.
  "mha_left_padding_nan",
  "sdpa_left_padding_nan",
];

interface Golden {
  readonly loss: string;
  readonly samples: number;
  readonly parameters: readonly string[];
}

async function golden(name: string) {
  const folder = join(goldens, name);
  const { loss, samples, parameters }: Golden = JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
  const expected = await readTensors(join(folder, "expected.safetensors"));
  const gradients = new Map(parameters.map((parameter) => [parameter, numbers(expected.get(parameter))]));
  const floor =
    1e-3 * Math.max(...[...gradients.values()].map((own) => own.reduce((max, x) => Math.max(max, Math.abs(x)), 0)));
  const chosen = parameters.flatMap((parameter) => ["--parameters", parameter]);
  const out = join(temporaryFolder(), "out");
  const compute = async (command: string, extension: string, ...options: string[]) => {
    const path = `${out}${extension}`;
    const inputs = [join(folder, "model.onnx"), "--data", join(folder, "data.safetensors"), "--loss", loss];
    expect(await run(command, ...inputs, "--out", path, ...chosen, ...options)).toMatchObject({ code: 0, err: "" });
    return readTensors(path);
  };
  return { samples, parameters, gradients, losses: numbers(expected.get("losses")), expected, floor, compute };
}

function numbers(tensor: Tensor | undefined): Float64Array {
  return Float64Array.from((tensor?.data ?? []) as ArrayLike<number>);
}

/** The norm of each sample's part of a gradient. */
function norms(gradient: Float64Array, samples: number): number[] {
  const size = gradient.length / samples;
  return Array.from({ length: samples }, (_, n) => Math.hypot(...gradient.subarray(n * size, (n + 1) * size)));
}

describe.each(cases)("%s", (name) => {
  test.each([
    [".safetensors", "3"],
    [".npz", "100"],
  ])("grads to %s, in batches of %s", async (extension, batch) => {
    const { parameters, gradients, losses, expected, floor, compute } = await golden(name);
    const found = await compute("grads", extension, "--microbatch-size", batch);
    expect([...found.keys()].sort()).toEqual(["losses", ...parameters].sort());
    expectClose(numbers(found.get("losses")), losses, tolerance, "losses");
    for (const [parameter, own] of gradients) {
      expect(found.get(parameter)?.dims).toEqual(expected.get(parameter)?.dims);
      expect(found.get(parameter)?.dtype).toBe("float32");
      expectClose(numbers(found.get(parameter)), own, tolerance, parameter, floor);
    }
  });

  test("norms", async () => {
    const { samples, parameters, gradients, floor, compute } = await golden(name);
    const found = await compute("norms", ".safetensors", "--microbatch-size", "2");
    const own = new Map(
      parameters.map((parameter) => [parameter, norms(gradients.get(parameter) ?? new Float64Array(), samples)]),
    );
    const total = Array.from({ length: samples }, (_, n) =>
      Math.hypot(...[...own.values()].map((each) => each[n] ?? 0)),
    );
    expect([...found.keys()].sort()).toEqual(["norms", ...parameters.map((parameter) => `norms/${parameter}`)].sort());
    expectClose(numbers(found.get("norms")), total, tolerance, "norms");
    for (const [parameter, each] of own)
      expectClose(numbers(found.get(`norms/${parameter}`)), each, tolerance, parameter, floor);
  });

  test.each(["1", "100"])("clipped-sum, in batches of %s", async (batch) => {
    const { samples, parameters, gradients, expected, floor, compute } = await golden(name);
    const own = parameters.map((parameter) => norms(gradients.get(parameter) ?? new Float64Array(), samples));
    const total = Array.from({ length: samples }, (_, n) => Math.hypot(...own.map((each) => each[n] ?? 0)));
    // Some gradients are clipped and some are not.
    const limit = [...total].sort((a, b) => a - b)[samples >> 1] ?? 1;
    const found = await compute("clipped-sum", ".npz", "--max-norm", String(limit), "--microbatch-size", batch);
    expect([...found.keys()].sort()).toEqual(["norms", ...parameters].sort());
    expectClose(numbers(found.get("norms")), total, tolerance, "norms");
    for (const [parameter, gradient] of gradients) {
      expect(found.get(parameter)?.dims).toEqual(expected.get(parameter)?.dims.slice(1));
      const size = gradient.length / samples;
      const sum = new Float64Array(size).map((_, i) =>
        total.reduce((acc, norm, n) => acc + Math.min(1, limit / norm) * (gradient[n * size + i] ?? 0), 0),
      );
      expectClose(numbers(found.get(parameter)), sum, tolerance, parameter, floor);
    }
  });
});

test("check finds no difference and says what it compared", async () => {
  const folder = join(goldens, "mlp_784");
  const command = [
    "check",
    join(folder, "model.onnx"),
    "--data",
    join(folder, "data.safetensors"),
    "--loss",
    "cross_entropy",
  ];
  const { code, out, err } = await run(...command, "--samples", "3");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/^0\.weight +ok +\d\.\de-\d+ /m);
  expect(out).toContain("No difference found in the first 3 of 8 samples (--samples K for more), tolerance 0.0001.");
  const { out: text } = await run(...command, "--json");
  expect(JSON.parse(text)).toMatchObject({ passed: true, samples: 8, samplesInFile: 8, tolerance: { loop: 1e-4 } });
});

test("explain needs no data", async () => {
  const command = ["explain", join(goldens, "mlp_784", "model.onnx"), "--loss", "cross_entropy"];
  const { code, out } = await run(...command);
  expect(code).toBe(0);
  expect(out.match(/^(grads|norms|clipped-sum)$/gm)).toEqual(["grads", "norms", "clipped-sum"]);
  expect(out).toMatch(/^0\.weight +\[32, 64\] +outer /m);
  const { out: text } = await run(...command, "--json", "--want", "norms,clipped-sum", "--want", "mean");
  const programs = JSON.parse(text);
  expect(programs.map(({ wants }: { wants: unknown }) => wants)).toEqual([["norms", "clipped-sum"], ["mean"]]);
  expect(programs[0].parameters[0]).toMatchObject({ parameter: "0.weight", kind: "outer", norm: "closed form" });
});
