/**
 * Models of the newest opsets, and forms that ONNX Runtime has no kernel for: what pergrad reads computes what ONNX's
 * reference evaluator computed (`scripts/opset-cases.py` wrote the files), in float64 and as it is written for the runtime.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Model } from "../../src/graph/model.js";
import { evaluateGraph, toArray64 } from "../../src/interpret/evaluate.js";
import { readTensors } from "../../src/io/files.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { programOf } from "../../src/onnx/write/model-program.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { asRun } from "../support/graph-checks.js";
import { relativeError } from "./compare.js";
import { decode, run } from "./models.js";

const folder = join(import.meta.dirname, "opset-cases");
const cases = readdirSync(folder).flatMap((file) => (file.endsWith(".onnx") ? [file.slice(0, -5)] : []));

async function load(name: string) {
  const model = decode(readFileSync(join(folder, `${name}.onnx`)));
  const tensors = [...(await readTensors(join(folder, `${name}.npz`)))];
  const inputs = tensors.filter(([tensor]) => !tensor.startsWith("out/"));
  return { model, inputs: new Map(inputs), expected: new Map(tensors) };
}

/** The outputs as ONNX Runtime is given them. */
function emitted({ graph, parameters }: Model): Uint8Array {
  const values = asRun(graph.outputs.map(({ value }) => value));
  const outputs = graph.outputs.map(({ name }, k) => ({ name, value: values[k] as (typeof values)[number] }));
  return encodeModel({ ...graph, outputs, parameters });
}

const later = /^(causal_conv|linear_attention|swiglu|rms|attention|rotary|swish|cum_prod|tensor_scatter)/;

it.each(cases.filter((name) => later.test(name)))("opset case %s is saved by operators of opset 21", async (name) => {
  const { model, inputs, expected } = await load(name);
  const found = await run(encodeModel(programOf(model)), Object.fromEntries(inputs));
  for (const { name: output } of model.graph.outputs)
    expect(relativeError(found[output] as Tensor, expected.get(`out/${output}`) as Tensor)).toBeLessThan(1e-5);
});

describe.each(cases)("opset case %s", (name) => {
  it("is computed as ONNX defines it", async () => {
    const { model, inputs, expected } = await load(name);
    const feeds = [...inputs, ...Object.entries(model.parameters)].map(([leaf, tensor]) => {
      const value = [...model.graph.inputs, ...model.graph.parameters].find((each) => each.name === leaf);
      return [value as NonNullable<typeof value>, toArray64(tensor)] as const;
    });
    const { outputs } = model.graph;
    const samples = [...inputs.values()][0]?.dims[0] ?? 0;
    const found = evaluateGraph(
      outputs.map(({ value }) => value),
      new Map(feeds),
      samples,
    );
    const results = await run(emitted(model), Object.fromEntries(inputs));
    for (const [k, output] of outputs.entries()) {
      const wanted = expected.get(`out/${output.name}`) as Tensor;
      const array = found[k] as (typeof found)[number];
      const own: Tensor<"float64"> = { dtype: "float64", dims: array.dims, data: array.data };
      expect(own.dims).toEqual(wanted.dims);
      expect(relativeError(own, wanted), "the reference").toBeLessThan(1e-6);
      expect(results[output.name]?.dims).toEqual(wanted.dims);
      expect(results[output.name]?.dtype).toBe(wanted.dtype);
      expect(relativeError(results[output.name] as Tensor, wanted), "the program").toBeLessThan(2e-6);
    }
  });
});
