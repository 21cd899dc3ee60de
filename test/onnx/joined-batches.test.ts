/**
 * Batches joined along the sample axis, as siamese networks join their two views, and split again: the samples come in
 * rounds. Every way of splitting, in files of any batch and of a fixed one; and graphs in which samples would meet.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectAgreement, refusalOf } from "../support/file-agreement.js";
import { type FileInit, file, initializer, int, int64s, ints, node, tensor, valueInfo, waves } from "./models.js";

type Nodes = NonNullable<FileInit["nodes"]>;

const constant = (name: string, ...values: number[]) =>
  node("Constant", [], [name], [tensor("value", int64s(...values))]);

interface Joined {
  /** Copies joined, at least 2. */
  readonly rounds: number;
  /** The batch of the file; "N" where it is open. */
  readonly N: number | string;
}

/** "h", rounds after each other, as "h0", "h1", ... */
const splits: Readonly<Record<string, (joined: Joined) => Nodes>> = {
  "Split into equal parts": ({ rounds }) => [
    node("Split", ["h"], rows("h", rounds), [int("axis", 0), int("num_outputs", rounds)]),
  ],
  "Split by sizes": ({ rounds, N }) => [
    ...sizes(N),
    node("Concat", Array(rounds).fill("N1"), ["parts"], [int("axis", 0)]),
    node("Split", ["h", "parts"], rows("h", rounds), [int("axis", 0)]),
  ],
  "a sequence of chunks": ({ rounds, N }) => [
    ...sizes(N),
    node("Squeeze", ["N1"], ["chunk"]),
    node("SplitToSequence", ["h", "chunk"], ["list"], [int("axis", 0)]),
    ...rows("h", rounds).flatMap((name, k) => [
      node("Constant", [], [`k${k}`], [int("value_int", k)]),
      node("SequenceAt", ["list", `k${k}`], [name]),
    ]),
  ],
  "a sequence of sizes": ({ rounds, N }) => [
    ...sizes(N),
    node("Concat", Array(rounds).fill("N1"), ["parts"], [int("axis", 0)]),
    node("SplitToSequence", ["h", "parts"], ["list"], [int("axis", 0)]),
    ...rows("h", rounds).flatMap((name, k) => [
      node("Constant", [], [`k${k}`], [int("value_int", k)]),
      node("SequenceAt", ["list", `k${k}`], [name]),
    ]),
  ],
  "slices of chunks": ({ rounds }) => [
    node("Shape", ["h"], ["all"], [int("start", 0), int("end", 1)]),
    constant("round", rounds - 1),
    constant("rounds", rounds),
    node("Add", ["all", "round"], ["more"]),
    node("Div", ["more", "rounds"], ["chunk"]),
    constant("axis0", 0),
    ...rows("h", rounds).flatMap((name, k) => [
      constant(`from${k}`, k),
      constant(`to${k}`, k + 1),
      node("Mul", ["chunk", `from${k}`], [`start${k}`]),
      node("Mul", ["chunk", `to${k}`], [`end${k}`]),
      node("Slice", ["h", `start${k}`, `end${k}`, "axis0"], [name]),
    ]),
  ],
  "an axis of its own": ({ rounds }) => [
    constant("apart", rounds, -1, 3),
    node("Reshape", ["h", "apart"], ["r"]),
    constant("axis0", 0),
    ...rows("h", rounds).flatMap((name, k) => [
      constant(`k${k}`, k),
      node("Gather", ["r", `k${k}`], [`g${k}`], [int("axis", 0)]),
      node("Squeeze", [`g${k}`, "axis0"], [name]),
    ]),
  ],
};

const rows = (name: string, count: number) => Array.from({ length: count }, (_, k) => `${name}${k}`);

const sizes = (N: number | string): Nodes =>
  typeof N === "number" ? [constant("N1", N)] : [node("Shape", ["x0"], ["N1"], [int("start", 0), int("end", 1)])];

/** What is done with all rounds at once: "z", [rounds * N, 4], to "h", [rounds * N, 3]. */
const bodies: Readonly<Record<string, (rounds: number) => Nodes>> = {
  linear: () => [node("Gemm", ["z", "w", "b"], ["l"]), node("Tanh", ["l"], ["h"])],
  convolution: () => [
    constant("image", -1, 1, 4),
    node("Reshape", ["z", "image"], ["i"]),
    node("Conv", ["i", "k"], ["c"]),
    constant("flat", -1, 9),
    node("Reshape", ["c", "flat"], ["f"]),
    node("MatMul", ["f", "v"], ["h"]),
  ],
  normalised: () => [node("LayerNormalization", ["z", "gain"], ["n"]), node("MatMul", ["n", "w"], ["h"])],
};

const inputs = (rounds: number, N: number | string) => rows("x", rounds).map((name) => valueInfo(name, [N, 4]));
const initializers = [
  initializer("w", waves([4, 3])),
  initializer("b", waves([3])),
  initializer("k", waves([3, 1, 2])),
  initializer("v", waves([9, 3])),
  initializer("gain", waves([4])),
];

