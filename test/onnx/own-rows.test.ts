/**
 * Indices that are a sample's own number: every way of writing the number, with every operator that indexes, for any
 * batch; and near misses, in which a sample would read or write another's rows, which are refused.
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
  scalar,
  tensor,
  valueInfo,
  waves,
} from "./models.js";

type Nodes = NonNullable<FileInit["nodes"]>;

const constant = (name: string, ...values: number[]) =>
  node("Constant", [], [name], [tensor("value", int64s(...values))]);
const constant0 = (name: string, value: number) => node("Constant", [], [name], [tensor("value", scalar(value))]);

/** The batch size, as a scalar "N" and a vector "N1". */
const batchSize: Nodes = [
  node("Shape", ["x"], ["N1"], [int("start", 0), int("end", 1)]),
  constant("axis0", 0),
  node("Squeeze", ["N1", "axis0"], ["N"]),
  constant0("zero", 0),
  constant0("one", 1),
];
const range: Nodes = [...batchSize, node("Range", ["zero", "N", "one"], ["range"])];
const ones = (shape: string, name: string) => node("ConstantOfShape", [shape], [name], [tensor("value", int64s(1))]);

/** Ways of writing 0, 1, ..., N - 1 as "n". T is the number of positions. */
const numbers: Readonly<Record<string, (T: number) => Nodes>> = {
  range: () => [...range, node("Identity", ["range"], ["n"])],
  "float range": () => [
    ...range,
    node("Cast", ["range"], ["f"], [int("to", 1)]),
    node("Cast", ["f"], ["n"], [int("to", 7)]),
  ],
  "range from floats made like the batch size": () => [
    ...batchSize,
    node("Constant", [], ["zero32"], [tensor("value", floats([], 0))]),
    node("Constant", [], ["one32"], [tensor("value", floats([], 1))]),
    node("CastLike", ["zero32", "N"], ["from"]),
    node("CastLike", ["one32", "N"], ["by"]),
    node("Range", ["from", "N", "by"], ["n"]),
  ],
  "broadcast to the greater of two shapes": (T) => [
    ...range,
    constant("column", -1, 1),
    node("Reshape", ["range", "column"], ["each"]),
    node("Shape", ["each"], ["own"]),
    constant("row", 1, T),
    node("Max", ["own", "row"], ["common"]),
    node("Expand", ["each", "common"], ["table"]),
    node("Gather", ["table", "zero"], ["n"], [int("axis", 1)]),
  ],
  "sum of ones, less one": () => [
    ...batchSize,
    ones("N1", "ones"),
    node("CumSum", ["ones", "zero"], ["sums"]),
    node("Sub", ["sums", "one"], ["n"]),
  ],
  "sum of ones of the indices' dtype, less one": () => [
    ...batchSize,
    node("Constant", [], ["one32"], [tensor("value", floats([], 1))]),
    node("CastLike", ["one32", "i"], ["each"]),
    node("Expand", ["each", "N1"], ["ones"]),
    node("CumSum", ["ones", "zero"], ["sums"]),
    node("Sub", ["sums", "each"], ["n"]),
  ],
  "sum of ones, expanded to a shape that it has part in": () => [
    ...batchSize,
    ones("N1", "ones"),
    node("CumSum", ["ones", "zero"], ["sums"]),
    node("Sub", ["sums", "one"], ["each"]),
    node("Mul", ["each", "ones"], ["both"]),
    node("Shape", ["both"], ["shape"]),
    node("Expand", ["each", "shape"], ["n"]),
  ],
  "sum of the ones before": () => [
    ...batchSize,
    node("Expand", ["one", "N1"], ["ones"]),
    node("CumSum", ["ones", "zero"], ["n"], [int("exclusive", 1)]),
  ],
  "places of ones": () => [
    ...batchSize,
    ones("N1", "ones"),
    node("NonZero", ["ones"], ["found"]),
    node("Squeeze", ["found", "axis0"], ["n"]),
  ],
  "places of a matrix of ones": (T) => [
    ...batchSize,
    constant("T1", T),
    node("Concat", ["N1", "T1"], ["NT"], [int("axis", 0)]),
    ones("NT", "ones"),
    node("NonZero", ["ones"], ["found"]),
    node("Gather", ["found", "zero"], ["each"], [int("axis", 0)]),
    node("Reshape", ["each", "NT"], ["table"]),
    node("Gather", ["table", "zero"], ["n"], [int("axis", 1)]),
  ],
  "numbers from the end where negative": () => [
    ...range,
    node("Less", ["range", "zero"], ["below"]),
    node("Add", ["range", "N"], ["counted"]),
    node("Where", ["below", "counted", "range"], ["n"]),
  ],
  "expanded and cut": () => [
    ...range,
    constant("shape", -1, 1),
    node("Reshape", ["range", "shape"], ["column"]),
    constant("three", 1, 3),
    node("Expand", ["column", "three"], ["table"]),
    node("Transpose", ["table"], ["turned"], [ints("perm", [1, 0])]),
    node("Gather", ["turned", "one"], ["n"], [int("axis", 0)]),
  ],
  "rows of all positions": (T) => [
    ...batchSize,
    constant0("length", T),
    node("Mul", ["N", "length"], ["NT"]),
    node("Range", ["zero", "NT", "one"], ["all"]),
    node("Div", ["all", "length"], ["row"]),
    constant("shape", -1, T),
    node("Reshape", ["row", "shape"], ["table"]),
    node("Gather", ["table", "zero"], ["n"], [int("axis", 1)]),
  ],
  "a multiple divided": () => [
    ...batchSize,
    constant0("seven", 7),
    node("Mul", ["N", "seven"], ["N7"]),
    node("Range", ["zero", "N7", "seven"], ["sevens"]),
    node("Div", ["sevens", "seven"], ["n"]),
  ],
  "a difference": () => [...range, node("Add", ["range", "range"], ["twice"]), node("Sub", ["twice", "range"], ["n"])],
};

