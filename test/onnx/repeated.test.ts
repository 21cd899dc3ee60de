/**
 * Files of one batch size that compute the same for each of their samples: every way of repeating what all share, with
 * what layers make of it, beside what the samples bring. They take any number of samples.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectAgreement, refusalOf } from "../support/file-agreement.js";
import {
  type FileInit,
  file,
  floats,
  initializer,
  int,
  int64s,
  ints,
  node,
  tensor,
  valueInfo,
  waves,
} from "./models.js";

type Nodes = NonNullable<FileInit["nodes"]>;

interface Sizes {
  /** Samples that the file is made for. */
  readonly size: number;
  /** Queries, and features of each: D is even. */
  readonly Q: number;
  readonly D: number;
}

const constant = (name: string, ...values: number[]) =>
  node("Constant", [], [name], [tensor("value", int64s(...values))]);
const reshaped = (from: string, to: string, ...dims: number[]) => [
  constant(`${to} shape`, ...dims),
  node("Reshape", [from, `${to} shape`], [to]),
];

/** "r", [size, Q, D], from the parameter "q", [Q, D]. */
const repeats: Readonly<Record<string, (sizes: Sizes) => Nodes>> = {
  Expand: ({ size, Q, D }) => [constant("many", size, Q, D), node("Expand", ["q", "many"], ["r"])],
  "Expand of one row": ({ size, Q, D }) => [
    ...reshaped("q", "row", 1, Q, D),
    constant("many", size, 1, 1),
    node("Expand", ["row", "many"], ["r"]),
  ],
  Tile: ({ size, Q, D }) => [
    ...reshaped("q", "row", 1, Q, D),
    constant("times", size, 1, 1),
    node("Tile", ["row", "times"], ["r"]),
  ],
  "zeros of the batch": ({ size, Q, D }) => [
    constant("many", size, Q, D),
    node("ConstantOfShape", ["many"], ["zeros"], [tensor("value", floats([1], 0))]),
    node("Add", ["zeros", "q"], ["r"]),
  ],
  "rows that every sample numbers alike": ({ size, Q }) => [
    node(
      "Constant",
      [],
      ["ids"],
      [
        tensor("value", {
          dtype: "int64",
          dims: [size, Q],
          data: BigInt64Array.from({ length: size * Q }, (_, k) => BigInt(Q - 1 - (k % Q))),
        }),
      ],
    ),
    node("Gather", ["q", "ids"], ["r"]),
  ],
};

/** "s", [size, Q, D], from "r". */
const layers: Readonly<Record<string, (sizes: Sizes) => Nodes>> = {
  nothing: () => [node("Identity", ["r"], ["s"])],
  "a normalisation and a product": () => [
    node("LayerNormalization", ["r", "scale"], ["normal"]),
    node("MatMul", ["normal", "v"], ["t"]),
    node("Tanh", ["t"], ["s"]),
  ],
  "attention among themselves": () => [
    node("MatMul", ["r", "v"], ["t"]),
    node("Transpose", ["t"], ["turned"], [ints("perm", [0, 2, 1])]),
    node("MatMul", ["t", "turned"], ["scores"]),
    node("Softmax", ["scores"], ["weights"]),
    node("MatMul", ["weights", "t"], ["found"]),
    node("Add", ["found", "r"], ["s"]),
  ],
  "heads, and rows of a matrix": ({ size, Q, D }) => [
    ...reshaped("r", "split", size, Q, 2, D / 2),
    node("Transpose", ["split"], ["heads"], [ints("perm", [0, 2, 1, 3])]),
    node("Tanh", ["heads"], ["bent"]),
    node("Transpose", ["bent"], ["back"], [ints("perm", [0, 2, 1, 3])]),
    ...reshaped("back", "rows", size * Q, D),
    node("MatMul", ["rows", "v"], ["t"]),
    ...reshaped("t", "s", size, Q, D),
  ],
  "parts of them": () => [
    node("Split", ["r"], ["a", "b"], [int("axis", -1), int("num_outputs", 2)]),
    node("Sigmoid", ["b"], ["gate"]),
    node("Mul", ["a", "gate"], ["c"]),
    node("Concat", ["c", "b"], ["s"], [int("axis", -1)]),
  ],
};

