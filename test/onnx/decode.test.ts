/** What decoding makes of a file, and what it says of one it refuses. */
import { AttributeProto_AttributeType as Kind } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { N } from "../../src/graph/dim.js";
import { constantOf, nodeOf } from "../../src/graph/value.js";
import {
  decode,
  encoded,
  file,
  float,
  floats,
  initializer,
  int,
  int64s,
  ints,
  node,
  refusal,
  run,
  tensor,
  text,
  valueInfo,
  waves,
} from "./models.js";

const bytes = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

describe("files that are no models", () => {
  it.each([
    ["an empty file", bytes(""), "it is empty"],
    ["a text", bytes("hello, this is no model at all"), "another format"],
    ["JSON", bytes('{"a": [1, 2, 3]}'), "another format"],
    ["a Git LFS pointer", bytes("version https://git-lfs.github.com/spec/v1\noid sha256:0"), "git lfs pull"],
    ["a zip archive", bytes("PK\u0003\u0004abcdefgh"), "torch.onnx.export"],
    ["zeros", new Uint8Array(100), "another format"],
  ])("%s is refused, naming the file", (_, content, reason) => {
    const message = refusal(() => decode(content));
    expect(message).toMatch(/^NOT_ONNX: "m\.onnx" is not a readable ONNX model: /);
    expect(message).toContain(reason);
  });

  it("a model cut off before its opset is refused as truncated", () => {
    const whole = file({ inputs: [valueInfo("x", ["N"])], nodes: [node("Neg", ["x"], ["y"])] });
    expect(refusal(() => decode(whole.subarray(0, whole.length - 6)))).toContain("NOT_ONNX");
  });
});

