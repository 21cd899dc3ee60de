/** Files of one batch size taken to any: every golden with its batch written down as a number, and small graphs by hand. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { batchOver } from "../../src/autodiff/vmap.js";
import { PergradError } from "../../src/errors.js";
import { isBatch, showShape } from "../../src/graph/dim.js";
import type { Model } from "../../src/graph/model.js";
import { decodeSafetensors } from "../../src/io/safetensors.js";
import { decodeModel } from "../../src/onnx/read/decode.js";
import type { LoadOptions } from "../../src/onnx/read/load-options.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import { build } from "../../src/ops/registry.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { expectAgreement } from "../support/file-agreement.js";
import { relativeError } from "./compare.js";
import {
  encoded,
  expectedOutput,
  type FileInit,
  file,
  floats,
  initializer,
  int,
  int64s,
  ints,
  node,
  refusal,
  run,
  tensor,
  valueInfo,
  waves,
} from "./models.js";

const folder = fileURLToPath(new URL("../goldens/", import.meta.url));
const cases = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

/** Written for a fixed batch by pergrad, a loop over the samples is unrolled; what exporters write is in sample-loop.test.ts. */
const loops = /^embedding_bag_/;

/** Their files fix the batch already, and hold a Conv in float64, for which ONNX Runtime has no kernel; sample-convolution.test.ts has the like. */
const ofOneBatch = new Set(["modulated_conv_groups", "modulated_conv_transposed"]);

/** The runtime gives another number than ONNX says for a pool of nothing but -infinity; programs mend that, and this test runs none. */
const wrongInRuntime = new Set(["max_pool_minus_infinity"]);

/** The file as an exporter would have written it for `size` samples: all shapes are numbers. */
function withFixedBatch(bytes: Uint8Array, size: number): Uint8Array {
  const inputs = modelOf(bytes, "m", {}).graph.inputs;
  const dimensions = inputs.flatMap(({ name, shape }) =>
    shape.flatMap((dim, axis) => (isBatch(dim) ? [[`${name}.${axis}`, size] as const] : [])),
  );
  const fixed = decodeModel(bytes, {
    fileName: "m",
    build,
    batchOver,
    sampleAxes: Object.fromEntries(inputs.map(({ name }) => [name, null])),
    dimensions: Object.fromEntries(dimensions),
  });
  expect(fixed.graph.inputs.flatMap(({ shape }) => shape.filter(isBatch))).toEqual([]);
  return encoded(fixed);
}