const column = (from: string, to: string): Nodes => [node("Unsqueeze", [from, "last"], [to])];

/** "n" and "i" (an index of each sample's own, [N]) as the last axis of indices [N, 2]. */
const points: Nodes = [
  constant("last", -1),
  ...column("n", "nc"),
  ...column("i", "ic"),
  node("Concat", ["nc", "ic"], ["points"], [int("axis", -1)]),
];
/** n * T + i, and h as one matrix of all positions. */
const flat = (T: number, D: number): Nodes => [
  constant0("T", T),
  node("Mul", ["n", "T"], ["start"]),
  node("Add", ["start", "i"], ["place"]),
  constant("rows", -1, D),
  node("Reshape", ["h", "rows"], ["flat"]),
];
const firsts: Nodes = [constant0("first", 0), node("Gather", ["h", "first"], ["v"], [int("axis", 1)])];
const backToSequences = (T: number, D: number): Nodes => [
  constant("sequences", -1, T, D),
  node("Reshape", ["written", "sequences"], ["y"]),
];

/** Operators that read or write "h", [N, T, D]; the result is "y". */
const uses: Readonly<Record<string, (T: number, D: number) => Nodes>> = {
  GatherND: () => [...points, node("GatherND", ["h", "points"], ["y"])],
  "GatherND of indices that were broadcast": () => [
    node("Max", ["n", "i"], ["greater"]),
    node("Shape", ["greater"], ["widest"]),
    node("Expand", ["n", "widest"], ["wide"]),
    constant("last", -1),
    ...column("wide", "nc"),
    ...column("i", "ic"),
    node("Concat", ["nc", "ic"], ["points"], [int("axis", -1)]),
    node("GatherND", ["h", "points"], ["y"]),
  ],
  "GatherND of indices that were broadcast to pairs": (T) => [
    constant("last", -1),
    ...column("n", "rows"),
    ...column("i", "from"),
    constant("spread", 0, T - 1),
    node("Min", ["from", "spread"], ["places"]),
    node("Shape", ["places"], ["widest"]),
    node("Expand", ["rows", "widest"], ["wide"]),
    ...column("wide", "nc"),
    ...column("places", "ic"),
    node("Concat", ["nc", "ic"], ["points"], [int("axis", -1)]),
    node("GatherND", ["h", "points"], ["y"]),
  ],
  "Gather of the flat": (T, D) => [...flat(T, D), node("Gather", ["flat", "place"], ["y"])],
  "Gather of whole samples": () => [node("Gather", ["h", "n"], ["y"])],
  "Gather of several positions": (T, D) => [
    ...flat(T, D),
    constant("last", -1),
    ...column("place", "pc"),
    node("Concat", ["pc", "pc"], ["both"], [int("axis", -1)]),
    node("Gather", ["flat", "both"], ["y"]),
  ],
  "Gather along another axis": (T, D) => [
    ...flat(T, D),
    node("Transpose", ["flat"], ["channels"], [ints("perm", [1, 0])]),
    node("Gather", ["channels", "place"], ["picked"], [int("axis", 1)]),
    node("Transpose", ["picked"], ["y"], [ints("perm", [1, 0])]),
  ],
  GatherElements: (T, D) => [
    ...flat(T, D),
    constant("last", -1),
    ...column("place", "pc"),
    constant("wide", 1, D),
    node("Expand", ["pc", "wide"], ["places"]),
    node("GatherElements", ["flat", "places"], ["y"], [int("axis", 0)]),
  ],
  ScatterND: () => [...points, ...firsts, node("ScatterND", ["h", "points", "v"], ["y"])],
  "ScatterND, added": () => [
    ...points,
    ...firsts,
    node(
      "ScatterND",
      ["h", "points", "v"],
      ["y"],
      [{ name: "reduction", type: 3, s: new TextEncoder().encode("add") }],
    ),
  ],
  "ScatterND of the flat": (T, D) => [
    ...flat(T, D),
    ...firsts,
    constant("last", -1),
    ...column("place", "pc"),
    node("ScatterND", ["flat", "pc", "v"], ["written"]),
    ...backToSequences(T, D),
  ],
  "ScatterND of a constant column": (_, D) => [
    constant("last", -1),
    ...column("n", "nc"),
    constant("nothing", 0),
    node("Add", ["nc", "nothing"], ["nc0"]),
    ...column("nc0", "ncc"),
    constant("minus", 0),
    node("Mul", ["ncc", "minus"], ["icc"]),
    node("Concat", ["ncc", "icc"], ["points"], [int("axis", -1)]),
    ...firsts,
    constant("update", -1, 1, D),
    node("Tanh", ["v"], ["u"]),
    node("Reshape", ["u", "update"], ["uu"]),
    node("ScatterND", ["h", "points", "uu"], ["y"]),
  ],
  ScatterElements: (T, D) => [
    ...flat(T, D),
    ...firsts,
    constant("last", -1),
    ...column("place", "pc"),
    constant("wide", 1, D),
    node("Expand", ["pc", "wide"], ["places"]),
    node("ScatterElements", ["flat", "places", "v"], ["written"], [int("axis", 0)]),
    ...backToSequences(T, D),
  ],
};

