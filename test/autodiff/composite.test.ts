import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { perSampleGradients } from "../../src/autodiff/per-sample.js";
import { plain, reverse } from "../../src/autodiff/reverse.js";
import { array64 } from "../../src/float64/array64.js";
import { N } from "../../src/graph/dim.js";
import { type Attributes, leaf, nodeOf, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build } from "../../src/ops/registry.js";
import { simplify } from "../../src/optimise/simplify.js";
import { checkComputed } from "../support/graph-checks.js";
import { type Case, compareWithLoop, numbers } from "../support/per-sample.js";

describe("a composite behind a reshape that its parts would merge with", () => {
  const x = leaf("x", { dtype: "float32", shape: [2, 12] }, { kind: "input" });
  const [scale, shift] = ["scale", "shift"].map((name) =>
    leaf(name, { dtype: "float32", shape: [4] }, { kind: "parameter" }),
  ) as [Value, Value];
  const y = build.op("GroupNormalization", [build.reshape(x, [2, 4, 3]), scale, shift], { num_groups: 2 });
  const feeds = new Map([x, scale, shift].map((value, k) => [value, numbers(value.shape as number[], k)]));

  it("has its derivative", () => {
    const loss = build.sum(build.square(y));
    const dx = reverse(new Map([[loss, build.scalar(1, loss)]]), new Set([x]), plain).get(x);
    expect(dx).toBeDefined();
    const [found] = evaluateGraph([dx as Value], feeds, 1);
    const at = (i: number, by: number) => {
      const { dims, data } = numbers([2, 12], 0);
      const moved = { dims, data: data.map((v, k) => (k === i ? v + by : v)) };
      return evaluateGraph([loss], new Map([...feeds, [x, moved]]), 1)[0]?.data[0] ?? 0;
    };
    found?.data.forEach((d, i) => {
      expect(d).toBeCloseTo((at(i, 1e-4) - at(i, -1e-4)) / 2e-4, 5);
    });
  });
});

/** A block of a transformer as ONNX Runtime's optimizer writes it. */
class Block {
  readonly parameters = new Map<Value, ReturnType<typeof numbers>>();
  readonly x = leaf("x", { dtype: "float32", shape: [N, 3, 4] }, { kind: "input" });
  readonly mask = leaf("mask", { dtype: "int32", shape: [N, 3] }, { kind: "input" });

  weight(name: string, ...dims: number[]): Value {
    const value = leaf(name, { dtype: "float32", shape: dims }, { kind: "parameter" });
    this.parameters.set(value, numbers(dims, this.parameters.size + 1));
    return value;
  }

  contrib(op: string, inputs: readonly (Value | null)[], attributes: Attributes = {}, outputs = 1): readonly Value[] {
    return build.node(op, inputs, attributes, outputs, { domain: "com.microsoft" }).outputs;
  }

  case(y: Value, samples: number): Case {
    const mask = array64(
      [samples, 3],
      Array.from({ length: samples * 3 }, (_, k) => Number(k % 4 < 3)),
    );
    const inputs = new Map([
      [this.x, { axis: 0, array: numbers([samples, 3, 4], 9) }],
      [this.mask, { axis: 0, array: mask }],
    ]);
    return { losses: build.sum(build.square(y), [1, 2]), parameters: this.parameters, inputs, samples };
  }
}

function encoder(): { block: Block; y: Value } {
  const block = new Block();
  const { x, mask } = block;
  const w = (name: string, ...dims: number[]) => block.weight(name, ...dims);
  const attributes = { num_heads: 2, mask_filter_value: -5 };
  const [attended] = block.contrib("Attention", [x, w("qkv", 4, 12), w("qkv_bias", 12), mask], attributes) as [Value];
  const mixed = build.matmul(attended, w("out", 4, 4));
  const norm = [w("gain1", 4), w("shift1", 4), w("out_bias", 4)];
  const first = block.contrib("SkipLayerNormalization", [mixed, x, ...norm], { epsilon: 1e-5 }, 4);
  const inner = build.matmul(first[0] as Value, w("up", 4, 6));
  const [gelu] = block.contrib("BiasGelu", [inner, w("up_bias", 6)]) as [Value];
  const [down] = block.contrib("FusedMatMul", [gelu, w("down", 4, 6)], { transB: 1, alpha: 0.5 }) as [Value];
  const tail = [w("gain2", 4), w("shift2", 4), w("down_bias", 4)];
  const [y] = block.contrib("SkipLayerNormalization", [down, first[3] as Value, ...tail], { epsilon: 1e-5 }) as [Value];
  return { block, y };
}

function decoder(): { block: Block; y: Value } {
  const block = new Block();
  const w = (name: string, ...dims: number[]) => block.weight(name, ...dims);
  const apart = (name: string) => build.matmul(block.x, w(name, 4, 4));
  const angles = [build.constant(anglesOf(Math.cos)), build.constant(anglesOf(Math.sin))];
  const turned = (value: Value) =>
    block.contrib("RotaryEmbedding", [value, build.ints([0]), ...angles], { num_heads: 2 })[0] as Value;
  const heads = [turned(apart("q")), turned(apart("k")), apart("v"), w("bias", 12), block.mask];
  const attributes = { num_heads: 2, unidirectional: 1, mask_filter_value: -5 };
  const [attended] = block.contrib("MultiHeadAttention", heads, attributes) as [Value];
  const [normal] = block.contrib("SkipSimplifiedLayerNormalization", [attended, block.x, w("gain", 4)], {
    epsilon: 1e-5,
  });
  const [y] = block.contrib("QuickGelu", [build.matmul(normal as Value, w("up", 4, 5))]) as [Value];
  return { block, y };
}

function anglesOf(turn: (angle: number) => number) {
  return { dtype: "float32" as const, dims: [5, 1], data: Float32Array.from([0, 0.3, 0.6, 0.9, 1.2], turn) };
}

describe.each([
  ["an encoder", encoder, ["qkv", "out", "up", "down"]],
  ["a decoder", decoder, ["q", "k", "v", "up"]],
] as const)("%s as ONNX Runtime's optimizer writes it", (_, make, projections) => {
  it.each([0, 1, 3])("has the loop's gradients of %i samples, those of projections factored", (samples) => {
    const { block, y } = make();
    const kinds = compareWithLoop(block.case(y, samples));
    expect([...kinds.keys()].sort()).toEqual([...block.parameters.keys()].map(({ name }) => name).sort());
    for (const name of projections) expect(kinds.get(name), name).toBe("outer");
  });

  it.each([0, 3])("runs on ONNX Runtime with %i samples", async (samples) => {
    const { block, y } = make();
    const { losses, parameters, inputs } = block.case(y, samples);
    const axes = new SampleAxes(new Map([...inputs.keys()].map((input) => [input, 0])));
    const gradients = perSampleGradients(losses, [...parameters.keys()], axes);
    const outputs = simplify([losses, ...[...gradients.values()].map((gradient) => gradient.materialise(build))]);
    const round = ({ dims, data }: ReturnType<typeof numbers>) => array64(dims, data.map(Math.fround));
    const fed = [...parameters, ...[...inputs].map(([value, { array }]) => [value, array] as const)];
    const feeds = new Map(fed.map(([value, array]) => [value, round(array)]));
    await checkComputed([{ outputs, feeds, samples, what: "block" }], 1e-4);
  });

  it("keeps the fused operators in its forward pass", () => {
    const { y } = make();
    const [emitted] = simplify([y]);
    expect(nodeOf(emitted as Value)?.domain).toBe("com.microsoft");
  });
});
