/** Functions, branches and loops of a file: gone once it is read, with the results that ONNX Runtime gives for the file itself. */
import { describe, expect, it } from "vitest";
import { modelOf } from "../../src/onnx/read/model-of.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { relativeError } from "./compare.js";
import {
  encoded,
  type FileInit,
  file,
  floats,
  graph,
  initializer,
  int,
  int64s,
  node,
  refusal,
  run,
  scalar,
  tensor,
  valueInfo,
} from "./models.js";

const x = floats([2, 3], 1, -2, 3, 0.5, 4, -6);
const bool = (value: boolean): Tensor => ({ dtype: "bool", dims: [], data: Uint8Array.of(value ? 1 : 0) });

const y = async (bytes: Uint8Array, feed: Tensor = x) => (await run(bytes, { x: feed })).y as Tensor;

/** What is left of the file, having compared it with the file. */
async function same(init: FileInit): Promise<ReturnType<typeof modelOf>> {
  const bytes = file({ inputs: [valueInfo("x", ["N", 3])], ...init });
  const model = modelOf(bytes, "m.onnx", {});
  const [found, expected] = [await y(encoded(model)), await y(bytes)];
  expect(found.dims).toEqual(expected.dims);
  expect(relativeError(found, expected)).toBeLessThan(1e-6);
  return model;
}

const read = (init: FileInit) =>
  refusal(() => modelOf(file({ inputs: [valueInfo("x", ["N", 3])], ...init }), "m.onnx", {}));
const local = (name: string, init: object) => ({
  name,
  domain: "local",
  opsetImport: [{ domain: "", version: 18n }],
  ...init,
});
const call = (op: string, input: string[], output: string[], attribute: Parameters<typeof node>[3] = []) => ({
  ...node(op, input, output, attribute),
  domain: "local",
});

describe("functions of the model", () => {
  const slope = {
    input: ["a", "b"],
    output: ["r"],
    attribute: ["alpha"],
    node: [
      { ...node("LeakyRelu", ["a"], ["t"], [{ name: "alpha", refAttrName: "alpha", type: 1 }]) },
      node("Add", ["t", "b"], ["r"]),
    ],
  };

  it("are replaced by their nodes, each call with its own attributes and names", async () => {
    const model = await same({
      initializers: [initializer("w", floats([3], 1, 2, 3))],
      functions: [local("Slope", slope)],
      nodes: [
        call("Slope", ["x", "w"], ["t"], [{ name: "alpha", type: 1, f: 0.5 }]),
        call("Slope", ["t", "w"], ["y"], [{ name: "alpha", type: 1, f: 0.25 }]),
      ],
    });
    expect(Object.keys(model.parameters)).toEqual(["w"]);
  });

  it("use the operator's default where an attribute is not given, and their own where they have one", async () => {
    await same({ functions: [local("Slope", slope)], nodes: [call("Slope", ["x", "x"], ["y"])] });
    const own = { ...slope, attribute: [], attributeProto: [{ name: "alpha", type: 1, f: 0.75 }] };
    await same({ functions: [local("Slope", own)], nodes: [call("Slope", ["x", "x"], ["y"])] });
  });

  it("may call others, and have an opset of their own", async () => {
    const softmax = local("Old", {
      input: ["a"],
      output: ["r"],
      opsetImport: [
        { domain: "", version: 11n },
        { domain: "local", version: 1n },
      ],
      node: [node("Softmax", ["a"], ["s"]), call("Twice", ["s"], ["r"])],
    });
    const twice = local("Twice", { input: ["t"], output: ["y"], node: [node("Add", ["t", "t"], ["y"])] });
    const model = modelOf(
      file({
        inputs: [valueInfo("x", ["N", 3, 1])],
        functions: [softmax, twice],
        nodes: [call("Old", ["x"], ["y"])],
      }),
      "m.onnx",
      {},
    );
    // Softmax of opset 11 runs over both axes behind the first.
    const { data } = await y(encoded(model), { ...x, dims: [2, 3, 1] });
    expect(Array.from(data as Float32Array).reduce((a, b) => a + b, 0)).toBeCloseTo(4, 5);
  });

  it("keep apart names that an argument and an inner graph share", async () => {
    const choose = local("Choose", {
      input: ["a"],
      output: ["r"],
      node: [
        node("Constant", [], ["c"], [tensor("value", bool(true))]),
        node(
          "If",
          ["c"],
          ["r"],
          [
            graph("then_branch", {
              name: "then",
              node: [node("Neg", ["a"], ["x"]), node("Sub", ["a", "x"], ["z"])],
              output: [{ name: "z" }],
            }),
            graph("else_branch", { name: "else", node: [node("Identity", ["a"], ["e"])], output: [{ name: "e" }] }),
          ],
        ),
      ],
    });
    await same({ functions: [choose], nodes: [call("Choose", ["x"], ["y"])] });
  });

  it.each([
    [
      "call themselves",
      [local("F", { input: ["a"], output: ["r"], node: [call("F", ["a"], ["r"])] })],
      'The function "F" calls itself',
    ],
    [
      "double without end",
      Array.from({ length: 40 }, (_, k) =>
        local(k === 0 ? "F" : `F${k}`, {
          input: ["a"],
          output: ["r"],
          node: [call(`F${k + 1}`, ["a"], ["b"]), call(`F${k + 1}`, ["b"], ["r"])],
        }),
      ),
      "come to more than",
    ],
  ])("are refused where they %s", (_, functions, reason) => {
    expect(read({ functions, nodes: [call("F", ["x"], ["y"])] })).toMatch(/^INVALID_MODEL/);
    expect(read({ functions, nodes: [call("F", ["x"], ["y"])] })).toContain(reason);
  });
});