interface Sizes {
  readonly N: number | string;
  readonly T: number;
  readonly C: number;
  readonly D: number;
}

function fileOf(number: Nodes, use: Nodes, { N, T, C, D }: Sizes): Uint8Array {
  return file({
    inputs: [valueInfo("x", [N, T, C]), valueInfo("i", [N], 7)],
    initializers: [initializer("w", waves([C, D]))],
    nodes: [node("MatMul", ["x", "w"], ["h"]), ...number, ...use],
  });
}

const indexOf = (samples: number, T: number, seed: number): Tensor => ({
  dtype: "int64",
  dims: [samples],
  data: BigInt64Array.from({ length: samples }, (_, n) => BigInt((n * 5 + seed) % T)),
});

const sizes = fc.record({
  samples: fc.constantFrom(0, 1, 2, 3, 5),
  // With one position there is no telling an index of the sample's own from one of others.
  T: fc.integer({ min: 2, max: 4 }),
  C: fc.integer({ min: 1, max: 3 }),
  D: fc.integer({ min: 1, max: 3 }),
  seed: fc.nat(20),
});

const feedsOf = (samples: number, T: number, C: number, seed: number) => ({
  x: floats([samples, T, C], ...Array.from({ length: samples * T * C }, (_, k) => Math.sin(k + seed))),
  i: indexOf(samples, T, seed),
});

describe.each(Object.keys(uses))("rows by %s", (use) => {
  it("reads or writes each sample's own rows, however its number is written", async () => {
    const cases = fc.tuple(fc.constantFrom(...Object.keys(numbers)), sizes);
    await fc.assert(
      fc.asyncProperty(cases, async ([number, { samples, T, C, D, seed }]) => {
        const nodes = [numbers[number]?.(T) ?? [], uses[use]?.(T, D) ?? []] as const;
        await expectAgreement({
          bytes: fileOf(...nodes, { N: "N", T, C, D }),
          feeds: feedsOf(samples, T, C, seed),
          samples,
        });
      }),
      { numRuns: 6 },
    );
  });
});

