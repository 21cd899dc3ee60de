/** The runtime's optimizers that a session does without would have changed nothing: its graph is the same with them. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary, toJsonString } from "@bufbuild/protobuf";
import { ModelProtoSchema, NodeProtoSchema } from "onnx-buf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeWorkload, workloads } from "../../bench/workloads.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { N } from "../../src/graph/dim.js";
import { leaf } from "../../src/graph/value.js";
import { type Model, type Wants, want } from "../../src/index.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { nth } from "../../src/present.js";
import { stated } from "../../src/target/onnxruntime/faster.js";
import { loadSession } from "../../src/target/onnxruntime/node.js";
import { contentsOf, disabledOptimizers } from "../../src/target/onnxruntime/optimizers.js";
import { graphOf } from "../support/program-graph.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pergrad-optimizers-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Options = Parameters<typeof loadSession>[1];

/** The nodes that the runtime makes of a model, in no order. The numbers in names that it makes differ from time to time. */
async function optimised(model: Uint8Array, options: Options): Promise<string[]> {
  const file = join(folder, "optimised.onnx");
  const session = await loadSession(model, { threads: 1, ...options }, { optimizedModelFilePath: file });
  await session.release();
  const { graph } = fromBinary(ModelProtoSchema, await readFile(file));
  const nodes = graph?.node.map((node) => toJsonString(NodeProtoSchema, { ...node, name: "" })) ?? [];
  return nodes.map((text) => text.replace(/_token_\d+/g, "")).sort();
}

const backward: Wants = { norms: want.norms(), clipped: want.clippedSum({ maxNorm: 1 }) };
const forward: Wants = { losses: want.losses() };

/** A program with the model's parameters in it, and what it holds. */
function programOf(model: Model, loss: Parameters<typeof objectiveOf>[1]["loss"], wants: Wants) {
  const { inputs, ...given } = graphOf(objectiveOf(model, { loss }), wants);
  const values = stated(given.outputs.map(({ value }) => value));
  const outputs = given.outputs.map(({ name }, k) => ({ name, value: nth(values, k) }));
  const fed = inputs.filter(({ name }) => !Object.hasOwn(model.parameters, name));
  const contents = { ...contentsOf(values), distinct: true };
  return { encoded: encodeModel({ inputs: fed, outputs, parameters: model.parameters }), contents };
}

/** ResNet-18 takes 10 seconds and has what the CIFAR CNN has. */
const quick = workloads.filter(({ id }) => id !== "resnet18");

describe.each([
  ["norms and clipped sums", backward],
  ["losses alone, in which nothing but the next layer reads a layer's result", forward],
])("of %s", (_, wants) => {
  it.each(quick.map((spec) => [spec.id, spec] as const))("of %s", async (_, spec) => {
    const { model, loss } = makeWorkload(spec, 2);
    const { encoded, contents } = programOf(model, loss, wants);
    const left = disabledOptimizers(contents).split(";").length - disabledOptimizers({}).split(";").length;
    expect(left).toBeGreaterThan(10);
    expect(await optimised(encoded, contents)).toEqual(await optimised(encoded, {}));
  });
});

it("chains are of what one node alone reads, once, and that is no result", () => {
  const x = leaf("x", { dtype: "float32", shape: [N, 3] }, { kind: "input" });
  const chain = build.tanh(build.exp(x));
  const twice = build.sqrt(x);
  const square = build.mul(twice, twice);
  const result = build.abs(x);
  const { operators, chains } = contentsOf([build.add(chain, square), result, build.neg(result)]);
  expect([...operators].sort()).toEqual(["Abs", "Add", "Exp", "Mul", "Neg", "Sqrt", "Tanh"]);
  expect([...chains].sort()).toEqual(["Exp>Tanh", "Mul>Add", "Tanh>Add"]);
});

it("and where chains are not known, what looks for one is left in", () => {
  const operators = new Set(["Add", "Softmax"]);
  expect(disabledOptimizers({ operators })).not.toContain("BiasSoftmaxFusion");
  expect(disabledOptimizers({ operators, chains: new Set() })).toContain("BiasSoftmaxFusion");
  expect(disabledOptimizers({ operators, chains: new Set(["Add>Softmax"]) })).not.toContain("BiasSoftmaxFusion");
});

it("and with all that a program could hold, none is left out but those of no use to any", () => {
  const all = new Set(["Conv", "MatMul", "Gemm", "Erf", "Tanh", "Sigmoid", "Softmax", "ReduceMean", "Dropout"]);
  for (const op of ["Add", "Mul", "Gather", "Range", "Slice", "Concat", "Transpose", "Resize", "LayerNormalization"])
    all.add(op);
  for (const op of ["QuantizeLinear", "MatMulInteger", "MatMulNBits", "GroupQueryAttention", "SkipLayerNormalization"])
    all.add(op);
  expect(disabledOptimizers({ operators: all })).toBe(disabledOptimizers({}));
});
