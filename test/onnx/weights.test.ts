/** Which initializers become parameters, and under which names. */
import { describe, expect, it } from "vitest";
import { losses, perSample, want } from "../../src/index.js";
import type { LoadOptions } from "../../src/onnx/read/load-options.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import {
  constant,
  type FileInit,
  file,
  floats,
  graph,
  initializer,
  int,
  int64s,
  node,
  refusal,
  tensor,
  valueInfo,
} from "./models.js";

const load = (init: FileInit, options: LoadOptions = {}) =>
  modelOf(file({ inputs: [valueInfo("x", ["N", 3])], ...init }), "m.onnx", options);
const names = (init: FileInit, options: LoadOptions = {}) => Object.keys(load(init, options).parameters);

/** y = x op c */
const formula = (name: string, constant: Tensor, op = "Mul"): FileInit => ({
  initializers: [initializer(name, constant)],
  nodes: [node("Neg", ["x"], ["n"]), node(op, ["n", name], ["y"])],
});

describe("an initializer", () => {
  it.each([
    ["a named vector", "scale", floats([3], 1, 2, 3)],
    ["a named number", "temperature", floats([], 2)],
    ["a named vector of ones, not yet trained", "norm.gain", floats([3], 1, 1, 1)],
    ["a vector whose name was lost", "onnx::Mul_12", floats([3], 1, 2, 3)],
    ["a trained number that is called eps, as in GIN", "convs.0.eps", floats([1], 0.1357)],
    ["a bias of that name that holds more than zeros", "dot_bias_1", floats([3], 0, 0, 0.5)],
    ["one that diverged", "scale", floats([3], Number.NaN, 1, Number.NEGATIVE_INFINITY)],
  ])("is a parameter: %s", (_, name, constant) => {
    expect(names(formula(name, constant))).toEqual([name]);
  });

  it.each([
    ["a number with a generated name", "onnx::Mul_12", floats([], 2), "a single number with a generated name"],
    ["a number that was a Constant", "/a/Constant_3_output_0", floats([1], 2), "a single number with a generated name"],
    ["an epsilon", "norm.eps", floats([], 1e-5), "by its name a buffer"],
    ["a mask by name", "attn.mask", floats([3], 0, 1, 1), "by its name a buffer"],
    ["a mask of infinities", "hide", floats([3], 0, Number.NEGATIVE_INFINITY, 0), "a mask"],
    ["a mask of large negative numbers", "hide", floats([3], 0, -1e9, 0), "a mask"],
    ["a mask whose name was lost", "123", floats([3], 0, 1, 1), "a mask"],
    ["one number everywhere, without a name", "onnx::Add_7", floats([3], 4, 4, 4), "the same number everywhere"],
    ["a bias that jax2onnx fills in", "scan_loop_0/dot_bias_1", floats([3], 0, 0, 0), "zeros in the place of a bias"],
  ])("is a constant: %s", (_, name, constant, why) => {
    const { parameters, notes } = load(formula(name, constant, "Add"));
    expect(Object.keys(parameters)).toEqual([]);
    expect(notes.join()).toContain(`Taken for constants, not weights (${why}): ${name};`);
  });

  it("is a parameter all the same where the user names it, by itself or by a glob", () => {
    const mask = formula("attn.mask", floats([3], 0, 1, 1));
    expect(names(mask, { parameters: ["attn.mask"] })).toEqual(["attn.mask"]);
    expect(names(mask, { parameters: ["attn.*"] })).toEqual(["attn.mask"]);
    expect(names(mask, { parameters: ["*"] })).toEqual([]);
    expect(names(mask, { parameters: ["!other"] })).toEqual([]);
  });

  it("is an error where the user's name matches nothing", () => {
    const mask = formula("attn.mask", floats([3], 0, 1, 1));
    expect(() => load(mask, { parameters: ["attn.mask", "atn.*"] })).toThrow(
      'The glob "atn.*" matches no parameter: the names are "attn.mask".',
    );
    expect(() => load(mask, { parameters: ["atn.*"] })).toThrow('the names are "attn.mask".');
  });

  it("that prepares an input is a constant where its name was lost", () => {
    const nodes = [node("Sub", ["x", "45"], ["a"]), node("Mul", ["a", "46"], ["y"])];
    const initializers = [initializer("45", floats([3], 1, 2, 3)), initializer("46", floats([3], 4, 5, 6))];
    expect(names({ initializers, nodes })).toEqual(["46"]);
  });

  it("of one element is a bias beside a layer, whatever it is called", () => {
    const nodes = [node("MatMul", ["x", "1"], ["m"]), node("Add", ["m", "2"], ["y"])];
    const initializers = [initializer("1", floats([3, 1], 1, 2, 3)), initializer("2", floats([1], 4))];
    expect(names({ initializers, nodes })).toEqual(["1", "2"]);
  });
});