describe("models that contradict themselves", () => {
  const x = valueInfo("x", ["N", 2]);
  it.each([
    [
      "no outputs",
      file({ inputs: [x], outputs: [] }),
      'INVALID_MODEL: "m.onnx" has no outputs; export the model again.',
    ],
    ["an output nobody computes", file({ inputs: [x] }), 'has an output "y" that nothing in it computes'],
    ["an undefined name", file({ inputs: [x], nodes: [node("Add", ["x", "z"], ["y"])] }), 'Add node "y" reads "z"'],
    [
      "a cycle",
      file({ inputs: [x], nodes: [node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"])], outputs: ["a"] }),
      'Add node "a" depends on its own output',
    ],
    ["a cycle of one node", file({ nodes: [node("Neg", ["y"], ["y"])] }), 'Neg node "y" depends on its own output'],
    [
      "a name defined twice",
      file({ inputs: [x], nodes: [node("Neg", ["x"], ["y"]), node("Exp", ["x"], ["y"])] }),
      'defines "y" more than once',
    ],
    [
      "an input that a node defines",
      file({ inputs: [x], nodes: [node("Neg", ["x"], ["x"])], outputs: ["x"] }),
      'defines "x" more than once',
    ],
    [
      "an initializer of the wrong size",
      file({
        inputs: [x],
        initializers: [{ name: "w", dataType: 1, dims: [3n], floatData: [1, 2] }],
        nodes: [node("Mul", ["x", "w"], ["y"])],
      }),
      'The initializer "w" needs 3 elements for its shape [3], but holds 2',
    ],
    [
      "an initializer with the wrong number of bytes",
      file({ initializers: [{ name: "y", dataType: 7, dims: [1n], rawData: new Uint8Array(4) }] }),
      "needs 1 elements for its shape [1], but holds 4 bytes of int64",
    ],
    [
      "a negative dimension",
      file({ initializers: [{ name: "y", dataType: 1, dims: [-1n] }] }),
      "has the impossible shape [-1]",
    ],
    [
      "an enormous dimension",
      file({ initializers: [{ name: "y", dataType: 1, dims: [2n ** 60n] }] }),
      "has the impossible shape",
    ],
  ])("%s", (_, content, reason) => {
    const message = refusal(() => decode(content));
    expect(message).toMatch(/^INVALID_MODEL: /);
    expect(message).toContain(reason);
  });
});

describe("operators", () => {
  const x = valueInfo("x", ["N", 2]);

  it("names every unknown operator at once", () => {
    const nodes = [
      node("Foo", ["x"], ["a"]),
      node("Bar", ["a"], ["b"]),
      { ...node("Foo", ["b"], ["y"]), name: "second" },
      node("Unused", ["x"], ["z"]),
    ];
    expect(refusal(() => decode(file({ inputs: [x], nodes })))).toBe(
      'UNSUPPORTED_OP: "m.onnx" uses operators that pergrad does not know: Foo (node "a" and 1 more), Bar (node "b"); export the model without them, or express them by other operators.',
    );
  });

  it("names an unknown domain", () => {
    const nodes = [{ ...node("Neg", ["x"], ["y"]), domain: "custom" }];
    expect(refusal(() => decode(file({ inputs: [x], nodes })))).toContain("custom.Neg");
  });

  it("takes ai.onnx for the default domain", () => {
    const nodes = [{ ...node("Neg", ["x"], ["y"]), domain: "ai.onnx" }];
    expect(decode(file({ inputs: [x], nodes })).graph.outputs[0]?.value.shape).toEqual([N, 2]);
  });

  it("refuses a node with a graph of its own", () => {
    const body = { name: "body", type: Kind.GRAPH, g: { name: "body" } };
    const message = refusal(() => decode(file({ inputs: [x], nodes: [node("Neg", ["x"], ["y"], [body])] })));
    expect(message).toBe(
      'UNSUPPORTED_OP: Neg node "y" contains a graph of its own, which pergrad does not support; remove the node from the model.',
    );
  });

  it.each([5, 29])("refuses opset %i", (opset) => {
    const message = refusal(() => decode(file({ inputs: [x], nodes: [node("Neg", ["x"], ["y"])], opset })));
    expect(message).toContain(`UNSUPPORTED_OP: "m.onnx" is of opset ${opset}`);
  });

  it.each([22, 23, 24, 25, 26, 27, 28])("reads opset %i", (opset) => {
    expect(decode(file({ inputs: [x], nodes: [node("Neg", ["x"], ["y"])], opset })).graph.outputs).toHaveLength(1);
  });

  it.each([
    [0n, "an output of impossible size"],
    [1n, "no error"],
  ])("reads a Range of 2^50 elements by steps of %i without making them", (step, reason) => {
    const limits = [0n, 2n ** 50n, step].map((value, k) =>
      initializer(`r${k}`, { dtype: "int64", dims: [], data: BigInt64Array.of(value) }),
    );
    const bytes = file({ initializers: limits, nodes: [node("Range", ["r0", "r1", "r2"], ["y"])] });
    expect(refusal(() => decode(bytes))).toContain(reason);
  });

  it("says of what a runtime laid out for one processor that the model behind it is to be loaded", () => {
    const laidOut = { ...node("Conv", ["x"], ["y"]), domain: "com.microsoft.nchwc" };
    expect(refusal(() => decode(file({ inputs: [x], nodes: [laidOut] })))).toBe(
      `UNSUPPORTED_OP: "m.onnx" uses an operator that pergrad does not know: com.microsoft.nchwc.Conv (node "y"); ONNX Runtime's optimizer wrote the file for one kind of processor, so load the model that it was given.`,
    );
  });

  it("refuses a Cast to strings", () => {
    const message = refusal(() => decode(file({ inputs: [x], nodes: [node("Cast", ["x"], ["y"], [int("to", 8)])] })));
    expect(message).toBe(
      'UNSUPPORTED_OP: Cast node "y" casts to string, which pergrad does not know; cast to float32.',
    );
  });

  it("refuses an integer that no float64 holds exactly, and cuts off those that mean the end", () => {
    const cut = (end: bigint) =>
      refusal(() => decode(file({ inputs: [x], nodes: [node("Transpose", ["x"], ["y"], [ints("perm", [end])])] })));
    expect(cut(2n ** 60n)).toContain(`INVALID_MODEL: attribute "perm" of Transpose node "y" is the impossible number`);
    expect(cut(2n ** 63n - 1n)).toContain("SHAPE_MISMATCH");
  });
});

describe("the graph", () => {
  it("is sorted, whatever the order of the file, and keeps names", () => {
    const nodes = [node("Neg", ["a"], ["y"]), node("Exp", ["x"], ["a"])];
    const { graph } = decode(file({ inputs: [valueInfo("x", ["N"])], nodes }));
    const output = graph.outputs[0]?.value;
    expect(output?.name).toBe("y");
    expect(output && nodeOf(output)?.inputs[0]?.name).toBe("a");
  });

  it("tells parameters, constants and inputs apart", () => {
    const bounds = [initializer("low", floats([], 0)), initializer("high", floats([], 6))];
    const index = { dtype: "int64", dims: [1], data: BigInt64Array.of(4n) } as const;
    const { graph, parameters, notes } = decode(
      file({
        // An old file lists its initializers among the inputs.
        inputs: [valueInfo("x", ["N", 2]), valueInfo("w", [2])],
        initializers: [
          initializer("w", floats([2], 3, 4)),
          ...bounds,
          initializer("i", index),
          initializer("spare", index),
        ],
        nodes: [node("Mul", ["x", "w"], ["a"]), node("Clip", ["a", "low", "high"], ["y"])],
        outputs: ["y", "i"],
      }),
    );
    expect(graph.inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(graph.parameters.map(({ name, source }) => [name, source.kind])).toEqual([["w", "parameter"]]);
    expect(parameters).toEqual({ w: floats([2], 3, 4) });
    expect(graph.outputs[1]?.value.known).toEqual([4]);
    const clip = graph.outputs[0] && nodeOf(graph.outputs[0].value);
    expect(constantOf(clip?.inputs[2])?.data).toEqual(Float32Array.of(6));
    expect(notes).toEqual(['The initializer "spare" is not used.']);
  });

  it("keeps a parameter named like a property of every object", () => {
    const { parameters } = decode(
      file({ initializers: [initializer("__proto__", floats([1], 2))], outputs: ["__proto__"] }),
    );
    expect(Object.keys(parameters)).toEqual(["__proto__"]);
  });

  it("reads every form of a Constant", () => {
    const constant = (attribute: Parameters<typeof node>[3]) =>
      constantOf(decode(file({ nodes: [node("Constant", [], ["y"], attribute)] })).graph.outputs[0]?.value);
    // Floating-point constants are held as they were written: in float64.
    const doubles = (dims: readonly number[], ...data: number[]) => ({
      dtype: "float64",
      dims,
      data: Float64Array.from(data),
    });
    expect(constant([float("value_float", 0.1)])).toEqual(doubles([], 0.1));
    const values = [1, -Math.SQRT2, Math.fround(1 / 3)];
    expect(constant([{ name: "value_floats", type: Kind.FLOATS, floats: values.map(Math.fround) }])).toEqual(
      doubles([3], 1, -Math.SQRT2, 0.33333334),
    );
    expect(constant([int("value_int", 7)])).toEqual({ dtype: "int64", dims: [], data: BigInt64Array.of(7n) });
    expect(constant([ints("value_ints", [])])).toEqual({ dtype: "int64", dims: [0], data: new BigInt64Array(0) });
    expect(constant([tensor("value", floats([1], 9))])).toEqual(doubles([1], 9));
    expect(refusal(() => constant([text("value_string", "A")]))).toContain("UNSUPPORTED_OP");
    expect(refusal(() => constant([]))).toContain("INVALID_MODEL");
  });

  it("notes what it reads in another precision", () => {
    const { graph, parameters, notes } = decode(
      file({
        inputs: [valueInfo("x", ["N"], 10)],
        initializers: [
          { name: "w", dataType: 11, dims: [1n], doubleData: [0.25] },
          { name: "h", dataType: 10, dims: [1n], int32Data: [0x3c00] },
          { name: "b", dataType: 16, dims: [1n], rawData: Uint8Array.of(0x80, 0x3f) },
        ],
        nodes: [node("Sum", ["x", "w", "h", "b"], ["s"]), node("Cast", ["s"], ["y"], [int("to", 11)])],
      }),
    );
    expect(graph.inputs[0]?.dtype).toBe("float32");
    expect(graph.outputs[0]?.value.dtype).toBe("float32");
    expect(parameters).toEqual({ w: floats([1], 0.25), h: floats([1], 1), b: floats([1], 1) });
    expect(notes).toEqual([
      'Declared as float64, computed in float32: The initializer "w", Cast node "y".',
      'Declared as float16, computed in float32: The initializer "h", input "x".',
      'Declared as bfloat16, computed in float32: The initializer "b".',
    ]);
  });

  it("refuses bytes whose weights are stored in another file", () => {
    const w = {
      name: "y",
      dataType: 1,
      dims: [2n],
      dataLocation: 1,
      externalData: [{ key: "location", value: "w.bin" }],
    };
    expect(refusal(() => decode(file({ initializers: [w] })))).toBe(
      'FILE_UNREADABLE: The initializer "y" is stored outside the model, in "w.bin", which cannot be found from ' +
        "the model's bytes; give loadModel the model's path instead.",
    );
  });
});

describe("inputs", () => {
  const shapeOf = (dims: readonly (number | string)[], options: Parameters<typeof decode>[1] = {}) =>
    decode(file({ inputs: [valueInfo("x", dims)], outputs: ["x"] }), options).graph.inputs[0]?.shape;

  it("take axis 0 for the batch, symbolic or not", () => {
    expect(shapeOf(["batch", 3])).toEqual([N, 3]);
    expect(shapeOf([8, 3])).toEqual([N, 3]);
    expect(shapeOf([""])).toEqual([N]);
    expect(shapeOf([])).toEqual([]);
  });

  it("take another axis, or none, where told", () => {
    expect(shapeOf([5, "batch", 3], { sampleAxes: { x: 1 } })).toEqual([5, N, 3]);
    expect(shapeOf([5, "batch"], { sampleAxes: { x: -1 } })).toEqual([5, N]);
    expect(shapeOf([8, 3], { sampleAxes: { x: null } })).toEqual([8, 3]);
  });

  it("take an axis of the batch's own name for the batch", () => {
    expect(shapeOf(["batch", 3, "batch"])).toEqual([N, 3, N]);
  });

  it("take sizes by the name of a dimension or by input and axis", () => {
    expect(shapeOf(["n", "seq", "seq"], { dimensions: { seq: 7, "x.2": 9 } })).toEqual([N, 7, 9]);
    expect(shapeOf(["n", ""], { dimensions: { "x.1": 4 } })).toEqual([N, 4]);
    expect(shapeOf(["n", -1], { dimensions: { "x.1": 4 } })).toEqual([N, 4]);
  });

  it("say how to give a size that is missing", () => {
    expect(refusal(() => shapeOf(["n", "seq"]))).toBe(
      'UNKNOWN_SHAPE: Axis 1 of the input "x" ("seq") is not fixed in the model; ' +
        "give its size: dimensions: { seq: 128 }.",
    );
    expect(refusal(() => shapeOf(["n", "constructor"]))).toContain("UNKNOWN_SHAPE");
    expect(refusal(() => shapeOf(["n", ""]))).toContain('dimensions: { "x.1": 128 }.');
    expect(refusal(() => shapeOf(["n", "s"], { dimensions: { s: 1.5 } }))).toContain("INVALID_ARGUMENT");
  });

  it("refuse axes and names that are not there", () => {
    expect(refusal(() => shapeOf(["n"], { sampleAxes: { x: 1 } }))).toContain(
      'INVALID_ARGUMENT: The input "x" has 1 axes',
    );
    expect(refusal(() => shapeOf(["n"], { sampleAxes: { z: 1 } }))).toContain('A sample axis is given for "z"');
  });

  it("refuse strings, and shapes that are not said", () => {
    const read = (input: ReturnType<typeof valueInfo>) =>
      refusal(() => decode(file({ inputs: [input], outputs: ["x"] })));
    expect(read(valueInfo("x", ["n"], 8))).toBe(
      'DTYPE_MISMATCH: The input "x" holds string, which pergrad does not read; cast it to float32 or int64.',
    );
    expect(read({ name: "x" })).toContain("UNSUPPORTED_OP");
    expect(read({ name: "x", type: { value: { case: "tensorType", value: { elemType: 1 } } } })).toContain(
      "UNKNOWN_SHAPE",
    );
  });
});

describe("constants that exporters compute", () => {
  const constants = (name: string, ...values: number[]) => initializer(name, int64s(...values));

  it("a slice's end by Mod, as attention is exported", () => {
    const { graph } = decode(
      file({
        inputs: [valueInfo("x", ["N", 6])],
        initializers: [
          constants("start", 0),
          constants("five", 5),
          constants("axis", 1),
          constants("two", -2),
          constants("flat", -1),
        ],
        nodes: [
          node("Add", ["five", "two"], ["three"]),
          node("Mod", ["three", "five"], ["end"]),
          node("Reshape", ["end", "flat"], ["end1"]),
          node("Slice", ["x", "start", "end1", "axis"], ["y"]),
        ],
      }),
    );
    expect(graph.outputs[0]?.value.shape.map((dim) => (typeof dim === "number" ? dim : "N"))).toEqual(["N", 3]);
  });

  it("pads turned about in two dimensions, as torch exports F.pad", () => {
    const { graph } = decode(
      file({
        inputs: [valueInfo("x", ["N", 1, 4, 4])],
        initializers: [
          constants("torch", 1, 0, 2, 1, 0, 0, 0, 0),
          constants("pairs", -1, 2),
          constants("flat", -1),
          constants("last", -1),
          constants("first", Number.MIN_SAFE_INTEGER),
          constants("axis", 0),
          constants("back", -1),
        ],
        nodes: [
          node("Reshape", ["torch", "pairs"], ["matrix"]),
          node("Slice", ["matrix", "last", "first", "axis", "back"], ["reversed"]),
          node("Transpose", ["reversed"], ["columns"], [ints("perm", [1, 0])]),
          node("Reshape", ["columns", "flat"], ["row"]),
          node("Cast", ["row"], ["pads"], [int("to", 7)]),
          node("Pad", ["x", "pads"], ["y"]),
        ],
      }),
    );
    expect(graph.outputs[0]?.value.shape.slice(1)).toEqual([1, 7, 5]);
  });

  it("a size multiplied as floats, that of the batch among them", async () => {
    const bytes = file({
      inputs: [valueInfo("x", ["N", 1, 4, 3])],
      nodes: [
        node("Shape", ["x"], ["shape"]),
        node("Cast", ["shape"], ["size"], [int("to", 1)]),
        node("Constant", [], ["factors"], [tensor("value", floats([4], 1, 1, 2, 1.5))]),
        node("Mul", ["size", "factors"], ["grown"]),
        node("Floor", ["grown"], ["whole"]),
        node("Cast", ["whole"], ["sizes"], [int("to", 7)]),
        node("Constant", [], ["two"], [tensor("value", int64s(2))]),
        node("Constant", [], ["four"], [tensor("value", int64s(4))]),
        node("Slice", ["size", "two", "four"], ["image"]),
        node("ReduceSum", ["image"], ["sum"]),
        node("Resize", ["x", "", "", "sizes"], ["h"]),
        node("Mul", ["h", "sum"], ["y"]),
      ],
    });
    const model = decode(bytes);
    expect(model.graph.outputs[0]?.value.shape).toEqual([N, 1, 8, 4]);
    const feeds = { x: waves([3, 1, 4, 3]) };
    expect(await run(encoded(model), feeds)).toEqual(await run(bytes, feeds));
  });

  it("a single exponent is no parameter", () => {
    const { parameters } = decode(
      file({
        inputs: [valueInfo("x", ["N", 2])],
        initializers: [initializer("two", floats([], 2)), initializer("powers", floats([2], 1, 2))],
        nodes: [node("Pow", ["x", "two"], ["h"]), node("Pow", ["h", "powers"], ["y"])],
      }),
    );
    expect(Object.keys(parameters)).toEqual(["powers"]);
  });
});
