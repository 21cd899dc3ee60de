/**
 * Samples sorted and put back: every way of undoing an order, around what is done to each sample alone; and orders that
 * are not undone, undone by another, or under which samples of both orders meet.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/tensor/tensor.js";
import { expectAgreement, outputOf, refusalOf } from "../support/file-agreement.js";
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
  text,
  valueInfo,
  waves,
} from "./models.js";

type Nodes = NonNullable<FileInit["nodes"]>;

const constant = (name: string, ...values: number[]) =>
  node("Constant", [], [name], [tensor("value", int64s(...values))]);
const constant0 = (name: string, value: number) =>
  node("Constant", [], [name], [tensor("value", { dtype: "int64", dims: [], data: BigInt64Array.of(BigInt(value)) })]);

/** "keys", [N], sorted: values "sorted", places "order". */
const sorted = (keys: string, values: string, order: string, largest = 1): Nodes => [
  node("TopK", [keys, "count"], [values, order], [int("axis", 0), int("largest", largest)]),
];
const numbers: Nodes = [
  constant("axis0", 0),
  node("Squeeze", ["count", "axis0"], ["N"]),
  constant0("zero", 0),
  constant0("one", 1),
  node("Range", ["zero", "N", "one"], ["n"]),
];

/** "order" undone: "h" is put back as "y". */
const undoings: Readonly<Record<string, Nodes>> = {
  "by a scattered range": [
    ...numbers,
    node("ScatterElements", ["order", "order", "n"], ["inverse"], [int("axis", 0)]),
    node("Gather", ["h", "inverse"], ["y"]),
  ],
  "by a range written by its places": [
    ...numbers,
    constant("last", -1),
    node("Unsqueeze", ["order", "last"], ["places"]),
    node("ScatterND", ["order", "places", "n"], ["inverse"]),
    node("Gather", ["h", "inverse"], ["y"]),
  ],
  "by the order sorted": [...sorted("order", "same", "inverse", 0), node("Gather", ["h", "inverse"], ["y"])],
  "by the negated order sorted": [
    node("Neg", ["order"], ["negated"]),
    ...sorted("negated", "same", "inverse", 1),
    node("Gather", ["h", "inverse"], ["y"]),
  ],
  "by rows written to their places": [
    constant("last", -1),
    node("Unsqueeze", ["order", "last"], ["places"]),
    node("Shape", ["h"], ["whole"]),
    node("ConstantOfShape", ["whole"], ["empty"]),
    node("ScatterND", ["empty", "places", "h"], ["y"]),
  ],
};

const T = 4;
const H = 3;

/** The order "from" in each line along the first axis of "like", [N, T, size]. */
const inLines = (from: string, to: string, size: number): Nodes => [
  constant(`${to} first`, -1, 1, 1),
  node("Reshape", [from, `${to} first`], [`${to} column`]),
  constant(`${to} wide`, 1, T, size),
  node("Expand", [`${to} column`, `${to} wide`], [to]),
];
/** As `x[order]` is written with `optimize=False`: the index is broadcast to the greatest of all, and joined alone. */
const asPoints = (from: string, to: string): Nodes => [
  node("Max", [from], [`${to} greatest`]),
  node("Shape", [`${to} greatest`], [`${to} shape`]),
  node("Expand", [from, `${to} shape`], [`${to} each`]),
  constant(`${to} last`, -1),
  node("Unsqueeze", [`${to} each`, `${to} last`], [`${to} column`]),
  node("Concat", [`${to} column`], [to], [int("axis", -1)]),
];
/** Whole tensors that are put in order by other operators. */
const wholes: Readonly<Record<string, Nodes>> = {
  "by points": [
    ...sorted("order", "same", "inverse", 0),
    ...asPoints("inverse", "points"),
    node("GatherND", ["h", "points"], ["y"]),
  ],
  "by elements scattered to their places": [
    ...inLines("order", "lines", H),
    node("Mul", ["h", "h"], ["other"]),
    node("ScatterElements", ["other", "lines", "h"], ["y"], [int("axis", 0)]),
  ],
  "by elements gathered from their places": [
    ...sorted("order", "same", "inverse", 0),
    ...inLines("inverse", "lines", H),
    node("GatherElements", ["h", "lines"], ["y"], [int("axis", 0)]),
  ],
};
/** Ways of sorting "x" as "xs". */
const sorts: Readonly<Record<string, Nodes>> = {
  rows: [...sorted("len", "sorted", "order"), node("Gather", ["x", "order"], ["xs"])],
  points: [
    ...sorted("len", "sorted", "order"),
    ...asPoints("order", "sorting points"),
    node("GatherND", ["x", "sorting points"], ["xs"]),
  ],
  elements: [
    ...sorted("len", "sorted", "order"),
    ...inLines("order", "sorting lines", 2),
    node("GatherElements", ["x", "sorting lines"], ["xs"], [int("axis", 0)]),
  ],
};
const recurrent = (op: "GRU" | "LSTM" | "RNN") => ({ GRU: 3, LSTM: 4, RNN: 1 })[op];