describe("an initializer that sets up an operator", () => {
  const kind = "pkg.torch.export.graph_signature.InputSpec.kind";
  const at = (name: string, op: string, constant: Tensor, before: readonly string[] = [], said?: string): FileInit => ({
    initializers: [initializer(name, constant), initializer("pads", int64s(0, 1, 0, 1))],
    nodes: [node("Relu", ["x"], ["r"]), node("Neg", ["x"], ["n"]), node(op, [...before, name], ["y"])],
    infos: said === undefined ? [] : [{ name, metadataProps: [{ key: kind, value: said }] }],
  });
  const scalar = (value: number) => floats([], value);
  it.each<[string, FileInit]>([
    ["an exponent that is no whole number", at("pool.p", "Pow", floats([1], 2.5), ["n"])],
    ["a whole exponent of what is never negative", at("pool.p", "Pow", floats([1], 3), ["r"])],
    ["exponents of every feature", at("p", "Pow", floats([3], 2, 2, 2), ["r"])],
    ["a bound that no one wrote", at("act.alpha", "Clip", scalar(5.8731), ["r", ""])],
    ["a value to pad with that no one wrote", at("border.token", "Pad", scalar(0.73218), ["x", "pads"])],
    ["a bound that its exporter calls a parameter", at("max", "Clip", scalar(6), ["r", ""], "PARAMETER")],
    ["a square that its exporter calls a parameter", at("two", "Pow", scalar(2), ["r"], "PARAMETER")],
  ])("is a parameter where it looks trained: %s", (_, init) => {
    expect(names(init)).toEqual([init.initializers?.[0]?.name]);
  });
  it.each<[string, string, FileInit]>([
    ["a square", "an exponent, and a round number", at("p", "Pow", scalar(2), ["r"])],
    ["a whole exponent of what may be negative", "an exponent, and a round number", at("p", "Pow", scalar(3), ["n"])],
    ["an exponent with a generated name", "an exponent", at("onnx::Pow_7", "Pow", scalar(2.7283), ["r"])],
    ["the bound of a Relu6", "a bound of Clip, and a round number", at("cap", "Clip", scalar(6), ["r", ""])],
    ["a bound by name", "a bound of Clip", at("clip_max", "Clip", scalar(5.8731), ["r", ""])],
    ["a fill value", "the value that Pad fills with", at("fill", "Pad", scalar(0.73218), ["x", "pads"])],
    ["a buffer, as its exporter says", "an exponent", at("pool.p", "Pow", scalar(2.71), ["r"], "BUFFER")],
    [
      "a number that is cast",
      "a round number that a formula casts",
      {
        initializers: [initializer("beta_0", scalar(1))],
        nodes: [node("CastLike", ["beta_0", "x"], ["b"]), node("Div", ["x", "b"], ["y"])],
        infos: [],
      },
    ],
    ["an epsilon by size", "a number too small or too large to be trained", at("e", "Add", scalar(1e-6), ["r"])],
    ["what hides an element", "a number too small or too large to be trained", at("low", "Add", scalar(-1e9), ["r"])],
  ])("is a constant, and listed: %s", (_, why, init) => {
    const model = load(init);
    const name = init.initializers?.[0]?.name ?? "";
    expect(Object.keys(model.parameters)).toEqual([]);
    expect(model.constants).toEqual({ [name]: why });
    expect(model.notes.join().includes(`(${why}): ${name};`)).toBe(init.infos?.length === 0);
    expect(names(init, { parameters: [name] })).toEqual([name]);
  });
  it("is told of by explain, with the reason and the option", async () => {
    const init: FileInit = {
      initializers: [initializer("w", floats([3], 1, 2, 3)), initializer("clip_max", floats([], 6))],
      nodes: [node("Mul", ["x", "w"], ["m"]), node("Clip", ["m", "", "clip_max"], ["y"])],
    };
    const program = await perSample(load(init), { loss: losses.mse(), want: { norms: want.norms() } });
    const explanation = program.explain();
    await program.release();
    expect(explanation.constants).toEqual({ clip_max: "a bound of Clip" });
    expect(String(explanation)).toContain("--parameters NAME):\n  clip_max: a bound of Clip");
  });
});