describe("the number of a sample", () => {
  it.each(Object.keys(numbers))("is known as %s", async (number) => {
    const [T, C, D] = [3, 2, 2];
    const bytes = fileOf(numbers[number]?.(T) ?? [], uses.GatherND?.(T, D) ?? [], { N: "N", T, C, D });
    await expectAgreement({ bytes, feeds: feedsOf(4, T, C, 1), samples: 4 });
  });
});

/** Near misses for "n": each lets a sample reach another's rows. */
const misses: Readonly<Record<string, (T: number) => Nodes>> = {
  "the next sample's": () => [...range, node("Add", ["range", "one"], ["n"])],
  "the sample's before": () => [...range, node("Sub", ["range", "one"], ["n"])],
  "counted backwards": () => [...range, node("Sub", ["N", "one"], ["end"]), node("Sub", ["end", "range"], ["n"])],
  "counted down from the end": () => [
    ...batchSize,
    node("Sub", ["N", "one"], ["end"]),
    constant0("down", -1),
    node("Range", ["end", "down", "down"], ["n"]),
  ],
  "negative numbers": () => [...range, node("Neg", ["range"], ["n"])],
  "twice the number": () => [...range, node("Add", ["range", "range"], ["n"])],
  "no number at all": () => [...range, node("Sub", ["range", "range"], ["n"])],
  "the first sample's": () => [...range, constant0("none", 0), node("Mul", ["range", "none"], ["n"])],
  "an index of the data": () => [...batchSize, node("Identity", ["i"], ["n"])],
  "the number and data": () => [...range, node("Add", ["range", "i"], ["n"])],
  "sums of data": () => [...batchSize, node("CumSum", ["i", "zero"], ["n"])],
  "numbers of pairs": () => [...range, constant0("two", 2), node("Div", ["range", "two"], ["n"])],
  "a number by number": () => [...range, node("Mul", ["range", "range"], ["n"])],
  "sums of two": () => [
    ...batchSize,
    node("ConstantOfShape", ["N1"], ["twos"], [tensor("value", int64s(2))]),
    node("CumSum", ["twos", "zero"], ["n"], [int("exclusive", 1)]),
  ],
  "sums from behind": () => [
    ...batchSize,
    ones("N1", "ones"),
    node("CumSum", ["ones", "zero"], ["n"], [int("exclusive", 1), int("reverse", 1)]),
  ],
  "numbers kept small": () => [...range, constant0("two", 2), node("Mod", ["range", "two"], ["n"])],
  "the larger of two": () => [...range, node("Max", ["range", "one"], ["n"])],
  "itself, or the next": () => [
    ...range,
    node("Add", ["range", "one"], ["next"]),
    node("Less", ["range", "one"], ["below"]),
    node("Where", ["below", "next", "range"], ["n"]),
  ],
};

describe.each(Object.keys(uses))("rows by %s are refused", (use) => {
  it.each(Object.keys(misses))("by %s", (miss) => {
    const [T, C, D] = [3, 2, 2];
    const why = refusalOf(fileOf(misses[miss]?.(T) ?? [], uses[use]?.(T, D) ?? [], { N: "N", T, C, D }));
    expect(why).toMatch(/^(SAMPLES_INTERACT|UNSUPPORTED_OP|UNKNOWN_SHAPE): /);
    expect(why).not.toContain("pairs the samples");
  });
});

