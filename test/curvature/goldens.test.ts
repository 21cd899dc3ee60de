/**
 * PyTorch's second derivatives, by reverse mode twice on one sample at a time in float64: what wants build agrees with them
 * to 1e-9 evaluated op by op in float64, and programs to 2e-4, all relative to the largest value of the quantity.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readTensors } from "../../src/io/files.js";
import { lossNamed, type NamedLoss } from "../../src/nn/as-loss.js";
import { loadModel } from "../../src/onnx/read/load.js";
import { perSample } from "../../src/program/per-sample.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type Wants, want } from "../../src/wants/want.js";
import { tensorsIn } from "../support/tensors-in.js";
import { asVectors, below, expectNear, inFloat64 } from "./support.js";

const goldens = join(import.meta.dirname, "../goldens");
const cases = join(import.meta.dirname, "cases");

interface Case {
  readonly loss: NamedLoss;
  readonly inputs: Readonly<Record<string, { readonly sample_axis: number }>>;
  readonly output: { readonly name: string; readonly sample_axis: number };
}

async function load(folder: string) {
  const { loss, inputs, output }: Case = JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
  const sampleAxes = Object.fromEntries(Object.entries(inputs).map(([name, { sample_axis }]) => [name, sample_axis]));
  const model = await loadModel(join(folder, "model.onnx"), { sampleAxes });
  const tensors = await readTensors(join(folder, "data.safetensors"));
  const names = [...model.graph.inputs.map(({ name }) => name), "target"];
  const data = Object.fromEntries(names.map((name) => [name, tensors.get(name) as Tensor]));
  const target = data.target as Tensor;
  const options = {
    loss: lossNamed(loss),
    output: output.name,
    outputSampleAxis: output.sample_axis,
    target: { dtype: target.dtype, shape: ["N" as const, ...target.dims.slice(1)] },
  };
  return { model, options, data, tensors };
}

/** Of each want the tensors that the file has, under the names that the program gives them. */
type Expected = readonly (readonly [name: string, tensors: ReadonlyMap<string, Tensor>])[];

async function agree(
  { model, options, data }: Awaited<ReturnType<typeof load>>,
  wants: Wants,
  expected: Expected,
): Promise<void> {
  const reference = inFloat64(model, options, wants, data);
  const program = await perSample(model, { ...options, want: wants, threads: 1 });
  const found = new Map(tensorsIn(await program.run(data)));
  for (const [name, tensors] of expected) {
    // A derivative that is 0 in one parameter is rounding beside the others'.
    const largest = Math.max(...[...tensors.values()].map(({ data: own }) => peak(own)));
    expect(tensors.size).toBeGreaterThan(0);
    for (const [part, { data: own }] of tensors) {
      const numbers = Array.from<number | bigint, number>(own, Number);
      const scale = peak(own) < 1e-9 * largest ? largest : 0;
      const what = `${name} ${part}`;
      expectNear(reference.get(`${name}/${part}`)?.data, numbers, 1e-9, `${what} of the reference`, scale);
      const at = name === part ? `/${name}` : `/${name}/${part}`;
      expectNear(found.get(at)?.data as Float32Array, numbers, 2e-4, `${what} of the program`, scale);
    }
  }
  await program.release();
}

function peak(data: ArrayLike<number | bigint>): number {
  return Array.from(data, Number).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
}

const withSecond = readdirSync(goldens).filter((name) => existsSync(join(goldens, name, "second.safetensors")));

describe("second derivatives of the goldens", () => {
  it.each(withSecond)("%s", async (name) => {
    const golden = await load(join(goldens, name));
    const second = await readTensors(join(goldens, name, "second.safetensors"));
    const vector = asVectors(below(second, "v/"));
    const small = second.has("hessian_trace");
    const wants = {
      hvp: want.hvp({ vector }),
      ggn_vp: want.ggnProduct({ vector }),
      ggn_diag: want.ggnDiagonal(),
      ...(small ? { hessian_diag: want.hessianDiagonal(), hessian_trace: want.trace() } : {}),
      ntk: want.ntk(),
    };
    const parts = ["hvp", "ggn_vp", "ggn_diag", ...(small ? ["hessian_diag"] : [])];
    await agree(golden, wants, [
      ...parts.map((part) => [part, below(second, `${part}/`)] as const),
      ["ntk", only(second, "ntk", "ntk")],
      ...(small ? [["hessian_trace", only(second, "hessian_trace", "total")] as const] : []),
    ]);
  });
});

function only(tensors: ReadonlyMap<string, Tensor>, name: string, as: string): Map<string, Tensor> {
  const tensor = tensors.get(name);
  return new Map(tensor ? [[as, tensor]] : []);
}

describe("second derivatives of other networks", () => {
  it.each(readdirSync(cases))("%s", async (name) => {
    const golden = await load(join(cases, name));
    const expected = await readTensors(join(cases, name, "expected.safetensors"));
    const vector = asVectors(below(golden.tensors, "vector/"));
    // Means are those of any gradients: of one network they are compared too.
    const mean = { vector, give: want.mean() };
    const wants = {
      hvp: want.hvp({ vector }),
      ggnvp: want.ggnProduct({ vector }),
      fvp: want.fisherProduct({ vector }),
      ...(name === "mlp_gelu"
        ? { mean_hvp: want.hvp(mean), mean_ggnvp: want.ggnProduct(mean), mean_fvp: want.fisherProduct(mean) }
        : {}),
      ggn_diagonal: want.ggnDiagonal(),
      hessian_diagonal: want.hessianDiagonal(),
      hessian_trace: want.trace(),
      ggn_trace: want.trace({ of: "ggn" }),
      fisher_trace: want.trace({ of: "fisher" }),
    };
    const traces = ["hessian_trace", "ggn_trace", "fisher_trace"];
    const parts = Object.keys(wants).filter((part) => !traces.includes(part));
    await agree(golden, wants, [
      ...parts.map((part) => [part, below(expected, `${part}/`)] as const),
      ...traces.map((trace) => [trace, only(expected, trace, "total")] as const),
    ]);
  });
});
