/** What exporters fold, merge and drop, and what is said of it. */
import { describe, expect, it } from "vitest";
import type { LoadOptions } from "../../src/onnx/read/load-options.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import { type FileInit, file, floats, initializer, int, node, refusal, tensor, valueInfo, waves } from "./models.js";

const load = (init: FileInit, options: LoadOptions = {}) =>
  modelOf(file({ inputs: [valueInfo("x", ["N", 3])], ...init }), "m.onnx", options);
const foldedFrom = (name: string, ...origins: string[]) => ({
  name,
  metadataProps: [
    { key: "pkg.onnxscript.optimizer.folded_from", value: `[${origins.map((origin) => `'${origin}'`).join(", ")}]` },
  ],
});

describe("a constant that the exporter computed from parameters", () => {
  const init = (constant: string, ...origins: string[]): FileInit => ({
    initializers: [initializer("a", waves([3])), initializer(constant, floats([3], 0.3, 0.61, 0.77))],
    nodes: [node("Mul", ["x", "a"], ["m"]), node("Add", ["m", constant], ["y"])],
    infos: [foldedFrom(constant, ...origins)],
  });
  it("is named with the parameter and the option that prevents it", () => {
    expect(load(init("exp", "a")).notes).toContain(
      'The exporter computed the constant "exp" from the parameter "a", so the gradient of "a" lacks that path; ' +
        "export with torch.onnx.export(..., dynamo=True, optimize=False), which folds nothing.",
    );
  });
  it("stands in the place of parameters that the file has no more", () => {
    const notes = load(init("mul_1", "l.weight_g", "l.weight_v", "val_0")).notes.join();
    expect(notes).toContain(
      '"mul_1" from the parameters "l.weight_g", "l.weight_v", so the file has "mul_1" in their place',
    );
  });
  it("is an error to who reads strictly", () => {
    expect(refusal(() => load(init("exp", "a"), { strict: true }))).toMatch(
      /^FOLDED_PARAMETERS: The exporter computed/,
    );
    expect(refusal(() => load(init("exp", "val_3", "sqrt"), { strict: true }))).toBe("no error");
  });
  it.each([
    ["g", ["a"]],
    ["a", ["a", "slice_1"]],
  ])("is no parameter where its origin %s is none in the exporter's list", (origin, parameters) => {
    const key = "pkg.torch.export.ExportedProgram.graph_signature";
    const metadata = { [key]: "\n# inputs\np_a: PARAMETER target='a'\nb_g: BUFFER target='g' persistent=True\n" };
    expect(Object.keys(load({ ...init("slice_1", origin, "val_2"), metadata }).parameters)).toEqual(parameters);
  });
  it("is found where it is a Constant node", () => {
    const nodes = [
      node("Constant", [], ["exp"], [tensor("value", floats([3], 0.3, 0.61, 0.77))]),
      node("Mul", ["x", "a"], ["m"]),
      node("Add", ["m", "exp"], ["y"]),
    ];
    const model = load({ initializers: [initializer("a", waves([3]))], nodes, infos: [foldedFrom("exp", "a")] });
    expect(model.notes.join()).toContain('the gradient of "a" lacks that path');
  });
  it("is no loss where it only repeats the parameter, which is tied", () => {
    const twice: FileInit = {
      initializers: [
        initializer("a", waves([3, 4])),
        initializer("t", floats([4, 3], ...transposed(waves([3, 4]).data, 4))),
      ],
      nodes: [node("MatMul", ["x", "a"], ["m"]), node("MatMul", ["m", "t"], ["y"])],
      infos: [foldedFrom("t", "a")],
    };
    expect(load(twice, { strict: true }).notes.join()).toContain("t repeats a, in another order of axes");
    expect(refusal(() => load(twice, { strict: true, tie: false }))).toMatch(/^FOLDED_PARAMETERS/);
  });
});

function transposed(data: Float32Array, columns: number): number[] {
  const rows = data.length / columns;
  return Array.from({ length: data.length }, (_, k) => data[(k % rows) * columns + Math.floor(k / rows)] as number);
}