/** Both halves of each sample are used together, as contrastive losses use them. */
function siamese(
  { rounds, N }: Joined,
  body: Nodes,
  split: Nodes,
  used: readonly string[] = rows("h", rounds),
): Uint8Array {
  return file({
    inputs: inputs(rounds, N),
    initializers,
    nodes: [
      node("Concat", rows("x", rounds), ["z"], [int("axis", 0)]),
      ...body,
      ...split,
      ...used.slice(1).map((name, k) => node("Mul", [k === 0 ? (used[0] as string) : `p${k - 1}`, name], [`p${k}`])),
      node("Identity", [`p${used.length - 2}`], ["y"]),
    ],
  });
}

const feedsOf = (rounds: number, samples: number) =>
  Object.fromEntries(
    rows("x", rounds).map((name, k) => {
      const data = Float32Array.from({ length: samples * 4 }, (_, i) => Math.sin(3 * i + 5 * k + 1));
      return [name, { dtype: "float32" as const, dims: [samples, 4], data }];
    }),
  );

const drawn = fc.record({
  body: fc.constantFrom(...Object.keys(bodies)),
  rounds: fc.integer({ min: 2, max: 4 }),
  samples: fc.constantFrom(1, 2, 3, 5),
});

describe.each(Object.keys(splits))("a joined batch, parted by %s", (split) => {
  it("gives each sample its own rounds", async () => {
    await fc.assert(
      fc.asyncProperty(drawn, async ({ body, rounds, samples }) => {
        const joined = { rounds, N: "N" };
        const bytes = siamese(joined, bodies[body]?.(rounds) ?? [], splits[split]?.(joined) ?? []);
        await expectAgreement({ bytes, feeds: feedsOf(rounds, samples), samples });
      }),
      { numRuns: 5 },
    );
  });

  it("of a file of fixed batch takes any number of samples", async () => {
    await fc.assert(
      fc.asyncProperty(drawn, fc.integer({ min: 1, max: 3 }), async ({ body, rounds, samples }, N) => {
        const joined = { rounds, N };
        const bytes = siamese(joined, bodies[body]?.(rounds) ?? [], splits[split]?.(joined) ?? []);
        await expectAgreement({ bytes, feeds: feedsOf(rounds, samples), samples, fixed: N });
      }),
      { numRuns: 4 },
    );
  });
});

describe("a joined batch", () => {
  it("may be the model's output, each sample's rounds together", async () => {
    const bytes = file({
      inputs: inputs(2, "N"),
      initializers,
      nodes: [node("Concat", ["x0", "x1"], ["z"], [int("axis", 0)]), node("MatMul", ["z", "w"], ["y"])],
    });
    expect(refusalOf(bytes)).toBe("no error");
  });

  const linear: Nodes = [node("MatMul", ["z", "w"], ["h"])];
  const joined = { rounds: 2, N: "N" };
  const read = (split: Nodes, used?: readonly string[]) => refusalOf(siamese(joined, linear, split, used));
  it.each<[string, Nodes]>([
    [
      "pairs a sample with its neighbour",
      [
        constant("pairs", -1, 2, 3),
        node("Reshape", ["h", "pairs"], ["r"]),
        constant("zero", 0),
        constant("one", 1),
        constant("axis1", 1),
        node("Gather", ["r", "zero"], ["g0"], [int("axis", 1)]),
        node("Gather", ["r", "one"], ["g1"], [int("axis", 1)]),
        node("Squeeze", ["g0", "axis1"], ["h0"]),
        node("Squeeze", ["g1", "axis1"], ["h1"]),
      ],
    ],
    [
      "takes every second row",
      [
        constant("zero", 0),
        constant("one", 1),
        constant("two", 2),
        constant("end", 2 ** 31 - 1),
        node("Slice", ["h", "zero", "end", "zero", "two"], ["h0"]),
        node("Slice", ["h", "one", "end", "zero", "two"], ["h1"]),
      ],
    ],
    [
      "multiplies all with all",
      [
        node("Transpose", ["h"], ["t"], [ints("perm", [1, 0])]),
        node("MatMul", ["h", "t"], ["h0"]),
        node("Identity", ["h0"], ["h1"]),
      ],
    ],
    [
      "normalises over both views of all samples",
      [
        node("Softmax", ["h"], ["s"], [int("axis", 0)]),
        node("Split", ["s"], ["h0", "h1"], [int("axis", 0), int("num_outputs", 2)]),
      ],
    ],
  ])("is refused where it %s", (_, split) => {
    expect(read(split)).toMatch(/^(SAMPLES_INTERACT|SHAPE_MISMATCH): /);
  });

  it("is refused where a view is joined with positions of the other", () => {
    const bytes = file({
      inputs: [valueInfo("x0", ["N", 4]), valueInfo("x1", ["N", 2, 4])],
      initializers,
      nodes: [
        constant("rows", -1, 4),
        node("Reshape", ["x1", "rows"], ["r"]),
        node("Concat", ["x0", "r"], ["z"], [int("axis", 0)]),
        node("MatMul", ["z", "w"], ["y"]),
      ],
    });
    expect(refusalOf(bytes)).toMatch(/^SAMPLES_INTERACT: .*do not follow each other alike/);
  });

  it("is refused where a constant is among the samples", () => {
    const bytes = file({
      inputs: [valueInfo("x0", ["N", 4])],
      initializers: [...initializers, initializer("token", waves([1, 4]))],
      nodes: [node("Concat", ["x0", "token"], ["z"], [int("axis", 0)]), node("MatMul", ["z", "w"], ["y"])],
    });
    expect(refusalOf(bytes)).toMatch(/^SAMPLES_INTERACT: /);
  });
});