describe("what PyTorch's newer exporter writes beside an initializer", () => {
  const kind = "pkg.torch.export.graph_signature.InputSpec.kind";
  const folded = "pkg.onnxscript.optimizer.folded_from";
  const beside = (name: string, key: string, value: string, constant: Tensor) => {
    const info = { name, metadataProps: [{ key, value }] };
    return load({ ...formula(name, constant), infos: [info] });
  };
  const row = floats([3], 1, 2, 3);
  it.each([
    ["a parameter, whatever its name and numbers", "attn.mask", kind, "PARAMETER", floats([3], 0, 1, 0)],
    ["what came of a weight", "softmax", folded, "['w']", row],
    ["what came of a weight and numbers", "mul_1", folded, "['div', 'l.weight_g', 'l.weight_v', 'val_0']", row],
  ])("tells %s", (_, name, key, value, constant) => {
    expect(Object.keys(beside(name, key, value, constant).parameters)).toEqual([name]);
  });
  it.each([
    ["a buffer", "table", kind, "BUFFER", "a buffer, as its exporter says", row],
    ["a constant of the code", "c", kind, "CONSTANT_TENSOR", "a buffer, as its exporter says", row],
    ["what came of a buffer", "cos", folded, "['arange', 'inv_freq', 'mul', 'val_1']", "computed from no weight", row],
    [
      "what came of nothing",
      "zeros_like",
      folded,
      "['val_1', 'val_2']",
      "computed from no weight",
      floats([3], 0, 0, 0),
    ],
    ["a number", "threshold_cast", folded, "['threshold']", "a single number with a generated name", floats([], 20)],
  ])("tells %s", (_, name, key, value, why, constant) => {
    const { parameters, notes } = beside(name, key, value, constant);
    expect(Object.keys(parameters)).toEqual([]);
    expect(notes.join()).toContain(`(${why}): ${name};`);
  });
});

it("a table of angles whose name was lost is a constant; one that was named is a weight", () => {
  const angles = (name: string) => ({
    initializers: [initializer(name, floats([3], 1, 2, 3))],
    nodes: [node("Cos", [name], ["c"]), node("Mul", ["x", "c"], ["y"])],
  });
  expect(names(angles("onnx::Cos_75"))).toEqual([]);
  expect(names(angles("phase"))).toEqual(["phase"]);
});

it("the mean and deviation of the data are constants, those of activations are weights", () => {
  const initializers = [
    initializer("mean", floats([3], 1, 2, 3)),
    initializer("std", floats([3], 4, 5, 6)),
    initializer("c", floats([], 255)),
  ];
  const whitened = [node("Sub", ["a", "mean"], ["b"]), node("Div", ["b", "std"], ["y"])];
  expect(names({ initializers, nodes: [node("Div", ["x", "c"], ["a"]), ...whitened] })).toEqual(["c"]);
  expect(names({ initializers, nodes: [node("Tanh", ["x"], ["a"]), ...whitened] })).toEqual(["mean", "std"]);
});