describe("an index into all positions", () => {
  const [T, C, D] = [3, 2, 2];
  const read = (nodes: Nodes) =>
    refusalOf(fileOf([...range, node("Identity", ["range"], ["n"])], nodes, { N: "N", T, C, D }));
  const rows: Nodes = [constant("rows", -1, D), node("Reshape", ["h", "rows"], ["flat"])];
  const gathered = (...place: Nodes) => read([...rows, ...place, node("Gather", ["flat", "place"], ["y"])]);
  it.each([
    ["steps over the sample's end", T + 1, 0],
    ["steps short of it", T - 1, 0],
    ["begins at the next sample", T, T],
    ["begins before the sample", T, -1],
    ["does not step", 0, 1],
  ])("is refused where it %s", (_, step, first) => {
    const place = [
      constant0("step", step),
      constant0("from", first),
      node("Mul", ["n", "step"], ["start"]),
      node("Add", ["start", "from"], ["place"]),
    ];
    expect(gathered(...place)).toMatch(/^SAMPLES_INTERACT: /);
  });

  it("is refused where one of its constants leads out of the sample", () => {
    const place = [
      constant0("T", T),
      node("Mul", ["n", "T"], ["start"]),
      constant("last", -1),
      ...column("start", "starts"),
      constant("offsets", 0, T),
      node("Add", ["starts", "offsets"], ["place"]),
    ];
    expect(gathered(...place)).toMatch(/^SAMPLES_INTERACT: /);
  });

  it("fails when run where data leads out of the sample, which the file would let pass", async () => {
    const bytes = fileOf([...range, node("Identity", ["range"], ["n"])], uses["Gather of the flat"]?.(T, D) ?? [], {
      N: "N",
      T,
      C,
      D,
    });
    const feeds = feedsOf(3, T, C, 1);
    for (const place of [-1, T]) {
      const data = BigInt64Array.of(0n, BigInt(place), 0n);
      const run = expectAgreement({ bytes, feeds: { ...feeds, i: { dtype: "int64", dims: [3], data } }, samples: 3 });
      await expect(run).rejects.toThrow(/out of|index/i);
    }
  });
});

describe("samples that lie behind the positions", () => {
  /** x is [T, N, C], i is [N]; each sample reads its own rows of h, flattened to [T * N * K, D]. */
  const timeFirst = (
    K: number,
    place: Nodes,
    [T, C, D]: readonly [number, number, number],
    N: number | "N" = "N",
    stored = Array.from({ length: Number(N) || 0 }, (_, n) => n),
  ) =>
    file({
      inputs: [valueInfo("x", [T, N, C]), valueInfo("i", [N], 7)],
      initializers: [
        initializer("w", waves([C, D * K])),
        ...(typeof N === "string" ? [] : [initializer("n", int64s(...stored))]),
      ],
      nodes: [
        node("MatMul", ["x", "w"], ["h"]),
        constant("axis0", 0),
        constant("second", 1),
        constant0("zero", 0),
        constant0("one", 1),
        node("Shape", ["h"], ["sizes"]),
        node("Gather", ["sizes", "second"], ["N1"]),
        ...(typeof N === "string"
          ? [node("Squeeze", ["N1", "axis0"], ["N"]), node("Range", ["zero", "N", "one"], ["n"])]
          : []),
        constant("rows", -1, D),
        node("Reshape", ["h", "rows"], ["flat"]),
        ...place,
        node("Gather", ["flat", "place"], ["y"]),
      ],
    });
  const byOne: Nodes = [node("Mul", ["i", "N1"], ["start"]), node("Add", ["n", "start"], ["place"])];
  const third = (K: number): Nodes => [
    constant("K", K),
    node("Mul", ["n", "K"], ["row"]),
    node("Mul", ["N1", "K"], ["round"]),
    node("Mul", ["i", "round"], ["start"]),
    node("Add", ["row", "start"], ["group"]),
    constant("last", K - 1),
    node("Add", ["group", "last"], ["place"]),
  ];
  const feeds = (samples: number, T: number, C: number, seed: number) => ({
    x: floats([T, samples, C], ...Array.from({ length: samples * T * C }, (_, k) => Math.sin(k + seed))),
    i: indexOf(samples, T, seed),
  });
  const options = { sampleAxes: { x: 1 } };

  it("read their own rows by h[i, arange(N)], and by h[i, arange(N), k]", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 2, max: 3 }), async ({ samples, T, C, D, seed }, K) => {
        const given = { feeds: feeds(samples, T, C, seed), samples, options };
        await expectAgreement({ bytes: timeFirst(1, byOne, [T, C, D]), ...given });
        await expectAgreement({ bytes: timeFirst(K, third(K), [T, C, D]), ...given });
      }),
      { numRuns: 6 },
    );
  });

  it("read their own rows in a file of a fixed batch too, which stores 0, 1, ... N - 1", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 2, max: 3 }), async ({ samples, T, C, D, seed }, K) => {
        const given = { feeds: feeds(samples, T, C, seed), samples, options, fixed: 3 };
        await expectAgreement({ bytes: timeFirst(1, byOne, [T, C, D], 3), ...given });
        await expectAgreement({ bytes: timeFirst(K, third(K), [T, C, D], 3), ...given });
      }),
      { numRuns: 6 },
    );
    const another = timeFirst(1, byOne, [2, 2, 2], 3, [0, 2, 1]);
    expect(refusalOf(another, options)).toMatch(/^(SAMPLES_INTERACT|SHAPE_MISMATCH): /);
  });

  it("count positions below 0 from the end", async () => {
    const bytes = timeFirst(1, byOne, [3, 2, 2]);
    const i: Tensor = { dtype: "int64", dims: [3], data: BigInt64Array.of(-1n, 0n, -3n) };
    await expectAgreement({ bytes, feeds: { ...feeds(3, 3, 2, 1), i }, samples: 3, options });
  });

  it("are refused where a place leads to another sample", () => {
    const sizes3 = [3, 2, 2] as const;
    const next = [
      node("Mul", ["i", "N1"], ["start"]),
      node("Add", ["n", "start"], ["own"]),
      node("Add", ["own", "one"], ["place"]),
    ];
    expect(refusalOf(timeFirst(1, next, sizes3), options)).toMatch(/^SAMPLES_INTERACT: /);
    const beyond = third(2).map((each) => (each.output?.[0] === "last" ? constant("last", 2) : each));
    expect(refusalOf(timeFirst(2, beyond, sizes3), options)).toMatch(/^SAMPLES_INTERACT: /);
  });
});