/** "y" from "s" and the samples' "h", [size, Q, D]. */
const uses: Readonly<Record<string, (sizes: Sizes) => Nodes>> = {
  added: () => [node("Add", ["h", "s"], ["y"])],
  "put in front": () => [node("Concat", ["s", "h"], ["y"], [int("axis", 1)])],
  "asking the samples": () => [
    node("Transpose", ["h"], ["keys"], [ints("perm", [0, 2, 1])]),
    node("MatMul", ["s", "keys"], ["match"]),
    node("Softmax", ["match"], ["share"]),
    node("MatMul", ["share", "h"], ["y"]),
  ],
  "steps of a layer that starts from the samples": () => [
    constant("first", 0),
    node("Gather", ["h", "first"], ["begin"], [int("axis", 1)]),
    node("Transpose", ["begin"], ["state"], [ints("perm", [1, 0, 2])]),
    node("Transpose", ["s"], ["steps"], [ints("perm", [1, 0, 2])]),
    node("RNN", ["steps", "v1", "v1", "", "", "state"], ["all"], [int("hidden_size", 4)]),
    constant("direction", 1),
    node("Squeeze", ["all", "direction"], ["states"]),
    node("Transpose", ["states"], ["y"], [ints("perm", [1, 0, 2])]),
  ],
  "points at which the samples are read": ({ size, Q, D }) => [
    ...reshaped("h", "picture", size, 1, Q, D),
    ...reshaped("s", "raw", size, Q, D / 2, 2),
    node("Tanh", ["raw"], ["points"]),
    node("GridSample", ["picture", "points"], ["y"]),
  ],
  "what attention asks the samples": () => [
    node("Attention", ["s", "h", "h"], ["y"], [int("q_num_heads", 2), int("kv_num_heads", 2)]),
  ],
  "added as rows of a matrix": ({ size, Q, D }) => [
    ...reshaped("s", "shared rows", size * Q, D),
    ...reshaped("h", "own rows", size * Q, D),
    node("Mul", ["own rows", "shared rows"], ["z"]),
    ...reshaped("z", "y", size, Q, D),
  ],
};

function fileOf(sizes: Sizes, ...nodes: readonly Nodes[]): Uint8Array {
  const { size, Q, D } = sizes;
  return file({
    inputs: [valueInfo("x", [size, Q, 3])],
    initializers: [
      initializer("w", waves([3, D])),
      initializer("q", waves([Q, D])),
      initializer("v", waves([D, D])),
      initializer("v1", waves([1, 4, 4])),
      initializer("scale", floats([D], ...Array.from({ length: D }, (_, k) => 1 + k / 4))),
    ],
    nodes: [node("MatMul", ["x", "w"], ["h"]), ...nodes.flat()],
    opset: 23,
  });
}

const feedsOf = (samples: number, Q: number) => ({
  x: floats([samples, Q, 3], ...Array.from({ length: samples * Q * 3 }, (_, k) => Math.sin(3 * k + 1))),
});

// Sizes differ, so that an axis of the batch is no other one's.
const sizesOf = fc.constantFrom<Sizes>({ size: 1, Q: 3, D: 4 }, { size: 2, Q: 3, D: 4 }, { size: 5, Q: 3, D: 4 });

describe.each(Object.keys(layers))("what is the same for all samples, after %s", (layer) => {
  it.each(Object.keys(uses))("is %s for any number of samples", async (use) => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(repeats)),
        sizesOf,
        fc.integer({ min: 0, max: 4 }),
        async (repeat, sizes, samples) => {
          const nodes = [repeats[repeat], layers[layer], uses[use]].map((make) => make?.(sizes) ?? []);
          const bytes = fileOf(sizes, ...nodes);
          await expectAgreement({ bytes, feeds: feedsOf(samples, sizes.Q), samples, fixed: sizes.size });
        },
      ),
      { numRuns: 4 },
    );
  });
});

describe("where a batch is as large as another axis", () => {
  it.each(Object.keys(repeats))("the samples are found all the same (%s)", async (repeat) => {
    const sizes = { size: 4, Q: 4, D: 4 };
    const nodes = [repeats[repeat], layers["a normalisation and a product"], uses["asking the samples"]].map(
      (make) => make?.(sizes) ?? [],
    );
    await expectAgreement({ bytes: fileOf(sizes, ...nodes), feeds: feedsOf(3, 4), samples: 3, fixed: 4 });
  });
});

it("rows that differ from sample to sample are refused", () => {
  const sizes = { size: 2, Q: 3, D: 4 };
  const rows = [
    node("Constant", [], ["ids"], [tensor("value", { ...int64s(0, 1, 2, 0, 2, 1), dims: [2, 3] })]),
    node("Gather", ["q", "ids"], ["r"]),
  ];
  for (const layer of ["nothing", "a normalisation and a product"])
    for (const use of Object.values(uses))
      expect(refusalOf(fileOf(sizes, rows, layers[layer]?.(sizes) ?? [], use(sizes)))).toMatch(
        /^(SHAPE_MISMATCH|SAMPLES_INTERACT): /,
      );
});