describe("a generated name becomes readable", () => {
  const linear = (name: string, bias: string, nodeName = ""): FileInit => ({
    initializers: [initializer(name, floats([3, 2], 1, 2, 3, 4, 5, 6)), initializer(bias, floats([2], 1, 2))],
    nodes: [{ ...node("MatMul", ["x", name], ["m"]), name: nodeName }, node("Add", [bias, "m"], ["y"])],
  });
  it.each([
    ["by the bias beside it", "onnx::MatMul_12", "net.fc1.bias", "", "net.fc1.weight.T"],
    ["by the module around its node", "onnx::MatMul_12", "b", "/net/net.0/fc1/MatMul", "net.0.fc1.weight.T"],
    ["not at all where nothing tells", "onnx::MatMul_12", "b", "MatMul_3", "onnx::MatMul_12"],
    ["not where it was chosen", "w", "net.fc1.bias", "/net/fc1/MatMul", "w"],
  ])("%s", (_, name, bias, nodeName, expected) => {
    expect(names(linear(name, bias, nodeName))).toEqual([expected, bias]);
  });

  it("and stays unique, in the order of the file", () => {
    const weight = floats([3, 3], 1, 2, 3, 4, 5, 6, 7, 8, 9);
    const model = load({
      initializers: [initializer("1", weight), initializer("2", weight), initializer("a.weight", weight)],
      nodes: [
        { ...node("MatMul", ["x", "1"], ["m"]), name: "/a/MatMul" },
        { ...node("MatMul", ["m", "2"], ["n"]), name: "/a/MatMul_1" },
        node("MatMul", ["n", "a.weight"], ["y"]),
      ],
    });
    expect(Object.keys(model.parameters)).toEqual(["a.weight_1", "a.weight_2", "a.weight"]);
    expect(model.notes.join()).toContain("a.weight_1 (1 in the file)");
  });
});

describe("weights that are stored as Constant nodes", () => {
  it("are parameters where the file has no others; numbers of formulas are not", () => {
    const nodes = [
      constant("w_0", floats([3, 2], 1, 2, 3, 4, 5, 6)),
      constant("p2o.helper.constant.1", floats([], 3)),
      node("MatMul", ["x", "w_0"], ["m"]),
      node("Add", ["m", "p2o.helper.constant.1"], ["y"]),
    ];
    expect(names({ nodes })).toEqual(["w_0"]);
    expect(names({ nodes, initializers: [initializer("b", floats([2], 1, 2))], outputs: ["y"] })).toEqual([]);
  });
});

it("frozen parameters get no gradient, and all frozen is an error", async () => {
  const model = load({
    initializers: [initializer("a", floats([3], 1, 2, 3)), initializer("b", floats([3], 4, 5, 6))],
    nodes: [node("Mul", ["x", "a"], ["m"]), node("Mul", ["m", "b"], ["y"])],
  });
  const program = await perSample(model, { loss: losses.mse(), frozen: ["b"], want: { g: want.gradients() } });
  const { g } = await program.run({ x: floats([1, 3], 1, 1, 1), target: floats([1, 3], 0, 0, 0) });
  await program.release();
  expect(Object.keys(g)).toEqual(["a"]);
  const all = perSample(model, { loss: losses.mse(), frozen: ["*"], want: { g: want.gradients() } });
  await expect(all).rejects.toMatchObject({ code: "NO_PARAMETERS" });
});

it("a quantised model is refused, naming what to load instead", () => {
  const init: FileInit = {
    inputs: [valueInfo("x", ["N", 3])],
    initializers: [initializer("s", floats([], 0.5))],
    nodes: [node("QuantizeLinear", ["x", "s"], ["q"]), node("DequantizeLinear", ["q", "s"], ["y"])],
  };
  const message = refusal(() => load(init));
  expect(message).toMatch(/^UNSUPPORTED_OP: "m.onnx" is quantised \(QuantizeLinear node "q" and 1 more\)/);
  expect(message).toContain("model.onnx");
});

describe("outputs that pergrad cannot compute", () => {
  const init: FileInit = {
    initializers: [initializer("w", floats([3], 1, 2, 3))],
    nodes: [node("Mul", ["x", "w"], ["y"]), node("Strange", ["x"], ["z"])],
    outputs: ["y", "z"],
  };
  it("are left out with a note after the first", async () => {
    const model = load(init);
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(["y"]);
    expect(model.notes.join()).toContain('The output "z" is left out: pergrad does not know the operator Strange');
    const asked = perSample(model, { loss: losses.mse(), output: "z", want: { g: want.gradients() } });
    await expect(asked).rejects.toThrow('the model\'s output "z": pergrad does not know the operator Strange');
  });
  it("are an error where they are asked for", () => {
    expect(names(init, { outputs: ["y"] })).toEqual(["w"]);
    expect(refusal(() => load(init, { outputs: ["z"] }))).toMatch(/^UNSUPPORTED_OP/);
    expect(refusal(() => load(init, { outputs: ["nothing"] }))).toContain("its outputs are y, z");
  });
});

