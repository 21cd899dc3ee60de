/** CausalConvWithState and LinearAttention. What ONNX's reference evaluator makes of them is in test/onnx/opset-cases. */
import { describe, expect, it } from "vitest";
import { N, type Shape } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { build, families } from "../../src/ops/registry.js";
import { type Cases, describeOp } from "../support/op-suite.js";
import { compareWithLoop, numbers } from "../support/per-sample.js";
import { stateTable } from "../support/state-cases.js";

const noKernel = "the opset that programs are emitted in does not have this operator";
describeOp("CausalConvWithState", { cases: stateTable.CausalConvWithState as Cases, noKernel });
describeOp("LinearAttention", { cases: stateTable.LinearAttention as Cases, noKernel, derivatives: 30 });

const input = (name: string, shape: Shape) => leaf(name, { dtype: "float32", shape }, { kind: "input" });
const parameter = (name: string, shape: Shape) => leaf(name, { dtype: "float32", shape }, { kind: "parameter" });

describe("CausalConvWithState", () => {
  it("refuses what does not fit", () => {
    const [x, w] = [input("x", [N, 2, 5]), input("w", [2, 1, 3])];
    const causal = (...inputs: (Value | null)[]) => build.op("CausalConvWithState", inputs);
    expect(causal(x, w).shape).toEqual([N, 2, 5]);
    expect(() => causal(x, input("w", [2, 2, 3]))).toThrow("The weight");
    expect(() => causal(x, w, input("b", [3]))).toThrow("The bias");
    expect(() => causal(x, w, null, input("p", [N, 2, 3]))).toThrow("The past state");
    expect(() => causal(input("x", [2, N, 5]), w)).toThrow("influence each other");
    expect(() => causal(input("x", [2, 2, N]), w)).toThrow("influence each other");
    expect(() => build.op("CausalConvWithState", [x, w], { activation: "relu" })).toThrow('activation "relu"');
  });
});

describe("LinearAttention", () => {
  it("refuses what does not fit", () => {
    const heads = { q_num_heads: 2, kv_num_heads: 1 };
    const [q, k, v] = [input("q", [N, 3, 4]), input("k", [N, 3, 2]), input("v", [N, 3, 5])];
    const attend = (inputs: (Value | null)[], attributes: Record<string, number | string>) =>
      build.op("LinearAttention", inputs, attributes);
    const gates = [input("g", [N, 3, 1]), input("b", [N, 3, 1])];
    expect(attend([q, k, v], { ...heads, update_rule: "linear" }).shape).toEqual([N, 3, 10]);
    expect(() => attend([q, k, v], heads)).toThrow('"gated_delta", which needs decay');
    expect(() => attend([q, k, v, null, ...gates], { ...heads, update_rule: "gated" })).toThrow("takes no beta");
    expect(() => attend([q, k, v], { ...heads, update_rule: "sum" })).toThrow('update_rule "sum"');
    expect(() => attend([q, k, v], { q_num_heads: 1, kv_num_heads: 2 })).toThrow("no multiple");
    expect(() => attend([q, v, k], { ...heads, update_rule: "linear" })).toThrow("The keys");
    const turned = [input("q", [2, N, 4]), input("k", [2, N, 2]), input("v", [2, N, 5])];
    expect(() => attend(turned, { ...heads, update_rule: "linear" })).toThrow("influence each other");
  });
});

/** A block as such models have it: projections, a causal convolution, the recurrence, a gate. */
it.each([0, 1, 3])("per-sample gradients of %i samples reach through the recurrence", (samples) => {
  const x = input("x", [N, 4, 3]);
  const shapes: [string, number[]][] = [
    ["in", [3, 4]],
    ["conv", [4, 1, 2]],
    ["q", [4, 4]],
    ["k", [4, 2]],
    ["v", [4, 2]],
    ["decay", [4, 1]],
    ["beta", [4, 1]],
    ["gate", [4, 4]],
  ];
  const weights = new Map(shapes.map(([name, shape]) => [name, parameter(name, shape)]));
  const by = (value: Value, name: string) => build.matmul(value, weights.get(name) as Value);
  const turned = build.transpose(by(x, "in"), [0, 2, 1]);
  const mixed = build.op("CausalConvWithState", [turned, weights.get("conv") as Value], { activation: "silu" });
  const hidden = build.transpose(mixed, [0, 2, 1]);
  const gates = [build.neg(build.op("Softplus", [by(hidden, "decay")])), build.sigmoid(by(hidden, "beta"))];
  const y = build.op("LinearAttention", [by(hidden, "q"), by(hidden, "k"), by(hidden, "v"), null, ...gates], {
    q_num_heads: 2,
    kv_num_heads: 1,
  });
  const gated = build.op("SwiGLU", [by(hidden, "gate"), y]);
  const kinds = compareWithLoop({
    losses: build.sum(build.square(gated), [1, 2]),
    parameters: new Map([...weights.values()].map((value, k) => [value, numbers(value.shape as number[], k)])),
    inputs: new Map([[x, { axis: 0, array: numbers([samples, 4, 3], 20) }]]),
    samples,
  });
  expect([...kinds.values()]).toEqual(["outer", "convolution", ...Array(6).fill("outer")]);
});

it("every operator of the family has its cases", () => {
  expect(families["state-space"].map(({ op }) => op)).toEqual(Object.keys(stateTable));
});