async function outputOf(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<Tensor> {
  const results = await run(encoded(model), feeds);
  return results[model.graph.outputs[0]?.name ?? ""] as Tensor;
}

const comparable = cases.filter((name) => !loops.test(name) && !ofOneBatch.has(name) && !wrongInRuntime.has(name));

describe.each(comparable)("%s", (name) => {
  it.for([1, 2])("written for %i samples gives any number of them the same results", async (size, context) => {
    const bytes = readFileSync(`${folder}${name}/model.onnx`);
    const data = decodeSafetensors(readFileSync(`${folder}${name}/data.safetensors`), name).tensors;
    const unsupported = refusal(() => modelOf(bytes, name, {}));
    if (unsupported.startsWith("UNSUPPORTED_OP")) return context.skip(unsupported);
    const model = modelOf(withFixedBatch(bytes, size), name, {});
    expect(Object.values(model.sampleAxes)).toEqual(Object.values(modelOf(bytes, name, {}).sampleAxes));
    const feeds = Object.fromEntries(model.graph.inputs.map((input) => [input.name, data.get(input.name) as Tensor]));
    const expected = await expectedOutput(name, model.graph.outputs[0]?.name ?? "");
    const found = await outputOf(model, feeds);
    expect(found.dims).toEqual(expected?.dims);
    expect(relativeError(found, expected as Tensor)).toBeLessThan(1e-5);
  });
});

const shapeInts = (name: string, ...values: number[]) => initializer(name, int64s(...values));

const load = (init: Parameters<typeof file>[0], options: LoadOptions = {}) => modelOf(file(init), "m.onnx", options);
const shapeOf = (init: Parameters<typeof file>[0]) => showShape(load(init).graph.outputs[0]?.value.shape ?? []);

describe("a Reshape written for one batch size", () => {
  const reshaped = (from: readonly number[], to: readonly number[]) =>
    shapeOf({
      inputs: [valueInfo("x", from)],
      initializers: [shapeInts("s", ...to)],
      nodes: [node("Reshape", ["x", "s"], ["y"])],
    });
  it.each([
    ["keeps the samples where they were", [1, 2, 3, 4], [1, 6, 4], "[N, 6, 4]"],
    ["keeps them apart from what becomes one", [1, 12], [1, 1, 12], "[N, 1, 12]"],
    ["folds them with the rows of a matrix", [1, 5, 4], [5, 4], "[N*5, 4]"],
    ["folds them with the rows of several samples", [3, 5, 4], [15, 4], "[N*5, 4]"],
    ["takes them apart again", [2, 6], [2, 2, 3], "[N, 2, 3]"],
    ["reads -1 in the file's own batch", [1, 12], [1, -1], "[N, 12]"],
    ["reads 0 in the file's own batch", [2, 3, 4], [0, -1], "[N, 12]"],
  ])("%s", (_, from, to, shape) => {
    expect(reshaped(from, to)).toBe(shape);
  });

  it("is refused, naming the node, where a sample's elements do not stay together", () => {
    const init = {
      inputs: [valueInfo("x", [2, 3])],
      initializers: [shapeInts("s", 3, 2)],
      nodes: [{ ...node("Reshape", ["x", "s"], ["y"]), name: "mix" }],
    };
    expect(refusal(() => load(init))).toMatch(/^SHAPE_MISMATCH: Reshape node "mix".*the file fixes its batch to 2/);
  });
});

describe("a Slice written for one batch size", () => {
  const sliced = (start: number, end: number, size: number) => ({
    inputs: [valueInfo("x", [size, 3])],
    initializers: [shapeInts("a", start, 1), shapeInts("b", end, 3), shapeInts("axes", 0, -1)],
    nodes: [node("Slice", ["x", "a", "b", "axes"], ["y"])],
  });
  it("takes all samples where it took all", () => {
    expect(shapeOf(sliced(0, 1, 1))).toBe("[N, 2]");
    expect(shapeOf(sliced(0, 2, 2))).toBe("[N, 2]");
  });
  it("is refused where it took some", () => {
    expect(refusal(() => load(sliced(0, 1, 2)))).toMatch(/^SAMPLES_INTERACT/);
    expect(refusal(() => load(sliced(1, 2, 2)))).toMatch(/^SAMPLES_INTERACT/);
  });
});

describe("a grid of sampling points written for one batch size", () => {
  const warped = (batch: number | string, size: number) =>
    file({
      opset: 20,
      inputs: [valueInfo("x", [batch, 1, 4, 3]), valueInfo("t", [batch, 2, 3])],
      initializers: [initializer("w", floats([2, 3], 0.7, 0.2, 0.1, -0.3, 0.6, 0.05)), shapeInts("s", size, 1, 2, 5)],
      nodes: [
        node("Mul", ["t", "w"], ["m"]),
        node("AffineGrid", ["m", "s"], ["g"]),
        node("GridSample", ["x", "g"], ["y"]),
      ],
    });
  const feeds = { x: waves([3, 1, 4, 3]), t: floats([3, 2, 3], ...Array.from({ length: 18 }, (_, k) => Math.cos(k))) };
  it.each<[string, number | string, number]>([
    ["a file for three samples", 3, 3],
    ["a file that leaves its batch open beside a size for three", "N", 3],
  ])("is one of any: %s", async (_, batch, size) => {
    await expectAgreement({ bytes: warped(batch, size), feeds, samples: 3, fixed: 3 });
  });
});

describe("tensors written for one batch size", () => {
  const zeros = (dims: readonly number[]) =>
    tensor("value", { dtype: "float32", dims, data: new Float32Array(sizeOf(dims)) });
  it.each([1, 2])("constants of equal rows join the samples of a batch of %i", async (size) => {
    const model = load({
      inputs: [valueInfo("x", [size, 2])],
      initializers: [initializer("w", floats([2], 3, 4))],
      nodes: [
        node("Constant", [], ["z"], [zeros([size, 1])]),
        node("Concat", ["x", "z"], ["c"], [int("axis", 1)]),
        node("ReduceSum", ["c"], ["s"]),
        node("Constant", [], ["o"], [zeros([size, 2])]),
        node("Add", ["x", "o"], ["a"]),
        node("Mul", ["a", "w"], ["m"]),
        node("Concat", ["c", "m"], ["y"], [int("axis", 1)]),
      ],
    });
    const found = await outputOf(model, { x: floats([3, 2], 1, 2, 3, 4, 5, 6) });
    expect(found.dims).toEqual([3, 5]);
    expect([...found.data]).toEqual([1, 2, 0, 3, 8, 3, 4, 0, 9, 16, 5, 6, 0, 15, 24]);
  });

  it.each([
    ["in blocks", 0],
    ["with the samples innermost", 1],
  ])("constants that are the same for each sample join samples folded with positions %s", async (_, axis) => {
    const place = (sample: number, position: number) => (axis === 0 ? 2 * sample + position : 3 * position + sample);
    const init = (other: number) => {
      const added = new Float32Array(6);
      for (let sample = 0; sample < 3; sample++)
        for (let position = 0; position < 2; position++) added[place(sample, position)] = 10 * (position + 1);
      added[5] = other;
      return {
        inputs: [valueInfo("x", [3, 2])],
        initializers: [initializer("w", floats([1], 2)), shapeInts("flat", 6)],
        nodes: [
          node("Constant", [], ["c"], [tensor("value", floats([6], ...added))]),
          node("Mul", ["x", "w"], ["m"]),
          node("Transpose", ["m"], ["t"], [ints("perm", axis === 0 ? [0, 1] : [1, 0])]),
          node("Reshape", ["t", "flat"], ["f"]),
          node("Add", ["f", "c"], ["y"]),
        ],
      };
    };
    const found = await outputOf(load(init(20)), { x: floats([2, 2], 1, 2, 3, 4) });
    expect([...found.data]).toEqual(axis === 0 ? [12, 24, 16, 28] : [12, 16, 24, 28]);
    expect(refusal(() => load(init(21)))).toMatch(/^SHAPE_MISMATCH: Add node "y".*the file fixes its batch to 3/);
  });

  it("a weight that the exporter repeated for every sample is one weight", async () => {
    const folded = { key: "pkg.onnxscript.optimizer.folded_from", value: "['cls', 'val_6']" };
    const model = load({
      inputs: [valueInfo("x", [2, 2])],
      initializers: [initializer("expand", floats([2, 1], 7, 7))],
      infos: [{ name: "expand", metadataProps: [folded] }],
      nodes: [node("Concat", ["x", "expand"], ["y"], [int("axis", 1)])],
    });
    expect(model.parameters.expand?.dims).toEqual([1, 1]);
    const found = await outputOf(model, { x: floats([3, 2], 1, 2, 3, 4, 5, 6) });
    expect([...found.data]).toEqual([1, 2, 7, 3, 4, 7, 5, 6, 7]);
  });

  it.each([2, 3])("a weight repeated for each of %i samples multiplies any number of them", async (size) => {
    const model = load({
      inputs: [valueInfo("x", [size, 2, 1])],
      initializers: [initializer("w", floats([1, 2, 2], 1, 2, 3, 4)), shapeInts("s", size, 1, 1)],
      nodes: [node("Tile", ["w", "s"], ["q"]), node("MatMul", ["q", "x"], ["y"])],
    });
    const found = await outputOf(model, { x: floats([1, 2, 1], 5, 6) });
    expect([...found.data]).toEqual([17, 39]);
    const shared = load({
      inputs: [valueInfo("x", [size, size])],
      initializers: [
        initializer("w", floats([1, size], ...Array.from({ length: size }, () => 1))),
        shapeInts("s", size, 1),
      ],
      nodes: [node("Tile", ["w", "s"], ["q"]), node("MatMul", ["x", "q"], ["y"])],
    });
    expect(showShape(shared.graph.outputs[0]?.value.shape ?? [])).toBe(`[N, ${size}]`);
  });

  it("constants of different rows are not guessed at", () => {
    const init = {
      inputs: [valueInfo("x", [2, 2])],
      initializers: [initializer("w", floats([2], 3, 4))],
      nodes: [
        node("Constant", [], ["z"], [tensor("value", floats([2, 1], 1, 2))]),
        node("Mul", ["x", "w"], ["m"]),
        node("Concat", ["m", "z"], ["y"], [int("axis", 1)]),
      ],
    };
    expect(refusal(() => load(init))).toMatch(/^SHAPE_MISMATCH: Concat node "y".*the file fixes its batch to 2/);
  });
});

describe("which axis holds the samples", () => {
  const axesOf = (inputs: readonly ReturnType<typeof valueInfo>[], dimensions: Record<string, number> = {}) =>
    load({ inputs: [...inputs], nodes: [node("Neg", [inputs[0]?.name ?? ""], ["y"])] }, { dimensions }).sampleAxes;
  type Case = [string, ReturnType<typeof valueInfo>[], object, Record<string, number>?];
  it.each<Case>([
    ["the first, where nothing is said", [valueInfo("x", ["s0", 3])], { x: 0 }],
    ["one called the batch", [valueInfo("x", [7, "batch_size", 3])], { x: 1 }],
    ["the first, where two could be", [valueInfo("x", ["N", "batch"])], { x: 0 }, { batch: 3 }],
    [
      "none, for an input of fixed shape beside open ones",
      [valueInfo("x", ["b", 3]), valueInfo("m", [1, 3])],
      { x: 0, m: null },
    ],
    ["the first of all that fix the same batch", [valueInfo("x", [2, 3]), valueInfo("m", [2])], { x: 0, m: 0 }],
    [
      "none, where another size is fixed than the first input's",
      [valueInfo("x", [1, 3]), valueInfo("m", [5, 3])],
      { x: 0, m: null },
    ],
    ["none, for an input without axes", [valueInfo("x", ["b", 3]), valueInfo("t", [])], { x: 0, t: null }],
  ])("%s", (_, inputs, axes, dimensions) => {
    expect(axesOf(inputs, dimensions)).toEqual(axes);
  });
});

describe("a sample axis that the file fixes, while it leaves another open", () => {
  const init = (dims: readonly (number | string)[]): FileInit => ({
    inputs: [valueInfo("x", dims)],
    initializers: [initializer("w", floats([3, 2], 1, 2, 3, 4, 5, 6))],
    nodes: [node("MatMul", ["x", "w"], ["y"]), node("Softmax", ["y"], ["z"], [int("axis", 0)])],
    outputs: ["z"],
  });
  it("is not taken where another is called N, as the docs call it", () => {
    expect(load(init([4, "N", 3])).sampleAxes).toEqual({ x: 1 });
  });
  it("is what the message blames: the guess, or what the user said", () => {
    const message = refusal(() => load(init([4, "T", 3]), { dimensions: { T: 5 } }));
    expect(message).toContain(
      'the samples of "x" are assumed to lie along axis 0, which the file fixes to 4; if they lie along axis 1 ("T"), say so: sampleAxes: { x: 1 }',
    );
    expect(load(init([4, "batch", 3])).sampleAxes).toEqual({ x: 1 });
    const given = refusal(() => load(init(["N", 3, 3]), { sampleAxes: { x: 2 }, dimensions: { N: 5 } }));
    expect(given).toContain(
      'sampleAxes: { x: 2 } says that the samples of "x" lie along axis 2, which the file fixes to 3, and leaves axis 0 ("N") open',
    );
  });
});

it("an unknown size of another axis is still asked for", () => {
  const init = { inputs: [valueInfo("x", ["batch", "time"])], nodes: [node("Neg", ["x"], ["y"])] };
  expect(() => load(init)).toThrow(PergradError);
  expect(refusal(() => load(init))).toContain("dimensions: { time: 128 }");
});

it("Squeeze and pads written for one batch size keep their meaning", () => {
  const squeeze = {
    inputs: [valueInfo("x", [1, 1, 3])],
    initializers: [shapeInts("a", 1)],
    nodes: [node("Squeeze", ["x", "a"], ["y"])],
  };
  expect(shapeOf(squeeze)).toBe("[N, 3]");
  const transpose = {
    inputs: [valueInfo("x", [1, 2, 3])],
    nodes: [node("Transpose", ["x"], ["y"], [ints("perm", [1, 0, 2])])],
  };
  expect(shapeOf(transpose)).toBe("[2, N, 3]");
});

describe("a batch that is declared open beside numbers made for one size", () => {
  const open = (shape: readonly number[]): FileInit => ({
    inputs: [valueInfo("x", ["batch", 6])],
    initializers: [shapeInts("shape", ...shape)],
    nodes: [node("Reshape", ["x", "shape"], ["y"])],
  });
  it.each([
    [1, [1, 2, 3], "[N, 2, 3]"],
    [2, [2, 3, 2], "[N, 3, 2]"],
    [5, [5, 6], "[N, 6]"],
    [4, [8, 3], "[N*2, 3]"],
  ])("is read as made for %i where a Reshape holds %j", (size, shape, expected) => {
    const model = load(open(shape));
    expect(showShape(model.graph.outputs[0]?.value.shape ?? [])).toBe(expected);
    expect(model.notes.join()).toContain(`made for a batch of ${size} (Reshape node "y"`);
  });
  it("stays refused where no size explains the numbers", () => {
    expect(refusal(() => load(open([7, 11])))).toMatch(/^SHAPE_MISMATCH: Reshape node "y" cannot turn \[N, 6\] into/);
  });
  it("is of the size that the user gives for it", () => {
    expect(refusal(() => load(open([3000, 3])))).toMatch(/^SHAPE_MISMATCH/);
    const model = load(open([3000, 3]), { dimensions: { batch: 1500 } });
    expect(model.notes.join()).toContain("made for a batch of 1500");
  });
  it("an initial state and a repeated token of one sample are each sample's", async () => {
    const init: FileInit = {
      inputs: [valueInfo("x", ["batch", 2, 3])],
      initializers: [initializer("token", floats([1, 1, 3], 1, 2, 3)), shapeInts("shape", 1, 1, 3)],
      nodes: [node("Expand", ["token", "shape"], ["t"]), node("Concat", ["t", "x"], ["y"], [int("axis", 1)])],
    };
    const model = load(init);
    expect(showShape(model.graph.outputs[0]?.value.shape ?? [])).toBe("[N, 3, 3]");
    expect((await outputOf(model, { x: waves([2, 2, 3]) })).dims).toEqual([2, 3, 3]);
  });
  it("samples that meet are told of where the output is used", () => {
    const init: FileInit = {
      inputs: [valueInfo("x", ["batch", 6])],
      nodes: [node("Softmax", ["x"], ["y"], [int("axis", 0)])],
    };
    expect(refusal(() => load(init))).toBe("no error");
  });
});