describe("weights that are stored as Constant nodes in a graph inside a node", () => {
  const matrix = floats([3, 2], 1, 2, 3, 4, 5, 6);
  const stored = (name: string) => node("Constant", [], [name], [tensor("value", matrix)]);
  const yes = initializer("yes", { dtype: "bool", dims: [], data: Uint8Array.of(1) });
  const branch = (name: string) => ({
    name,
    node: [stored("c"), node("MatMul", ["x", "c"], [name])],
    output: [{ name }],
  });
  it("are parameters in a branch that is followed, beside weights of the graph around it", () => {
    const nodes = [node("If", ["yes"], ["m"], [graph("then_branch", branch("a")), graph("else_branch", branch("b"))])];
    expect(names({ initializers: [yes], nodes, outputs: ["m"] })).toEqual(["c"]);
    const beside = [initializer("w", floats([2], 1, 2)), yes];
    expect(names({ initializers: beside, nodes: [...nodes, node("Mul", ["m", "w"], ["y"])] })).toEqual(["w", "c"]);
  });
  it("are not where the branch has initializers of its own", () => {
    const own = { ...branch("a"), initializer: [initializer("k", floats([2], 1, 2))] };
    own.node = [stored("c"), node("MatMul", ["x", "c"], ["m"]), node("Mul", ["m", "k"], ["a"])];
    const nodes = [node("If", ["yes"], ["y"], [graph("then_branch", own), graph("else_branch", branch("b"))])];
    expect(names({ initializers: [yes], nodes })).toEqual(["k"]);
  });
  it("are one parameter in a loop's body, however often it runs", () => {
    const square = floats([3, 3], 1, 2, 3, 4, 5, 6, 7, 8, 9);
    const body = {
      name: "body",
      input: [valueInfo("i", [], 7), valueInfo("go", [], 9), valueInfo("h", ["N", 3])],
      node: [
        node("Constant", [], ["c"], [tensor("value", square)]),
        node("MatMul", ["h", "c"], ["next"]),
        node("Identity", ["go"], ["on"]),
      ],
      output: [{ name: "on" }, { name: "next" }],
    };
    const trips = initializer("trips", { dtype: "int64", dims: [], data: BigInt64Array.of(3n) });
    const nodes = [node("Loop", ["trips", "yes", "x"], ["y"], [graph("body", body)])];
    expect(names({ initializers: [yes, trips], nodes })).toEqual(["c"]);
  });
  it("are one parameter in a scan's body", () => {
    const body = {
      name: "body",
      input: [valueInfo("h", ["N", 3]), valueInfo("s", ["N", 3])],
      node: [
        node("Constant", [], ["c"], [tensor("value", floats([3, 3], 1, 2, 3, 4, 5, 6, 7, 8, 9))]),
        node("MatMul", ["s", "c"], ["m"]),
        node("Add", ["h", "m"], ["next"]),
      ],
      output: [{ name: "next" }],
    };
    const nodes = [
      node("Identity", ["x"], ["x0"]),
      node("Unsqueeze", ["x", "zero"], ["steps"]),
      node("Scan", ["x0", "steps"], ["y"], [graph("body", body), int("num_scan_inputs", 1)]),
    ];
    expect(names({ initializers: [initializer("zero", int64s(0))], nodes })).toEqual(["c"]);
  });
  it("are parameters in a function's body", () => {
    const nodes = [{ ...node("Layer", ["x"], ["y"]), domain: "local", name: "layer" }];
    const layer = {
      name: "Layer",
      domain: "local",
      opsetImport: [{ domain: "", version: 21n }],
      input: ["a"],
      output: ["b"],
      node: [stored("w"), node("MatMul", ["a", "w"], ["b"])],
    };
    expect(names({ nodes, functions: [layer] })).toEqual(["layer/w"]);
  });
});
