/** The small graphs of old opsets that accompany the project: read in place, skipped where they are absent. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import { TensorProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { batchOver } from "../../src/autodiff/vmap.js";
import type { Array64 } from "../../src/float64/array64.js";
import { isBatch } from "../../src/graph/dim.js";
import type { Model } from "../../src/graph/model.js";
import type { Value } from "../../src/graph/value.js";
import { evaluateGraph, toArray64 } from "../../src/interpret/evaluate.js";
import { parseModel } from "../../src/onnx/proto.js";
import { decodeModel } from "../../src/onnx/read/decode.js";
import { readStructure } from "../../src/onnx/read/structure.js";
import { decodeTensor, PrecisionNotes } from "../../src/onnx/tensors.js";
import { build } from "../../src/ops/registry.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { relativeError } from "./compare.js";
import { encoded, refusal, run } from "./models.js";

const folder = fileURLToPath(new URL("../../../shared/onnx-cases/", import.meta.url));
const cases = existsSync(folder) ? readdirSync(folder) : [];

function stored(name: string, kind: "input" | "output"): Tensor[] {
  const data = `${folder}${name}/test_data_set_0/`;
  const count = readdirSync(data).filter((entry) => entry.startsWith(kind)).length;
  return Array.from({ length: count }, (_, k) => {
    const proto = fromBinary(TensorProtoSchema, readFileSync(`${data}${kind}_${k}.pb`));
    return decodeTensor(proto, `${kind} ${k}`, new PrecisionNotes());
  });
}

function decode(name: string, batched: boolean): Model {
  const bytes = readFileSync(`${folder}${name}/model.onnx`);
  const { graph } = parseModel(bytes, name);
  if (!graph) throw new Error("the case holds no graph");
  const shared = readStructure(graph, name).inputs.map((input) => [input.name, null] as const);
  return decodeModel(bytes, {
    fileName: name,
    build,
    batchOver,
    ...(batched ? {} : { sampleAxes: Object.fromEntries(shared) }),
  });
}

/** These fix the size of their first axis, or sum over it. */
const unbatchable = new Set(
  "chunk index non_float_params params repeat_dim_overflow".split(" ").map((name) => `test_operator_${name}`),
);

async function checkOutputs(model: Model, name: string): Promise<void> {
  const tensors = stored(name, "input");
  const feeds = Object.fromEntries(model.graph.inputs.map((input, k) => [input.name, tensors[k] as Tensor]));
  const found = await run(encoded(model), feeds);
  stored(name, "output").forEach((expected, k) => {
    const output = model.graph.outputs[k];
    const result = found[output?.name ?? ""] as Tensor;
    expect(result.dims).toEqual(expected.dims);
    expect(relativeError(result, expected)).toBeLessThan(1e-5);
  });
}

/** Cases whose outputs are no numbers to compare, being not float or not deterministic: why. */
const notComputed: Readonly<Record<string, string>> = {};

/** The outputs by the float64 reference. */
function evaluated(model: Model, name: string): Tensor[] {
  const { graph, parameters } = model;
  const feeds = new Map<Value, Array64>();
  for (const [k, tensor] of stored(name, "input").entries()) feeds.set(graph.inputs[k] as Value, toArray64(tensor));
  for (const parameter of graph.parameters) feeds.set(parameter, toArray64(parameters[parameter.name] as Tensor));
  const outputs = graph.outputs.map(({ value }) => value);
  return evaluateGraph(outputs, feeds, 1).map(({ dims, data }) => ({ dtype: "float64", dims, data }));
}

it("the stored cases are there", (context) => {
  if (cases.length === 0) context.skip("../shared/onnx-cases is absent");
  expect(cases.length).toBeGreaterThan(30);
});

it("only stored cases are left out", (context) => {
  if (cases.length === 0) context.skip("../shared/onnx-cases is absent");
  expect(Object.keys(notComputed).filter((name) => !cases.includes(name))).toEqual([]);
});

describe.each(cases)("%s", (name) => {
  it("decodes, upgrades, and evaluates to the stored outputs", (context) => {
    if (notComputed[name]) return context.skip(notComputed[name]);
    const found = evaluated(decode(name, false), name);
    const expected = stored(name, "output");
    expect(found.map(({ dims }) => dims)).toEqual(expected.map(({ dims }) => dims));
    // The stored outputs are of float32.
    for (const [k, output] of expected.entries()) expect(relativeError(found[k] as Tensor, output)).toBeLessThan(2e-6);
  });

  it("computes them on ONNX Runtime too", async () => {
    await checkOutputs(decode(name, false), name);
  });

  it("computes them with a batch in place of its first axis, or says why not", async () => {
    if (unbatchable.has(name)) {
      expect(refusal(() => decode(name, true))).toMatch(/^(SHAPE_MISMATCH|SAMPLES_INTERACT): .*\w+ node "\d"/);
      return;
    }
    const model = decode(name, true);
    const batched = model.graph.inputs.filter((input) => isBatch(input.shape[0]));
    expect(batched.map(({ name }) => name)).toEqual(
      Object.keys(model.sampleAxes).filter((input) => model.sampleAxes[input] === 0),
    );
    expect(batched.length).toBeGreaterThan(0);
    await checkOutputs(model, name);
  });
});