/** From sorted sequences "xs" [N, T, 2] and lengths "sorted" to "h", samples first. */
const bodies: Readonly<Record<string, Nodes>> = {
  ...Object.fromEntries(
    (["GRU", "LSTM", "RNN"] as const).map((op) => [
      op,
      [
        node("Transpose", ["xs"], ["steps"], [ints("perm", [1, 0, 2])]),
        node("Cast", ["sorted"], ["lengths"], [int("to", 6)]),
        node(op, ["steps", `${op}.W`, `${op}.R`, "", "lengths"], ["all"], [int("hidden_size", H)]),
        constant("direction", 1),
        node("Squeeze", ["all", "direction"], ["states"]),
        node("Transpose", ["states"], ["h"], [ints("perm", [1, 0, 2])]),
      ],
    ]),
  ),
  linear: [node("MatMul", ["xs", "w"], ["l"]), node("Tanh", ["l"], ["h"])],
  "with the sorted lengths": [
    node("MatMul", ["xs", "w"], ["l"]),
    node("Cast", ["sorted"], ["f"], [int("to", 1)]),
    constant("shape", -1, 1, 1),
    node("Reshape", ["f", "shape"], ["fff"]),
    node("Div", ["l", "fff"], ["h"]),
  ],
  nothing: [node("Mul", ["xs", "scale"], ["h"])],
};

const initializers = [
  initializer("w", waves([2, H])),
  initializer("scale", waves([2])),
  ...(["GRU", "LSTM", "RNN"] as const).flatMap((op) => [
    initializer(`${op}.W`, waves([1, recurrent(op) * H, 2])),
    initializer(`${op}.R`, waves([1, recurrent(op) * H, H])),
  ]),
];

const size = (N: number | string): Nodes =>
  typeof N === "number" ? [constant("count", N)] : [node("Shape", ["len"], ["count"])];

function sorting(body: Nodes, undoing: Nodes, N: number | string = "N", sort: Nodes = sortedInput()): Uint8Array {
  return file({
    inputs: [valueInfo("x", [N, T, 2]), valueInfo("len", [N], 7)],
    initializers,
    nodes: [...size(N), ...sort, ...body, ...undoing],
  });
}

const sortedInput = (largest = 1): Nodes => [
  ...sorted("len", "sorted", "order", largest),
  node("Gather", ["x", "order"], ["xs"]),
];

const lengths = (samples: number, seed: number): Tensor => ({
  dtype: "int64",
  dims: [samples],
  data: BigInt64Array.from({ length: samples }, (_, n) => BigInt(1 + ((n * 3 + seed) % T))),
});
const feedsOf = (samples: number, seed: number) => ({
  x: floats([samples, T, 2], ...Array.from({ length: samples * T * 2 }, (_, i) => Math.sin(i + seed))),
  len: lengths(samples, seed),
});

describe.each(Object.keys(undoings))("samples sorted and put back %s", (undoing) => {
  it.each(Object.keys(bodies))("are as if they were not sorted (%s)", async (body) => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.nat(9),
        fc.constantFrom(0, 1),
        async (samples, seed, largest) => {
          const bytes = sorting(bodies[body] ?? [], undoings[undoing] ?? [], "N", sortedInput(largest));
          await expectAgreement({ bytes, feeds: feedsOf(samples, seed), samples });
        },
      ),
      { numRuns: 1 },
    );
  });

  it("are so in files of a fixed batch", async () => {
    for (const N of [1, 2, 3]) {
      const bytes = sorting(bodies.linear ?? [], undoings[undoing] ?? [], N);
      await expectAgreement({ bytes, feeds: feedsOf(N, 1), samples: N, fixed: N });
      const open = sorting(bodies.linear ?? [], undoings[undoing] ?? []);
      expect(await outputOf(bytes, feedsOf(4, 2))).toEqual(await outputOf(open, feedsOf(4, 2)));
    }
  });
});

describe.each(Object.keys(sorts))("samples sorted as %s", (sort) => {
  it.each([...Object.keys(wholes), "by a scattered range"])(
    "and put back %s are as if they were not",
    async (whole) => {
      const undoing = wholes[whole] ?? undoings[whole] ?? [];
      const bytes = sorting(bodies.linear ?? [], undoing, "N", sorts[sort]);
      await expectAgreement({ bytes, feeds: feedsOf(4, 1), samples: 4 });
    },
  );
});