describe("what exporters do to fresh models", () => {
  const norms = (scale: number[]): FileInit => ({
    initializers: [initializer("n1.weight", floats([3], ...scale)), initializer("n1.bias", floats([3], 0, 0, 0))],
    nodes: [
      node("LayerNormalization", ["x", "n1.weight", "n1.bias"], ["a"]),
      node("Tanh", ["a"], ["b"]),
      node("LayerNormalization", ["b", "n1.weight", "n1.bias"], ["y"]),
    ],
  });
  it("weights that are equal and stored once for several layers are noted", () => {
    const notes = load(norms([1, 1, 1])).notes;
    expect(notes).toContainEqual(
      expect.stringMatching(/^"n1.weight" is 1 everywhere and serves 2 layers \(LayerNormalization node "a", /),
    );
    expect(notes).toContainEqual(expect.stringMatching(/^"n1.bias" is 0 everywhere and serves 2 layers/));
    expect(load(norms([1, 1.1, 0.9])).notes.join()).not.toContain('"n1.weight" is');
  });
  const layers = (...withBias: boolean[]): FileInit => ({
    initializers: withBias.flatMap((has, k) => [
      initializer(`l${k}.weight`, waves([3, 3])),
      ...(has ? [initializer(`l${k}.bias`, waves([3]))] : []),
    ]),
    nodes: withBias.flatMap((has, k) => {
      const [from, to] = [k === 0 ? "x" : `h${k}`, k === withBias.length - 1 ? "y" : `h${k + 1}`];
      return has
        ? [node("MatMul", [from, `l${k}.weight`], [`m${k}`]), node("Add", [`l${k}.bias`, `m${k}`], [to])]
        : [node("MatMul", [from, `l${k}.weight`], [to])];
    }),
  });
  it("a layer without the bias that most others of its kind have is noted", () => {
    const notes = load(layers(true, false, true)).notes.join();
    expect(notes).toContain(
      'The MatMul node "h2" has no bias, unlike 2 others: exporters drop biases that are all zero',
    );
  });
  it("layers that have none, or mostly none, are not", () => {
    for (const kinds of [
      [false, false],
      [true, true],
      [true, false, false],
    ])
      expect(load(layers(...kinds)).notes.join()).not.toContain("no bias");
  });
});

describe("a weight that the exporter multiplied a batch normalisation into", () => {
  const conv = (weight: string, rule?: string) => ({
    opType: "Conv",
    input: ["x", weight],
    output: ["y"],
    metadataProps: rule === undefined ? [] : [{ key: "pkg.onnxscript.rewriter.rule_name", value: rule }],
  });
  const init = (weight: string, rule?: string): FileInit => ({
    inputs: [valueInfo("x", ["N", 2, 5])],
    initializers: [initializer(weight, waves([3, 2, 2]))],
    nodes: [conv(weight, rule)],
  });
  it("is named where the file says so, which is an error to who reads strictly", () => {
    expect(load(init("0.weight", "FuseBatchNormIntoConv")).notes.join()).toMatch(
      /^The exporter multiplied what follows Conv node "y", such as a batch normalisation, into "0.weight", so the file/,
    );
    expect(refusal(() => load(init("0.weight", "FuseBatchNormIntoConv"), { strict: true }))).toMatch(
      /^FOLDED_PARAMETERS: The exporter multiplied/,
    );
  });
  it("is named where its name is made up, as the older exporter does", () => {
    const made = load(init("onnx::Conv_16"), { strict: true }).notes.join();
    expect(made).toContain('of Conv node "y" was computed by the exporter');
    const gemm = (transB: number): FileInit => ({
      inputs: [valueInfo("x", ["N", 3])],
      initializers: [initializer("onnx::Gemm_4", waves([3, 3]))],
      nodes: [node("Gemm", ["x", "onnx::Gemm_4"], ["y"], [int("transB", transB)])],
    });
    expect(load(gemm(1)).notes.join()).toContain("was computed by the exporter");
    expect(load(gemm(0)).notes.join()).not.toContain("was computed by the exporter");
  });
  it.each(["ConvBnFusion_W_0.weight", "ConvMulFusion_W_0.weight"])("is named where the runtime made %s", (name) => {
    const said = `ONNX Runtime's optimizer multiplied what follows Conv node "y", such as a batch normalisation, into "${name}"`;
    expect(load(init(name)).notes.join()).toContain(said);
    expect(refusal(() => load(init(name), { strict: true }))).toContain(`FOLDED_PARAMETERS: ${said}`);
  });
  it("is not suspected elsewhere", () => {
    expect(load(init("0.weight"), { strict: true }).notes).toEqual([]);
    expect(load(init("0.weight", "FusePadIntoConv"), { strict: true }).notes).toEqual([]);
  });
});
