/**
 * Elements that a mask picks from all samples at once (`h[mask]`): what the file itself gives on ONNX Runtime, for
 * masks that pick all, some or none of a sample, and the gradients of the float64 loop over samples.
 */
import { describe, expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { losses, perSample, want } from "../../src/index.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import { nth } from "../../src/present.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../support/per-sample.js";
import { relativeError } from "./compare.js";
import {
  constant,
  encoded,
  type FileInit,
  file,
  initializer,
  int,
  int64s,
  ints,
  node,
  refusal,
  run,
  scalar,
  text,
  valueInfo,
  waves,
} from "./models.js";

type Nodes = NonNullable<FileInit["nodes"]>;

/** `mask`, `[N, 5]`, decides about `x`, `[N, 5, 4]`; `z`, like x, is what the nodes make of both. */
function masking(nodes: Nodes, batch: string | number = "N"): Uint8Array {
  return file({
    inputs: [valueInfo("x", [batch, 5, 4]), valueInfo("mask", [batch, 5], 9), valueInfo("ids", [batch, 5], 7)],
    initializers: [
      initializer("w", waves([4, 4])),
      initializer("token", waves([4])),
      initializer("table", waves([7, 4])),
      initializer("head", waves([4, 2])),
    ],
    nodes: [
      constant("minus", int64s(-1)),
      constant("zeros", int64s(0)),
      constant("ones", int64s(1)),
      constant("flat", int64s(-1, 4)),
      constant("first", scalar(0)),
      constant("second", scalar(1)),
      constant("five", scalar(5)),
      constant("zero", { dtype: "float32", dims: [], data: Float32Array.of(0) }),
      node("MatMul", ["x", "w"], ["h"]),
      ...nodes,
      node("MatMul", ["z", "head"], ["scores"]),
      node("ReduceMax", ["scores", "ones"], ["y"], [int("keepdims", 0)]),
    ] as Nodes,
    opset: 20,
  });
}

/** The places of `mask`, and those of all elements of `h` that it stands for. */
const places = [node("NonZero", ["mask"], ["nz"]), node("Transpose", ["nz"], ["at"])];
const elements = (mask = "mask") => [
  node("Unsqueeze", [mask, "minus"], ["mask1"]),
  node("Shape", ["h"], ["hs"]),
  node("Expand", ["mask1", "hs"], ["mask4"]),
  node("NonZero", ["mask4"], ["nz4"]),
  node("Transpose", ["nz4"], ["at4"]),
];
const rows = [...places, node("GatherND", ["h", "at"], ["r"])];
const back = (updates: string) => node("ScatterND", ["h", "at", updates], ["z"]);
/** The number of elements that the mask picks, as the exporter counts them, and a shape made of it. */
const counted = [
  node("Reshape", ["mask", "minus"], ["line"]),
  node("Cast", ["line"], ["numbers"], [int("to", 7)]),
  node("ReduceSum", ["numbers"], ["n"]),
  constant("four", int64s(4)),
  node("Concat", ["n", "four"], ["size"], [int("axis", 0)]),
];
/** The columns of the places. */
const columns = [
  node("Split", ["at", "halves"], ["i2", "j2"], [int("axis", 1)]),
  node("Squeeze", ["i2", "ones"], ["i"]),
  node("Squeeze", ["j2", "ones"], ["j"]),
];

const cases: Readonly<Record<string, Nodes>> = {
  "a layer of the picked rows": [...rows, node("MatMul", ["r", "w"], ["u"]), back("u")],
  "a softmax of each row": [...rows, node("Softmax", ["r"], ["u"], [int("axis", -1)]), back("u")],
  "one token for all, expanded to their number": [
    ...places,
    ...counted,
    node("Expand", ["token", "size"], ["u"]),
    back("u"),
  ],
  "one token for all, by single elements": [
    ...elements(),
    ...counted,
    node("Expand", ["token", "size"], ["u"]),
    node("Reshape", ["u", "minus"], ["us"]),
    node("ScatterND", ["h", "at4", "us"], ["z"]),
  ],
  "single elements, cut to their number": [
    ...rows,
    ...elements(),
    node("Neg", ["r"], ["u"]),
    node("Reshape", ["u", "minus"], ["line4"]),
    node("Shape", ["at4"], ["many"]),
    node("Gather", ["many", "zeros"], ["most"]),
    node("Slice", ["line4", "zeros", "most", "zeros"], ["us"]),
    node("ScatterND", ["h", "at4", "us"], ["z"]),
  ],
  "the same mask made twice": [
    node("Not", ["mask"], ["not1"]),
    node("NonZero", ["not1"], ["nz"]),
    node("Transpose", ["nz"], ["at"]),
    node("GatherND", ["h", "at"], ["r"]),
    node("Mul", ["r", "r"], ["u"]),
    node("Not", ["mask"], ["not2"]),
    ...elements("not2"),
    node("Reshape", ["u", "minus"], ["us"]),
    node("ScatterND", ["h", "at4", "us"], ["z"]),
  ],
  "a mask of the data's own, on every element": [
    node("Greater", ["h", "zero"], ["positive"]),
    node("NonZero", ["positive"], ["nz"]),
    node("Transpose", ["nz"], ["at"]),
    node("GatherND", ["h", "at"], ["r"]),
    // Elsewhere the logarithm is not a number: nothing of that may reach a gradient.
    node("Log", ["r"], ["u"]),
    back("u"),
  ],
  "heads of each row": [
    ...rows,
    constant("heads", int64s(-1, 2, 2)),
    node("Reshape", ["r", "heads"], ["a"]),
    node("Transpose", ["a"], ["b"], [ints("perm", [0, 2, 1])]),
    node("MatMul", ["a", "b"], ["ab"]),
    node("Reshape", ["ab", "flat"], ["u"]),
    back("u"),
  ],
  // Where nothing is picked, ids lie outside the table.
  "rows of a table": [
    ...places,
    node("GatherND", ["ids", "at"], ["own"]),
    node("Gather", ["table", "own"], ["u"], [int("axis", 0)]),
    back("u"),
  ],
  "columns of the places, and a longer table by position": [
    ...rows,
    constant("halves", int64s(1, 1)),
    ...columns,
    node("Gather", ["table", "j"], ["p"], [int("axis", 0)]),
    node("Add", ["r", "p"], ["u"]),
    back("u"),
  ],
  "one index through both axes": [
    ...places,
    constant("halves", int64s(1, 1)),
    ...columns,
    node("Mul", ["i", "five"], ["i5"]),
    node("Add", ["i5", "j"], ["ij"]),
    node("Reshape", ["h", "flat"], ["lines"]),
    node("Gather", ["lines", "ij"], ["r"], [int("axis", 0)]),
    node("MatMul", ["r", "w"], ["u"]),
    node("Unsqueeze", ["ij", "minus"], ["ij1"]),
    node("ScatterND", ["lines", "ij1", "u"], ["z2"]),
    node("Shape", ["h"], ["hs"]),
    node("Reshape", ["z2", "hs"], ["z"]),
  ],
  "a mask of rows in one line": [
    node("Reshape", ["h", "flat"], ["lines"]),
    node("Reshape", ["mask", "minus"], ["line1"]),
    node("NonZero", ["line1"], ["nz"]),
    node("Squeeze", ["nz", "zeros"], ["k"]),
    node("Gather", ["lines", "k"], ["r"], [int("axis", 0)]),
    node("MatMul", ["r", "w"], ["u"]),
    node("Unsqueeze", ["k", "minus"], ["at"]),
    node("ScatterND", ["lines", "at", "u"], ["z2"]),
    node("Shape", ["h"], ["hs"]),
    node("Reshape", ["z2", "hs"], ["z"]),
  ],
  "rows added up over the places of an axis": [
    // [2, N * 5]: which of two experts each row goes to, perhaps to both.
    node("Reshape", ["mask", "minus"], ["line1"]),
    node("Reshape", ["ids", "minus"], ["idline"]),
    node("Less", ["idline", "five"], ["small"]),
    node("Unsqueeze", ["line1", "zeros"], ["e0"]),
    node("Unsqueeze", ["small", "zeros"], ["e1"]),
    node("Concat", ["e0", "e1"], ["hit"], [int("axis", 0)]),
    node("NonZero", ["hit"], ["nz"]),
    node("Gather", ["nz", "second"], ["k"], [int("axis", 0)]),
    node("Gather", ["nz", "first"], ["e"], [int("axis", 0)]),
    node("Reshape", ["h", "flat"], ["lines"]),
    node("Gather", ["lines", "k"], ["r"], [int("axis", 0)]),
    node("Gather", ["table", "e"], ["p"], [int("axis", 0)]),
    node("Mul", ["r", "p"], ["u"]),
    node("Unsqueeze", ["k", "minus"], ["k1"]),
    node("Shape", ["u"], ["us"]),
    node("Expand", ["k1", "us"], ["k4"]),
    node("ScatterElements", ["lines", "k4", "u"], ["z2"], [int("axis", 0), text("reduction", "add")]),
    node("Shape", ["h"], ["hs"]),
    node("Reshape", ["z2", "hs"], ["z"]),
  ],
  "beside the number that each sample has": [
    ...rows,
    node("MatMul", ["r", "w"], ["u"]),
    node("ScatterND", ["h", "at", "u"], ["z1"]),
    node("Cast", ["mask"], ["numbers"], [int("to", 1)]),
    node("ReduceSum", ["numbers", "ones"], ["own"], [int("keepdims", 1)]),
    node("Unsqueeze", ["own", "minus"], ["own1"]),
    node("Sub", ["z1", "own1"], ["z"]),
  ],
  "whole samples": [
    node("Slice", ["mask", "zeros", "ones", "ones"], ["lead1"]),
    node("Squeeze", ["lead1", "ones"], ["lead"]),
    node("NonZero", ["lead"], ["nz"]),
    node("Transpose", ["nz"], ["at"]),
    node("GatherND", ["h", "at"], ["r"]),
    node("CumSum", ["r", "ones"], ["u"]),
    back("u"),
  ],
  ...Object.fromEntries(
    ["add", "mul", "max", "min"].map((how): [string, Nodes] => [
      `the reduction ${how}`,
      [...rows, node("Neg", ["r"], ["u"]), node("ScatterND", ["h", "at", "u"], ["z"], [text("reduction", how)])],
    ]),
  ),
};

/** The second sample picks nothing, the third all. */
function batchOf(samples: number): Record<string, Tensor> {
  const mask = Uint8Array.from({ length: 5 * samples }, (_, k) => {
    const sample = Math.floor(k / 5) % 4;
    return sample === 1 ? 0 : sample === 2 ? 1 : (k * k + k) % 3 > 0 ? 1 : 0;
  });
  const ids = BigInt64Array.from(mask, (picked, k) => BigInt(picked ? (k * k) % 7 : 1000));
  return {
    x: waves([samples, 5, 4]),
    mask: { dtype: "bool", dims: [samples, 5], data: mask },
    ids: { dtype: "int64", dims: [samples, 5], data: ids },
  };
}

const options = { loss: losses.mse(), target: { dtype: "float32" as const, shape: ["N" as const, 2] } };

describe("elements that a mask picks", () => {
  it.each(Object.entries(cases))("%s", async (_, nodes) => {
    const bytes = masking(nodes);
    const model = modelOf(bytes, "m.onnx", {});
    for (const samples of [1, 2, 5]) {
      const batch = batchOf(samples);
      const [found, expected] = [(await run(encoded(model), batch)).y, (await run(bytes, batch)).y] as [Tensor, Tensor];
      expect(found.dims).toEqual(expected.dims);
      expect(relativeError(found, expected)).toBeLessThan(1e-6);
    }
    const program = await perSample(model, { ...options, want: { gradients: want.gradients() } });
    const batch = { ...batchOf(5), target: waves([5, 2]) };
    const { gradients } = await program.run(batch);
    const oracle = new Oracle(objectiveOf(model, options), batch);
    const loop = Array.from({ length: 5 }, (_, n) => oracle.sample(n).gradients);
    for (const [name, gradient] of Object.entries(gradients)) {
      const expected = loop.flatMap((each) => [...(each.get(name) ?? [])]);
      expectClose(gradient.data, expected, 1e-4, name);
    }
    await program.release();
  });

  it("are read for any number of samples from a file that fixes it", async () => {
    const layer = nth([cases["a layer of the picked rows"]], 0) ?? [];
    const model = modelOf(masking(layer, 3), "m.onnx", {});
    const batch = batchOf(5);
    const [found, expected] = [(await run(encoded(model), batch)).y, (await run(masking(layer), batch)).y];
    expect(relativeError(found as Tensor, expected as Tensor)).toBeLessThan(1e-6);
  });

  const refused = (nodes: Nodes) => refusal(() => modelOf(masking(nodes), "m.onnx", {}));

  it("are refused where they meet", () => {
    const mean = node("ReduceMean", ["r", "zeros"], ["m"], [int("keepdims", 1)]);
    expect(refused([...rows, mean, node("Sub", ["r", "m"], ["u"]), back("u")])).toMatch(/^SAMPLES_INTERACT/);
    const along = node("CumSum", ["r", "first"], ["u"]);
    expect(refused([...rows, along, back("u")])).toMatch(/^SAMPLES_INTERACT/);
    expect(refused([...rows, node("Softmax", ["r"], ["u"], [int("axis", 0)]), back("u")])).toMatch(/^SAMPLES_INTERACT/);
  });

  it("are refused where another mask puts them back", () => {
    const other = [
      node("Not", ["mask"], ["no"]),
      node("NonZero", ["no"], ["nz2"]),
      node("Transpose", ["nz2"], ["at2"]),
    ];
    expect(refused([...rows, ...other, node("ScatterND", ["h", "at2", "r"], ["z"])])).toMatch(
      /^UNSUPPORTED_OP: Input 2 of ScatterND node "z" is no list of the elements that the same mask picks/,
    );
    expect(
      refused([...rows, ...other, node("GatherND", ["h", "at2"], ["r2"]), node("Add", ["r", "r2"], ["u"]), back("u")]),
    ).toMatch(/^UNSUPPORTED_OP: Add node "u" joins the elements that two masks pick/);
  });

  it("are refused beside what each sample has", () => {
    const own = node("ReduceMean", ["h", "ones"], ["own"], [int("keepdims", 0)]);
    expect(refused([...rows, own, node("Add", ["r", "own"], ["u"]), back("u")])).toMatch(
      /^UNSUPPORTED_OP: Input 1 of Add node "u" has a row for each sample, but the mask's elements have none/,
    );
    const shape = [node("Shape", ["h"], ["hs"]), node("Reshape", ["r", "hs"], ["z"])];
    expect(refused([...rows, ...shape])).toMatch(
      /^UNSUPPORTED_OP: Input 1 of Reshape node "z" has a row for each sample/,
    );
  });

  it("are refused as a tensor", () => {
    expect(refused([...rows, node("Identity", ["r"], ["z"])])).toMatch(
      /^SAMPLES_INTERACT: "y" is a list of the elements that a mask picks from all samples/,
    );
  });

  it("are refused if their first ones are taken from elsewhere, as masked_scatter does", () => {
    const nodes = [
      ...elements(),
      node("Reshape", ["x", "minus"], ["line4"]),
      node("Shape", ["at4"], ["many"]),
      node("Gather", ["many", "zeros"], ["most"]),
      node("Slice", ["line4", "zeros", "most", "zeros"], ["us"]),
      node("ScatterND", ["h", "at4", "us"], ["z"]),
    ];
    expect(refused(nodes)).toMatch(/^UNSUPPORTED_OP: Slice node "us" takes as many elements as a mask picks/);
  });

  it("are refused if all samples share the mask", () => {
    const shared = [
      node("Gather", ["mask", "first"], ["line"], [int("axis", 0)]),
      node("NonZero", ["token"], ["nz"]),
      node("Transpose", ["nz"], ["at"]),
      node("GatherND", ["table", "at"], ["r"]),
      node("Add", ["h", "r"], ["z"]),
    ];
    expect(refused(shared)).toMatch(/^UNSUPPORTED_OP: NonZero node "nz" picks as many elements as the data say/);
  });
});