describe("a sorted batch is refused", () => {
  const linear = bodies.linear ?? [];
  const scattered = undoings["by a scattered range"] ?? [];
  const put = (inverse: string): Nodes => [node("Gather", ["h", inverse], ["y"])];
  it.each<[string, Nodes, Nodes, Nodes?]>([
    ["where it is not put back", linear, [node("Identity", ["h"], ["y"])]],
    ["where it is sorted once more by the same order", linear, put("order")],
    ["where the order is sorted downwards", linear, [...sorted("order", "same", "inverse", 1), ...put("inverse")]],
    [
      "where its elements are sorted once more",
      linear,
      [...inLines("order", "lines", H), node("GatherElements", ["h", "lines"], ["y"], [int("axis", 0)])],
    ],
    [
      "where elements are scattered by the order undone",
      linear,
      [
        ...sorted("order", "same", "inverse", 0),
        ...inLines("inverse", "lines", H),
        node("ScatterElements", ["h", "lines", "h"], ["y"], [int("axis", 0)]),
      ],
    ],
    [
      "where elements are added to their places",
      linear,
      [
        ...inLines("order", "lines", H),
        node("ScatterElements", ["h", "lines", "h"], ["y"], [int("axis", 0), text("reduction", "add")]),
      ],
    ],
    [
      "where it is put back by another order",
      linear,
      [
        node("Neg", ["len"], ["negated"]),
        ...sorted("negated", "others", "other"),
        ...numbers,
        node("ScatterElements", ["other", "other", "n"], ["inverse"], [int("axis", 0)]),
        ...put("inverse"),
      ],
    ],
    [
      "where the other numbers are scattered",
      linear,
      [
        ...numbers,
        node("Sub", ["n", "one"], ["before"]),
        node("ScatterElements", ["order", "order", "before"], ["inverse"], [int("axis", 0)]),
        ...put("inverse"),
      ],
    ],
    [
      "where numbers are added to places",
      linear,
      [
        ...numbers,
        node("ScatterElements", ["order", "order", "n"], ["inverse"], [int("axis", 0), text("reduction", "add")]),
        ...put("inverse"),
      ],
    ],
    [
      "where unsorted samples are added to sorted ones",
      [node("Add", ["xs", "x"], ["mixed"]), node("MatMul", ["mixed", "w"], ["h"])],
      scattered,
    ],
    [
      "where sorted samples run with unsorted lengths",
      [
        node("Cast", ["len"], ["f"], [int("to", 1)]),
        constant("shape", -1, 1, 1),
        node("Reshape", ["f", "shape"], ["fff"]),
        node("Div", ["xs", "fff"], ["d"]),
        node("MatMul", ["d", "w"], ["h"]),
      ],
      scattered,
    ],
    [
      "where a sample's rank is data",
      [
        ...numbers,
        node("Cast", ["n"], ["f"], [int("to", 1)]),
        constant("shape", -1, 1, 1),
        node("Reshape", ["f", "shape"], ["fff"]),
        node("Add", ["xs", "fff"], ["d"]),
        node("MatMul", ["d", "w"], ["h"]),
      ],
      scattered.slice(numbers.length),
    ],
    [
      "where samples meet while they are sorted",
      [node("Softmax", ["xs"], ["m"], [int("axis", 0)]), node("MatMul", ["m", "w"], ["h"])],
      scattered,
    ],
    [
      "where each is compared with the next longer one",
      [node("CumSum", ["xs", "axis"], ["m"]), node("MatMul", ["m", "w"], ["h"])],
      scattered,
      [constant0("axis", 0), ...sortedInput()],
    ],
    [
      "where only the longest are kept",
      linear,
      [node("Identity", ["h"], ["y"])],
      [
        constant("two", 2),
        node("TopK", ["len", "two"], ["sorted", "order"], [int("axis", 0)]),
        node("Gather", ["x", "order"], ["xs"]),
      ],
    ],
    ["where the samples are not sorted, but put back", [node("MatMul", ["x", "w"], ["h"])], scattered],
  ])("%s", (_, body, undoing, sort = sortedInput()) => {
    const why = refusalOf(sorting(body, undoing, "N", sort));
    expect(why).toMatch(/^(SAMPLES_INTERACT|SHAPE_MISMATCH|UNSUPPORTED_OP): /);
  });

  it("with what to do about it", () => {
    const why = refusalOf(sorting(linear, [node("Identity", ["h"], ["y"])]));
    expect(why).toMatch(/TopK node "sorted" sorts the samples/);
    expect(why).toContain("enforce_sorted=True");
  });
});