it("an end beyond every axis is one still after a Cast", async () => {
  await same({
    initializers: [initializer("end", int64s(9223372036854775807n)), initializer("one", int64s(1))],
    nodes: [
      node("Cast", ["end"], ["to"], [int("to", 7)]),
      node("Slice", ["x", "one", "to", "one"], ["s"]),
      node("Concat", ["s", "x"], ["y"], [int("axis", 1)]),
    ],
  });
});

describe("If", () => {
  const branches = [
    graph("then_branch", {
      name: "then",
      initializer: [initializer("w", floats([3], 5, 6, 7))],
      node: [node("Mul", ["x", "w"], ["a"])],
      output: [{ name: "a" }],
    }),
    graph("else_branch", { name: "else", node: [node("Strange", ["x"], ["b"])], output: [{ name: "b" }] }),
  ];

  it("with a condition that shapes decide is the branch taken; the other may hold anything", () => {
    const nodes = (size: number) => [
      node("Shape", ["x"], ["s"], [int("start", 1)]),
      node("Constant", [], ["k"], [tensor("value", int64s(size))]),
      node("Equal", ["s", "k"], ["c"]),
      node("If", ["c"], ["y"], branches),
    ];
    const init = (size: number) => ({ inputs: [valueInfo("x", ["N", 3])], nodes: nodes(size) });
    const model = modelOf(file(init(3)), "m.onnx", {});
    expect(Object.keys(model.parameters)).toEqual(["w"]);
    expect(refusal(() => modelOf(file(init(4)), "m.onnx", {}))).toMatch(/^UNSUPPORTED_OP: .*Strange \(node "b"\)/);
  });

  it("agrees with the runtime, also inside another", async () => {
    const inner = graph("then_branch", {
      name: "outer",
      node: [
        node("Constant", [], ["no"], [tensor("value", bool(false))]),
        node(
          "If",
          ["no"],
          ["r"],
          [
            graph("then_branch", { name: "t", node: [node("Neg", ["x"], ["p"])], output: [{ name: "p" }] }),
            graph("else_branch", { name: "e", node: [node("Exp", ["x"], ["q"])], output: [{ name: "q" }] }),
          ],
        ),
      ],
      output: [{ name: "r" }],
    });
    const other = graph("else_branch", { name: "o", node: [node("Abs", ["x"], ["u"])], output: [{ name: "u" }] });
    await same({
      nodes: [node("Constant", [], ["yes"], [tensor("value", bool(true))]), node("If", ["yes"], ["y"], [inner, other])],
    });
  });

  it("whose condition the data or the batch decide is refused, naming the node", () => {
    const test = [node("ReduceSum", ["x"], ["s"], [int("keepdims", 0)]), node("Cast", ["s"], ["c"], [int("to", 9)])];
    expect(read({ nodes: [...test, { ...node("If", ["c"], ["y"], branches), name: "choice" }] })).toMatch(
      /^UNSUPPORTED_OP: The condition of If node "choice" is computed from the data/,
    );
    const size = [node("Shape", ["x"], ["s"], [int("end", 1)]), node("Cast", ["s"], ["c"], [int("to", 9)])];
    expect(read({ nodes: [...size, node("If", ["c"], ["y"], branches)] })).toMatch(
      /^(UNSUPPORTED_OP|SAMPLES_INTERACT): /,
    );
  });
});

describe("Loop", () => {
  const body = (condition = "go") =>
    graph("body", {
      name: "body",
      input: [valueInfo("i", [], 7), valueInfo("go", [], 9), valueInfo("a", ["N", 3])],
      node: [
        node("Cast", ["i"], ["f"], [int("to", 1)]),
        node("Mul", ["a", "w"], ["b"]),
        node("Add", ["b", "f"], ["c"]),
        node("Constant", [], ["two"], [tensor("value", scalar(2))]),
        node("Less", ["i", "two"], ["early"]),
        node("Identity", ["go"], ["on"]),
        node("Tanh", ["c"], ["d"]),
      ],
      output: [
        valueInfo(condition === "go" ? "on" : condition, [], 9),
        valueInfo("c", ["N", 3]),
        valueInfo("d", ["N", 3]),
      ],
    });
  const w = [initializer("w", floats([3], 0.5, -1, 2))];

  it.each([
    ["as often as its trip count says", "go", 3],
    ["until its condition fails", "early", 9],
    ["once", "go", 1],
  ])("is unrolled: %s", async (_, condition, trips) => {
    await same({
      initializers: w,
      nodes: [
        node("Constant", [], ["n"], [tensor("value", scalar(trips))]),
        node("Loop", ["n", "", "x"], ["last", "all"], [body(condition)]),
        node("ReduceSum", ["all", "axes"], ["sum"], [int("keepdims", 0)]),
        node("Constant", [], ["axes"], [tensor("value", int64s(0))]),
        node("Add", ["last", "sum"], ["y"]),
      ],
    });
  });

  it("whose trip count the data decide is refused", () => {
    const nodes = [
      node("ReduceSum", ["x"], ["s"], [int("keepdims", 0)]),
      node("Cast", ["s"], ["n"], [int("to", 7)]),
      node("Loop", ["n", "", "x"], ["y", "all"], [body()]),
    ];
    expect(read({ initializers: w, nodes })).toMatch(/^UNSUPPORTED_OP: The trip count of Loop node "y" is computed/);
  });
});
