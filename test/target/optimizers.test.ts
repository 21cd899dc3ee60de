/** The runtime's optimizers that a session does without would have changed nothing: its graph is the same with them. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary, toJsonString } from "@bufbuild/protobuf";
import { ModelProtoSchema, NodeProtoSchema } from "onnx-buf";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeWorkload, workloads } from "../../bench/workloads.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { type Model, want } from "../../src/index.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { loadSession } from "../../src/target/onnxruntime/node.js";
import { disabledOptimizers, operatorsOf } from "../../src/target/onnxruntime/optimizers.js";
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

/** The program of norms and clipped sums, with the model's parameters in it, and its operators. */
function programOf(model: Model, loss: Parameters<typeof objectiveOf>[1]["loss"]) {
  const wants = { norms: want.norms(), clipped: want.clippedSum({ maxNorm: 1 }) };
  const { inputs, outputs } = graphOf(objectiveOf(model, { loss }), wants);
  const fed = inputs.filter(({ name }) => !Object.hasOwn(model.parameters, name));
  const operators = operatorsOf(outputs.map(({ value }) => value));
  return { encoded: encodeModel({ inputs: fed, outputs, parameters: model.parameters }), operators };
}

/** ResNet-18 takes 10 seconds and has what the CIFAR CNN has. */
const quick = workloads.filter(({ id }) => id !== "resnet18");

it.each(quick.map((spec) => [spec.id, spec] as const))("of %s", async (_, spec) => {
  const { model, loss } = makeWorkload(spec, 2);
  const { encoded, operators } = programOf(model, loss);
  const left = disabledOptimizers({ operators }).split(";").length - disabledOptimizers({}).split(";").length;
  expect(left).toBeGreaterThan(10);
  expect(await optimised(encoded, { operators })).toEqual(await optimised(encoded, {}));
});

it("and with all that a program could hold, none is left out but those of no use to any", () => {
  const all = new Set(["Conv", "MatMul", "Gemm", "Erf", "Tanh", "Sigmoid", "Softmax", "ReduceMean", "Dropout"]);
  for (const op of ["Add", "Mul", "Gather", "Range", "Slice", "Concat", "Transpose", "LayerNormalization"]) all.add(op);
  for (const op of ["QuantizeLinear", "MatMulInteger", "MatMulNBits", "GroupQueryAttention", "SkipLayerNormalization"])
    all.add(op);
  expect(disabledOptimizers({ operators: all })).toBe(disabledOptimizers({}));
});
