/** Old opsets: ONNX Runtime computes the same from a file and from its upgraded form. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { AttributeProto_AttributeType as Kind, type NodeProtoSchema } from "onnx-buf";
import { describe, expect, it, type TestContext } from "vitest";
import { PergradError } from "../../src/errors.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { relativeError } from "./compare.js";
import {
  decode,
  encoded,
  type FileInit,
  file,
  float,
  floats,
  initializer,
  int,
  ints,
  node,
  refusal,
  run,
  text,
  valueInfo,
  waves,
} from "./models.js";

type NodeInit = MessageInitShape<typeof NodeProtoSchema>;

interface Case {
  readonly opset: number;
  readonly dims: readonly number[];
  readonly nodes: readonly NodeInit[];
  readonly initializers?: FileInit["initializers"];
  readonly outputs?: readonly string[];
}

const mode = (name: string) => text("mode", name);
const scaleList = (...values: number[]) => ({ name: "scales", type: Kind.FLOATS, floats: values });
const one = (op: string, attributes: Parameters<typeof node>[3] = [], extra: readonly string[] = []) => [
  node(op, ["x", ...extra], ["y"], attributes),
];
const weights = (...dims: number[]) => initializer("w", waves(dims));

const reductions = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"];
const positive = new Set(["LogSum", "LogSumExp"]);

const cases: readonly (readonly [string, Case])[] = [
  ["Squeeze with axes", { opset: 11, dims: [2, 1, 3], nodes: one("Squeeze", [ints("axes", [1])]) }],
  ["Unsqueeze with axes", { opset: 11, dims: [2, 3], nodes: one("Unsqueeze", [ints("axes", [1, -1])]) }],
  ...reductions.flatMap((kind): [string, Case][] => [
    [
      `Reduce${kind} with axes`,
      {
        opset: 11,
        dims: [2, 3, 4],
        nodes: [
          node("Exp", ["x"], ["e"]),
          node(`Reduce${kind}`, [positive.has(kind) ? "e" : "x"], ["y"], [ints("axes", [-1]), int("keepdims", 0)]),
        ],
      },
    ],
  ]),
  ["DFT with an axis", { opset: 17, dims: [2, 3, 4, 2], nodes: one("DFT", [int("axis", 2), int("inverse", 1)]) }],
  ["DFT along axis 1", { opset: 17, dims: [2, 5, 3, 1], nodes: one("DFT", [int("onesided", 1)]) }],
  [
    "RoiAlign of whole pixels",
    {
      opset: 10,
      dims: [2, 1, 4, 5],
      nodes: one("RoiAlign", [int("output_height", 2), int("sampling_ratio", 2)], ["rois", "images"]),
      initializers: [
        initializer("rois", {
          dtype: "float32",
          dims: [2, 4],
          data: Float32Array.of(0.2, 0.3, 3.1, 2.2, 1, 1, 1.4, 3),
        }),
        initializer("images", { dtype: "int64", dims: [2], data: BigInt64Array.of(1n, 0n) }),
      ],
    },
  ],
  ["ReduceMax of opset 13", { opset: 13, dims: [2, 3, 4], nodes: one("ReduceMax", [ints("axes", [1, 2])]) }],
  ["ReduceSum without axes", { opset: 9, dims: [2, 3], nodes: one("ReduceSum", [int("keepdims", 0)]) }],
  [
    "Slice with attributes",
    {
      opset: 9,
      dims: [2, 5, 4],
      nodes: one("Slice", [ints("axes", [1, 2]), ints("starts", [-3, 0]), ints("ends", [2n ** 63n - 1n, -1])]),
    },
  ],
  [
    "Slice without axes",
    { opset: 9, dims: [2, 5], nodes: one("Slice", [ints("starts", [0, 1]), ints("ends", [2n ** 63n - 1n, 4])]) },
  ],
  [
    "Pad with a value",
    { opset: 10, dims: [2, 3], nodes: one("Pad", [ints("pads", [0, 1, 0, 2]), float("value", 0.5)]) },
  ],
  ["Pad by reflection", { opset: 10, dims: [2, 4], nodes: one("Pad", [ints("pads", [0, 2, 0, 1]), mode("reflect")]) }],
  ["Clip with both bounds", { opset: 10, dims: [2, 3], nodes: one("Clip", [float("min", -0.5), float("max", 0.25)]) }],
  ["Clip from above", { opset: 10, dims: [2, 3], nodes: one("Clip", [float("max", 0.25)]) }],
  [
    "Split with sizes",
    {
      opset: 11,
      dims: [2, 5],
      nodes: [node("Split", ["x"], ["a", "b"], [int("axis", 1), ints("split", [2, 3])])],
      outputs: ["a", "b"],
    },
  ],
  [
    "Split into equal parts",
    { opset: 11, dims: [2, 6], nodes: [node("Split", ["x"], ["a", "b", "c"], [int("axis", 1)])], outputs: ["c", "b"] },
  ],
  [
    "Split of opset 13",
    { opset: 13, dims: [2, 6], nodes: [node("Split", ["x"], ["a", "b"], [int("axis", -1)])], outputs: ["a", "b"] },
  ],
  ...["Softmax", "LogSoftmax", "Hardmax"].flatMap((op): [string, Case][] => [
    [`${op} over all axes from 1 on`, { opset: 11, dims: [2, 3, 4], nodes: one(op) }],
    [`${op} over axes 2 and 3 of 4`, { opset: 11, dims: [2, 3, 2, 4], nodes: one(op, [int("axis", -2)]) }],
    [`${op} over the last axis`, { opset: 11, dims: [2, 3, 4], nodes: one(op, [int("axis", 2)]) }],
    [`${op} of a matrix`, { opset: 9, dims: [2, 3], nodes: one(op) }],
  ]),
  ...["nearest", "linear"].flatMap((kind): [string, Case][] => [
    [
      `Upsample with scales as an attribute: ${kind}`,
      { opset: 7, dims: [2, 3, 3, 4], nodes: one("Upsample", [mode(kind), scaleList(1, 1, 2, 1.5)]) },
    ],
    [
      `Upsample with scales as an input: ${kind}`,
      {
        opset: 9,
        dims: [2, 3, 3, 4],
        nodes: one("Upsample", [mode(kind)], ["s"]),
        initializers: [initializer("s", floats([4], 1, 1, 3, 2))],
      },
    ],
    [
      `Resize of opset 10 that enlarges and reduces: ${kind}`,
      {
        opset: 10,
        dims: [2, 3, 5, 4],
        nodes: one("Resize", [mode(kind)], ["s"]),
        initializers: [initializer("s", floats([4], 1, 1, 0.6, 1.5))],
      },
    ],
  ]),
  [
    "Resize of opset 11 with empty inputs",
    {
      opset: 11,
      dims: [2, 3, 5, 4],
      nodes: [
        node("Shape", ["x"], ["whole"]),
        node("Slice", ["whole", "from", "to"], ["front"]),
        node("Concat", ["front", "back"], ["sizes"], [int("axis", 0)]),
        node("Resize", ["x", "none", "none", "sizes"], ["y"], [mode("linear")]),
      ],
      initializers: [
        initializer("none", floats([0])),
        initializer("from", { dtype: "int64", dims: [1], data: BigInt64Array.of(0n) }),
        initializer("to", { dtype: "int64", dims: [1], data: BigInt64Array.of(2n) }),
        initializer("back", { dtype: "int64", dims: [2], data: BigInt64Array.of(7n, 2n) }),
      ],
    },
  ],
  ["Dropout with a ratio", { opset: 10, dims: [2, 3], nodes: one("Dropout", [float("ratio", 0.3)]) }],
  [
    "GroupNormalization with a scale per group",
    {
      opset: 18,
      dims: [2, 6, 4],
      initializers: [weights(3), initializer("b", floats([3], 1, 2, 3))],
      nodes: one("GroupNormalization", [int("num_groups", 3), float("epsilon", 1e-3)], ["w", "b"]),
    },
  ],
  [
    "BatchNormalization",
    {
      opset: 9,
      dims: [2, 2, 3],
      initializers: [
        weights(2),
        initializer("b", floats([2], 1, 2)),
        initializer("m", floats([2], 0.1, -1)),
        initializer("v", floats([2], 4, 0.5)),
      ],
      nodes: one("BatchNormalization", [float("epsilon", 1e-3), float("momentum", 0.9)], ["w", "b", "m", "v"]),
    },
  ],
  [
    "Gemm with integral alpha and beta",
    {
      opset: 7,
      dims: [2, 3],
      initializers: [weights(4, 3), initializer("b", floats([4], 1, 2, 3, 4))],
      nodes: one("Gemm", [int("transB", 1), float("alpha", 2), float("beta", 3)], ["w", "b"]),
    },
  ],
];

function upgradedOrSkip(bytes: Uint8Array, context: TestContext): Uint8Array {
  try {
    return encoded(decode(bytes));
  } catch (error) {
    if (error instanceof PergradError && error.message.includes("does not know: ")) context.skip(error.message);
    throw error;
  }
}

describe("ONNX Runtime computes the same once upgraded", () => {
  it.for(cases)("%s", async ([, { opset, dims, nodes, initializers = [], outputs = ["y"] }], context) => {
    const whole = file({
      inputs: [valueInfo("x", ["N", ...dims.slice(1)])],
      nodes,
      initializers,
      outputs: [...outputs],
      opset,
    });
    const upgraded = upgradedOrSkip(whole, context);
    const x = waves(dims);
    const [expected, found] = [await run(whole, { x }), await run(upgraded, { x })];
    for (const name of outputs) {
      expect(found[name]?.dims).toEqual(expected[name]?.dims);
      expect(relativeError(found[name] as Tensor, expected[name] as Tensor)).toBeLessThan(1e-6);
    }
  });
});

describe("opset 6, which ONNX Runtime does not run", () => {
  async function result(init: FileInit, x: Tensor): Promise<Tensor> {
    const bytes = file({ inputs: [valueInfo("x", ["N", ...x.dims.slice(1)])], opset: 6, ...init });
    return (await run(encoded(decode(bytes)), { x })).y as Tensor;
  }
  const zeros = (...dims: number[]) => floats(dims, ...Array<number>(sizeOf(dims)).fill(0));

  it("aligns the second operand at an axis", async () => {
    const nodes = one("Add", [int("broadcast", 1), int("axis", 1)], ["b"]);
    const y = await result({ initializers: [initializer("b", floats([3], 1, 2, 3))], nodes }, zeros(1, 3, 2));
    expect(y).toEqual(floats([1, 3, 2], 1, 1, 2, 2, 3, 3));
  });

  it("aligns it at the right without one", async () => {
    const y = await result(
      { initializers: [initializer("b", floats([2], 1, 2))], nodes: one("Sub", [int("broadcast", 1)], ["b"]) },
      zeros(1, 2, 2),
    );
    expect(y).toEqual(floats([1, 2, 2], -1, -2, -1, -2));
  });

  it("refuses an operand that does not fit from there on", () => {
    const nodes = one("Add", [int("broadcast", 1), int("axis", -1)], ["b"]);
    const bytes = file({
      inputs: [valueInfo("x", ["N", 2])],
      initializers: [initializer("b", floats([2, 2], 1, 2, 3, 4))],
      nodes,
      opset: 6,
    });
    expect(refusal(() => decode(bytes))).toMatch(/^SHAPE_MISMATCH: .*Add node "y"/);
  });

  it("reads a slope per channel", async () => {
    const x = floats([1, 2, 2], -1, -1, -1, 1);
    const y = await result({ initializers: [initializer("s", floats([2], 2, 3))], nodes: one("PRelu", [], ["s"]) }, x);
    expect(y).toEqual(floats([1, 2, 2], -2, -2, -3, 1));
  });

  it("ignores hints to old runtimes", async () => {
    const y = await result({ nodes: one("Neg", [ints("consumed_inputs", [0])]) }, floats([1, 1], 2));
    expect(y).toEqual(floats([1, 1], -2));
  });
});

it.each([24, 25, 28])(
  "reads in opset %i how casts to floats of an exponent round, and ignores it elsewhere",
  async (opset) => {
    const nodes = one("Cast", [int("to", 7), text("round_mode", "nearest")]);
    const bytes = file({ inputs: [valueInfo("x", ["N", 2])], nodes, opset });
    const { y } = await run(encoded(decode(bytes)), { x: floats([1, 2], 1.7, -2) });
    expect(y).toEqual({ dtype: "int64", dims: [1, 2], data: BigInt64Array.of(1n, -2n) });
  },
);
