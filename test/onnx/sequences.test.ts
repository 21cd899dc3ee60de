/** Sequences of tensors: gone once a file is read, with the results that ONNX Runtime gives for the file itself. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modelOf } from "../../src/onnx/read/model-of.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { relativeError } from "./compare.js";
import {
  constant,
  encoded,
  type FileInit,
  file,
  graph,
  initializer,
  int,
  int64s,
  node,
  refusal,
  run,
  scalar,
  valueInfo,
  waves,
} from "./models.js";

const x = waves([2, 3, 7]);
const withX = (init: FileInit): Uint8Array => file({ inputs: [valueInfo("x", ["N", 3, 7])], ...init });

async function same(init: FileInit): Promise<void> {
  const bytes = withX(init);
  const model = modelOf(bytes, "m.onnx", {});
  const [found, expected] = [(await run(encoded(model), { x })).y, (await run(bytes, { x })).y] as [Tensor, Tensor];
  expect(found.dims).toEqual(expected.dims);
  expect(relativeError(found, expected)).toBeLessThan(1e-6);
}

const read = (init: FileInit) => refusal(() => modelOf(withX(init), "m.onnx", {}));

describe("SplitToSequence", () => {
  const joined = (count: number) => [
    ...Array.from({ length: count }, (_, k) => constant(`k${k}`, scalar(k))),
    ...Array.from({ length: count }, (_, k) => node("SequenceAt", ["s", `k${k}`], [`e${k}`])),
    node(
      "Concat",
      Array.from({ length: count }, (_, k) => `e${count - 1 - k}`),
      ["y"],
      [int("axis", -1)],
    ),
  ];

  it.each([
    ["a size of 1", scalar(1)],
    ["sizes of 1", int64s(1, 1, 1)],
  ])("drops the axis, or keeps it, as the runtime does where %s is given", async (_, sizes) => {
    for (const keepdims of [0, 1]) {
      const split = [
        constant("n", sizes),
        node("SplitToSequence", ["x", "n"], ["s"], [int("axis", 1), int("keepdims", keepdims)]),
      ];
      await same({ nodes: [...split, ...joined(3)] });
    }
  });

  it("splits by one size, the last piece smaller, or by stated sizes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 8 }), async (size) => {
        const nodes = [constant("n", scalar(size)), node("SplitToSequence", ["x", "n"], ["s"], [int("axis", 2)])];
        await same({ nodes: [...nodes, ...joined(Math.ceil(7 / size))] });
      }),
      { numRuns: 8 },
    );
    const sizes = [constant("n", int64s(1, 4, 2)), node("SplitToSequence", ["x", "n"], ["s"], [int("axis", -1)])];
    await same({ nodes: [...sizes, ...joined(3)] });
  });

  it.each([0, 1])("splits into slices of one element, keepdims %i", async (keepdims) => {
    const nodes = [
      node("SplitToSequence", ["x"], ["s"], [int("axis", 1), int("keepdims", keepdims)]),
      node("ConcatFromSequence", ["s"], ["y"], [int("axis", 1), int("new_axis", 1 - keepdims)]),
    ];
    await same({ nodes });
  });

  it("is refused where it takes the samples apart", () => {
    const nodes = [
      node("SplitToSequence", ["x"], ["s"]),
      constant("k", scalar(0)),
      node("SequenceAt", ["s", "k"], ["y"]),
    ];
    expect(read({ nodes })).toMatch(/^SAMPLES_INTERACT: SplitToSequence node "s" splits the batch into single samples/);
  });
});

describe("a list of tensors", () => {
  const built = [node("Neg", ["x"], ["a"]), node("Tanh", ["x"], ["b"]), node("SequenceConstruct", ["x", "a"], ["two"])];

  it.each([-2, -1, 0, 1, 2])("takes a tensor at position %i", async (position) => {
    const nodes = [
      ...built,
      constant("p", scalar(position)),
      node("SequenceInsert", ["two", "b", "p"], ["s"]),
      node("ConcatFromSequence", ["s"], ["y"], [int("axis", 1)]),
    ];
    await same({ nodes });
  });

  it("grows from nothing, loses elements and knows its length", async () => {
    const nodes = [
      ...built,
      node("SequenceEmpty", [], ["none"]),
      node("SequenceInsert", ["none", "b"], ["one"]),
      node("SequenceInsert", ["one", "x"], ["s"]),
      node("Identity", ["s"], ["same"]),
      constant("first", scalar(0)),
      node("SequenceErase", ["same", "first"], ["left"]),
      node("SequenceErase", ["two"], ["other"]),
      node("ConcatFromSequence", ["left"], ["u"], [int("axis", -1), int("new_axis", 1)]),
      node("ConcatFromSequence", ["other"], ["v"], [int("axis", -1), int("new_axis", 1)]),
      node("SequenceLength", ["same"], ["count"]),
      node("Cast", ["count"], ["scale"], [int("to", 1)]),
      node("Mul", ["v", "scale"], ["w"]),
      node("Add", ["u", "w"], ["y"]),
    ];
    await same({ nodes });
  });

  it("is appended to in a loop, and read after it", async () => {
    const body = graph("body", {
      name: "body",
      input: [valueInfo("i", [], 7), valueInfo("go", [], 9), { name: "list" }, valueInfo("a", ["N", 3, 7])],
      node: [
        node("Mul", ["a", "w"], ["b"]),
        node("SequenceInsert", ["list", "b"], ["longer"]),
        node("Identity", ["go"], ["on"]),
      ],
      output: [valueInfo("on", [], 9), { name: "longer" }, valueInfo("b", ["N", 3, 7])],
    });
    const model = modelOf(
      withX({
        initializers: [initializer("w", waves([3, 7]))],
        nodes: [
          constant("n", scalar(3)),
          node("SequenceEmpty", [], ["none"]),
          node("Loop", ["n", "", "none", "x"], ["all", "last"], [body]),
          node("ConcatFromSequence", ["all"], ["y"], [int("axis", 1)]),
        ],
      }),
      "m.onnx",
      {},
    );
    const { data, dims } = (await run(encoded(model), { x })).y as Tensor<"float32">;
    expect(dims).toEqual([2, 9, 7]);
    const w = waves([3, 7]).data;
    const expected = Float32Array.from({ length: 2 * 9 * 7 }, (_, i) => {
      const [n, t, within] = [Math.floor(i / 63), Math.floor((i % 63) / 21), i % 21];
      return (x.data[n * 21 + within] as number) * (w[within] as number) ** (t + 1);
    });
    expect(relativeError({ dtype: "float32", dims, data }, { dtype: "float32", dims, data: expected })).toBeLessThan(
      1e-5,
    );
  });

  it("goes through SequenceMap element by element", async () => {
    const body = graph("body", {
      name: "body",
      input: [valueInfo("e", ["N", 3, 7]), valueInfo("f", ["N", 3, 7]), valueInfo("c", [])],
      node: [node("Mul", ["e", "f"], ["m"]), node("Add", ["m", "c"], ["r"])],
      output: [valueInfo("r", ["N", 3, 7])],
    });
    const nodes = [
      ...built,
      constant("half", { dtype: "float32", dims: [], data: Float32Array.of(0.5) }),
      node("SequenceConstruct", ["b", "x"], ["others"]),
      node("SequenceMap", ["two", "others", "half"], ["s"], [body]),
      node("ConcatFromSequence", ["s"], ["y"], [int("axis", 2)]),
    ];
    const model = modelOf(withX({ nodes }), "m.onnx", {});
    const { data } = (await run(encoded(model), { x })).y as Tensor<"float32">;
    const first = x.data[0] as number;
    expect(data[0]).toBeCloseTo(first * Math.tanh(first) + 0.5, 5);
    expect(data[7]).toBeCloseTo(-first * first + 0.5, 5);
  });

  it("is refused where the model reads it as a tensor, or past its end, naming it", () => {
    expect(read({ nodes: [...built, node("Neg", ["two"], ["y"])] })).toMatch(
      /^UNSUPPORTED_OP: "two" is a sequence of tensors/,
    );
    const past = [...built, constant("k", scalar(2)), node("SequenceAt", ["two", "k"], ["y"])];
    expect(read({ nodes: past })).toMatch(
      /^SHAPE_MISMATCH: Position 2 of SequenceAt node "y" is outside a sequence of 2/,
    );
    const none = [node("SequenceEmpty", [], ["s"]), node("ConcatFromSequence", ["s"], ["y"], [int("axis", 0)])];
    expect(read({ nodes: none })).toMatch(/^UNSUPPORTED_OP: ConcatFromSequence node "y"/);
  });
});

it("an optional tensor is the tensor, and one that is not there is said to be", async () => {
  const branches = [
    graph("then_branch", { name: "t", node: [node("OptionalGetElement", ["o"], ["g"])], output: [{ name: "g" }] }),
    graph("else_branch", { name: "e", node: [node("Neg", ["x"], ["h"])], output: [{ name: "h" }] }),
  ];
  const nodes = [
    node("Optional", ["x"], ["o"]),
    node("OptionalHasElement", ["o"], ["has"]),
    node("If", ["has"], ["y"], branches),
  ];
  const model = modelOf(withX({ nodes }), "m.onnx", {});
  expect(((await run(encoded(model), { x })).y as Tensor).data).toEqual(x.data);
  expect(read({ nodes: [node("Optional", [], ["o"]), node("OptionalGetElement", ["o"], ["y"])] })).toMatch(
    /^UNSUPPORTED_OP: OptionalGetElement node "y"/,
  );
});
