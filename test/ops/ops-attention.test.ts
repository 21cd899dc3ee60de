import { fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ModelProtoSchema } from "onnx-buf";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { describe, expect, it, test } from "vitest";
import { PergradError } from "../../src/errors.js";
import { array64 } from "../../src/float64/array64.js";
import { type Attributes, leaf, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import {
  attentionCases,
  blindCases,
  groupedCases,
  multiHeadCases,
  projectedCases,
  rotaryCases,
} from "../support/attention-cases.js";
import { checkComputed, derivativeOf, emittedOf } from "../support/graph-checks.js";
import { checkRuntime, type OpCase, type OpInput, typed } from "../support/op-checks.js";
import { describeOp } from "../support/op-suite.js";
import { sessionOptions } from "../support/session-options.js";

const microsoft = "com.microsoft";

const newer = "the opset that programs are emitted in does not have this operator";
describeOp("RotaryEmbedding", { cases: rotaryCases(""), noKernel: newer });
describeOp(`${microsoft}.RotaryEmbedding`, { cases: rotaryCases(microsoft) });

describeOp("Attention", { cases: attentionCases(false), noKernel: newer });
describeOp("Attention with a cache", { cases: attentionCases(true), noKernel: newer });

/** The kernel of ONNX Runtime, in a file of the opset that has the operator. */
async function inOpset(test: OpCase, opset: bigint): Promise<{ actual: number[][]; expected: number[][] }> {
  const feeds = new Map<Value, ReturnType<typeof array64>>();
  const inputs = test.inputs.map((input, k) => {
    if (!input) return null;
    const value = leaf(`x${k}`, { dtype: input.dtype ?? "float32", shape: input.dims }, { kind: "input" });
    feeds.set(value, array64(input.dims, value.dtype === "float32" ? input.data.map(Math.fround) : input.data));
    return value;
  });
  const node = build.node(test.op, inputs, test.attributes, test.outputs);
  const outputs = node.outputs.map((value, k) => ({ name: `y${k}`, value }));
  const model = fromBinary(ModelProtoSchema, encodeModel({ inputs: [...feeds.keys()], outputs }));
  for (const entry of model.opsetImport) if (entry.domain === "") entry.version = opset;
  model.irVersion = 11n;
  const session = await InferenceSession.create(toBinary(ModelProtoSchema, model), sessionOptions);
  const fed = [...feeds].map(([{ name, dtype }, array]) => {
    return [
      name,
      new OrtTensor(dtype as "float32", typed(array, dtype).data as Float32Array, [...array.dims]),
    ] as const;
  });
  const results = await session.run(Object.fromEntries(fed));
  await session.release();
  const actual = outputs.map(({ name }) => Array.from((results[name] as OrtTensor).data as Float32Array, Number));
  return { actual, expected: evaluateGraph(node.outputs, feeds, 1).map(({ data }) => [...data]) };
}

describe("the kernels of opset 23", () => {
  it.each([
    // The kernel has no masks of one axis.
    ["Attention", attentionCases(false).filter(({ inputs }) => inputs[3]?.dims.length !== 1)],
    ["RotaryEmbedding", rotaryCases("")],
  ])("%s computes what ONNX Runtime computes", async (_, cases) => {
    const property = fc.asyncProperty(cases, async (test) => {
      const { actual, expected } = await inOpset(test, 23n);
      expected.forEach((numbers, k) => {
        numbers.forEach((x, at) => {
          expect(Math.abs((actual[k]?.[at] ?? Number.NaN) - x), JSON.stringify(test)).toBeLessThan(2e-5);
        });
      });
    });
    await fc.assert(property, { numRuns: 60 });
  });
});

describeOp(`${microsoft}.Attention`, {
  cases: projectedCases,
  // ONNX Runtime 1.30 crashes where there is no bias; programs hold one of zeros.
  notInRuntime: ({ inputs }) => !inputs[2],
  inParts: true,
});

describeOp(`${microsoft}.MultiHeadAttention`, {
  cases: multiHeadCases,
  // Packed forms: the kernel for CPUs has none.
  notInRuntime: ({ inputs }) => inputs.some((input) => input?.dims.length === 5),
  inParts: true,
});

describeOp(`${microsoft}.GroupQueryAttention`, {
  cases: groupedCases(2),
  noKernel: "the kernel takes heads of a multiple of 16 elements, which are below",
  derivatives: 15,
});

test(`${microsoft}.GroupQueryAttention computes what ONNX Runtime computes of heads that its kernel takes`, async () => {
  // It has no norms, and takes several queries behind a cache of one sample only.
  const cases = groupedCases(16).filter(({ inputs: [query, , , past, ...others] }) => {
    return others.length <= 10 && (!past || query?.dims[0] === 1 || query?.dims[1] === 1);
  });
  const many = fc.array(cases, { minLength: 20, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(many, (tests) => checkRuntime(tests)),
    { numRuns: 2, endOnFailure: true },
  );
});

// The forward pass of programs is the kernel, and gradients are those of its parts: of the same function, or of none.
describe.each(["Attention", "MultiHeadAttention"] as const)(`${microsoft}.%s with queries that see no key`, (op) => {
  const inKernel = ({ inputs }: OpCase) =>
    (op === "MultiHeadAttention" || Boolean(inputs[2])) && !inputs.some((input) => input?.dims.length === 5);
  const many = fc.array(blindCases(op).filter(inKernel), { minLength: 15, maxLength: 15 });

  it("the parts compute what the kernel computes", async () => {
    await fc.assert(
      fc.asyncProperty(many, (tests) => checkRuntime(tests)),
      { numRuns: 6 },
    );
  });

  it("programs compute and differentiate what the reference does", async () => {
    const property = fc.asyncProperty(many, async (tests) => {
      await checkComputed(tests.map((test, k) => emittedOf(test, `c${k}_`)));
      await checkComputed(tests.map((test, k) => derivativeOf(test, `c${k}_`)));
    });
    await fc.assert(property, { numRuns: 3 });
  });
});

// Edges and refusals

const f = (...dims: number[]) => leaf("x", { dtype: "float32", shape: dims }, { kind: "input" });
const i = (...dims: number[]) => leaf("i", { dtype: "int32", shape: dims }, { kind: "input" });

describe("a query that sees no key", () => {
  it("has the result 0, and no gradient that is not a number", async () => {
    const { reverse, plain } = await import("../../src/autodiff/reverse.js");
    const x = f(1, 1, 2, 2);
    const mask = build.constant({ dtype: "bool", dims: [2, 2], data: Uint8Array.of(0, 0, 1, 1) });
    const { outputs } = build.node("Attention", [x, x, x, mask], { qk_matmul_output_mode: 3 }, 4);
    const [y, , , weights] = outputs as [Value, Value, Value, Value];
    const feeds = new Map([[x, array64([1, 1, 2, 2], [0.3, -0.4, 0.7, 0.1])]]);
    const loss = build.sum(build.square(y));
    const dx = reverse(new Map([[loss, build.scalar(1, loss)]]), new Set([x]), plain).get(x) as Value;
    const [result, shares, gradient] = evaluateGraph([y, weights, dx], feeds, 1);
    expect([...(result?.data ?? [])].slice(0, 2)).toEqual([0, 0]);
    expect([...(shares?.data ?? [])].slice(0, 2)).toEqual([0, 0]);
    expect([...(gradient?.data ?? [Number.NaN])].every(Number.isFinite)).toBe(true);
  });
});

describe("newer forms of Attention", () => {
  const q = { dims: [2, 1, 3, 2], data: Array.from({ length: 12 }, (_, k) => Math.sin(k)) };
  const run = (inputs: (OpInput | null)[], attributes: Attributes) => {
    const feeds = new Map<Value, ReturnType<typeof array64>>();
    const values = inputs.map((input, k) => {
      if (!input) return null;
      const value = leaf(`x${k}`, { dtype: input.dtype ?? "float32", shape: input.dims }, { kind: "input" });
      feeds.set(value, array64(input.dims, input.data));
      return value;
    });
    const node = build.node("Attention", values, { ...attributes, qk_matmul_output_mode: 3 }, 4);
    return [...(evaluateGraph([node.outputs[3] as Value], feeds, 1)[0]?.data ?? [])].map((weight) =>
      Number(weight > 0),
    );
  };

  it("windows (opset 25) are seen from the query's place", () => {
    expect(run([q, q, q], { left_window_size: 1, right_window_size: 0 }).slice(0, 9)).toEqual([
      1, 0, 0, 1, 1, 0, 0, 1, 1,
    ]);
    expect(run([q, q, q], { right_window_size: 1 }).slice(0, 9)).toEqual([1, 1, 0, 1, 1, 1, 1, 1, 1]);
  });

  it("lengths (opset 24) hide the padding, and move the causal order", () => {
    const lengths = { dims: [2], data: [3, 2], dtype: "int64" as const };
    expect(run([q, q, q, null, null, null, lengths], {})).toEqual([
      1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 0,
    ]);
    expect(run([q, q, q, null, null, null, lengths], { is_causal: 1 })).toEqual([
      1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 1, 0,
    ]);
  });

  it("a short mask (opset 24) hides what it does not mention", () => {
    const mask = { dims: [3, 2], data: [1, 0, 1, 1, 0, 1], dtype: "bool" as const };
    expect(run([q, q, q, mask], {}).slice(0, 9)).toEqual([1, 0, 0, 1, 1, 0, 0, 1, 0]);
  });
});

describe("refuses", () => {
  const heads = { num_heads: 2 };
  const shared = { ...heads, kv_num_heads: 1 };
  const grouped = (key: Value, past: Value | null) => [f(2, 3, 4), key, key, past, past, i(2), i()];
  it.each([
    ["ranks that differ", "", "Attention", [f(2, 3, 4), f(2, 3, 4), f(2, 2, 3, 2)], {}],
    ["three axes without a number of heads", "", "Attention", [f(2, 3, 4), f(2, 3, 4), f(2, 3, 4)], {}],
    ["heads that do not share", "", "Attention", [f(1, 3, 2, 2), f(1, 2, 2, 2), f(1, 2, 2, 2)], {}],
    ["a mask that does not broadcast", "", "Attention", [f(1, 3, 2, 2), f(1, 3, 2, 2), f(1, 3, 2, 2), f(3, 2)], {}],
    ["a mask of one key", "", "Attention", [f(1, 3, 2, 2), f(1, 3, 2, 2), f(1, 3, 2, 2), f(2, 1)], {}],
    ["a mask of integers", "", "Attention", [f(1, 3, 2, 2), f(1, 3, 2, 2), f(1, 3, 2, 2), i(2, 2)], {}],
    ["half a cache", "", "Attention", [f(1, 3, 2, 2), f(1, 3, 2, 2), f(1, 3, 2, 2), null, f(1, 3, 2, 2)], {}],
    [
      "an unknown output mode",
      "",
      "Attention",
      [f(1, 3, 2, 2), f(1, 3, 2, 2), f(1, 3, 2, 2)],
      { qk_matmul_output_mode: 9 },
    ],
    ["a cache", microsoft, "Attention", [f(2, 3, 4), f(4, 12), f(12), null, f(2, 2, 2, 5, 2)], heads],
    ["rotation inside", microsoft, "Attention", [f(2, 3, 4), f(4, 12), f(12)], { ...heads, do_rotary: 1 }],
    ["ends and starts as a mask", microsoft, "Attention", [f(2, 3, 4), f(4, 12), f(12), i(4)], heads],
    ["a weight that does not split", microsoft, "Attention", [f(2, 3, 4), f(4, 13), f(13)], heads],
    ["no heads", microsoft, "Attention", [f(2, 3, 4), f(4, 12), f(12)], {}],
    [
      "a cache",
      microsoft,
      "MultiHeadAttention",
      [f(2, 3, 4), f(2, 3, 4), f(2, 3, 4), null, null, null, f(2, 2, 5, 2), f(2, 2, 5, 2)],
      heads,
    ],
    [
      "order between unequal numbers",
      microsoft,
      "MultiHeadAttention",
      [f(2, 3, 4), f(2, 5, 4), f(2, 5, 4)],
      { ...heads, unidirectional: 1 },
    ],
    ["an unknown form", microsoft, "MultiHeadAttention", [f(2, 3, 4), f(2, 3, 4)], heads],
    ["a bias of another size", microsoft, "MultiHeadAttention", [f(2, 3, 4), f(2, 3, 4), f(2, 3, 4), f(4)], heads],
    ["half a cache", microsoft, "GroupQueryAttention", grouped(f(2, 3, 2), f(2, 1, 5, 2)).with(4, null), shared],
    ["keys of another length", microsoft, "GroupQueryAttention", grouped(f(2, 5, 2), null), shared],
    [
      "a table that is too short",
      microsoft,
      "GroupQueryAttention",
      [...grouped(f(2, 3, 2), null), f(2, 1), f(2, 1)],
      { ...shared, do_rotary: 1 },
    ],
    ["angles of another size", "", "RotaryEmbedding", [f(2, 2, 3, 4), f(2, 3, 3), f(2, 3, 3)], {}],
    ["angles without positions", "", "RotaryEmbedding", [f(2, 2, 3, 4), f(6, 2), f(6, 2)], {}],
    ["packed samples", microsoft, "RotaryEmbedding", [f(2, 3, 8), i(1), f(6, 2), f(6, 2)], { is_packed_batching: 1 }],
    ["a vector to turn", microsoft, "RotaryEmbedding", [f(8), i(1), f(6, 2), f(6, 2)], {}],
  ] as [string, string, string, (Value | null)[], Attributes][])("%s (%s %s)", (_, domain, op, inputs, attributes) => {
    expect(() => build.node(op, inputs, attributes, 1, { domain })).toThrow(PergradError);
  });
});