describe("numbers of the samples as data", () => {
  it.each(["Add", "Mul"])("are refused, as what a sample gives would depend on its place (%s)", (op) => {
    const use = [
      node("Cast", ["n"], ["f"], [int("to", 1)]),
      constant("shape", -1, 1, 1),
      node("Reshape", ["f", "shape"], ["fff"]),
      node(op, ["h", "fff"], ["y"]),
    ];
    const why = refusalOf(fileOf(numbers.range?.(2) ?? [], use, { N: "N", T: 2, C: 2, D: 2 }));
    expect(why).toMatch(/^SAMPLES_INTERACT: Range node "range" numbers the samples/);
  });

  it("may be asked for their shape", async () => {
    const use = [
      node("Shape", ["n"], ["count"]),
      constant("inner", 4),
      node("Concat", ["count", "inner"], ["shape"], [int("axis", 0)]),
      node("Reshape", ["h", "shape"], ["y"]),
    ];
    const bytes = fileOf(numbers.range?.(2) ?? [], use, { N: "N", T: 2, C: 2, D: 2 });
    await expectAgreement({ bytes, feeds: feedsOf(3, 2, 2, 1), samples: 3 });
  });
});

describe("a file of a fixed batch", () => {
  const sequence = (size: number) => initializer("n", int64s(...Array.from({ length: size }, (_, n) => n)));
  const fixed = (size: number, use: string, T: number, C: number, D: number, from = sequence(size)) =>
    file({
      inputs: [valueInfo("x", [size, T, C]), valueInfo("i", [size], 7)],
      initializers: [initializer("w", waves([C, D])), from],
      nodes: [node("MatMul", ["x", "w"], ["h"]), ...(uses[use]?.(T, D) ?? [])],
    });

  it.each(Object.keys(uses))("with its samples' numbers stored takes any number of samples (%s)", async (use) => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.constantFrom(1, 2, 3), async ({ samples, T, C, D, seed }, size) => {
        const bytes = fixed(size, use, T, C, D);
        const feeds = feedsOf(samples, T, C, seed);
        await expectAgreement({ bytes, feeds, samples, fixed: size });
        // As the file that counts its samples itself.
        const open = fileOf(numbers.range?.(T) ?? [], uses[use]?.(T, D) ?? [], { N: "N", T, C, D });
        expect(await outputOf(bytes, feeds)).toEqual(await outputOf(open, feeds));
      }),
      { numRuns: 3 },
    );
  });

  it.each(Object.keys(uses))("is refused with stored numbers in another order (%s)", (use) => {
    const why = refusalOf(fixed(3, use, 2, 2, 2, initializer("n", int64s(0, 2, 1))));
    expect(why).toMatch(/^(SAMPLES_INTERACT|SHAPE_MISMATCH): /);
  });
});
