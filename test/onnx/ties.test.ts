/** Weights that a file stores twice: found, tied, and written back as both. */
import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ModelProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import type { Model } from "../../src/graph/model.js";
import { losses, perSample, want, withParameters } from "../../src/index.js";
import type { LoadOptions } from "../../src/onnx/read/load-options.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { programOf } from "../../src/onnx/write/model-program.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { type FileInit, file, floats, initializer, int, int64s, ints, node, run, tensor, valueInfo } from "./models.js";

const load = (init: FileInit, options: LoadOptions = {}) =>
  modelOf(file({ inputs: [valueInfo("x", ["N", 3])], ...init }), "m.onnx", options);
const saved = (model: Model) => encodeModel(programOf(model));
const storedIn = (bytes: Uint8Array) =>
  fromBinary(ModelProtoSchema, bytes).graph?.initializer.map(({ name }) => name) ?? [];

/** Numbers that look trained. */
const trained = (dims: readonly number[], seed = 1): Tensor<"float32"> =>
  floats(dims, ...Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin(12.9898 * (i + seed))));

function permuted({ dims, data }: Tensor<"float32">, permutation: readonly number[]): Tensor<"float32"> {
  const to = permutation.map((axis) => dims[axis] as number);
  const strides = dims.map((_, axis) => sizeOf(dims.slice(axis + 1)));
  const from = (at: number) => {
    let [rest, place] = [at, 0];
    for (let axis = to.length - 1; axis >= 0; axis--) {
      place += (rest % (to[axis] as number)) * (strides[permutation[axis] as number] as number);
      rest = Math.floor(rest / (to[axis] as number));
    }
    return data[place] as number;
  };
  return floats(to, ...Array.from(data, (_, at) => from(at)));
}

/** y = sum of w * x over all, plus that of the other one: each weight is read once. */
const both = (
  first: Tensor<"float32">,
  second: Tensor<"float32">,
  names = ["emb.weight", "onnx::MatMul_7"],
): FileInit => ({
  inputs: [valueInfo("x", ["N", sizeOf(first.dims)])],
  initializers: [
    initializer(names[1] as string, second),
    initializer(names[0] as string, first),
    initializer("row", int64s(1, -1)),
    initializer("axis", int64s(1)),
  ],
  nodes: [
    node("Reshape", [names[0] as string, "row"], ["a"]),
    node("Reshape", [names[1] as string, "row"], ["b0"]),
    node("Tanh", ["b0"], ["b"]),
    node("Mul", ["x", "a"], ["xa"]),
    node("Mul", ["xa", "b"], ["xb"]),
    node("ReduceSum", ["xb", "axis"], ["y"], [int("keepdims", 1)]),
  ],
});

async function gradientsOf(model: Model): Promise<Readonly<Record<string, { readonly data: Float32Array }>>> {
  const program = await perSample(model, { loss: losses.mse(), want: { gradients: want.gradients() } });
  const width = model.graph.inputs[0]?.shape[1] as number;
  const { gradients } = await program.run({ x: trained([2, width], 5), target: floats([2, 1], 0, 1) });
  await program.release();
  return gradients;
}

const shapes = fc
  .array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 })
  .filter((dims) => sizeOf(dims) >= 6)
  .chain((dims) =>
    fc.record({
      dims: fc.constant(dims),
      permutation: fc.shuffledSubarray(
        dims.map((_, axis) => axis),
        { minLength: dims.length },
      ),
      ones: fc.boolean(),
    }),
  );

describe("a weight stored a second time, in any order of its axes", () => {
  it("is one parameter, whose gradient is that of both uses", () =>
    fc.assert(
      fc.asyncProperty(shapes, async ({ dims, permutation, ones }) => {
        const first = trained(dims);
        const turned = permuted(first, permutation);
        const second = ones ? floats([1, ...turned.dims, 1], ...turned.data) : turned;
        const tied = load(both(first, second));
        expect(Object.keys(tied.parameters)).toEqual(["emb.weight"]);
        expect(tied.notes.join()).toContain("onnx::MatMul_7 repeats emb.weight");
        const apart = load(both(first, second), { tie: false });
        expect(Object.keys(apart.parameters)).toEqual(["onnx::MatMul_7", "emb.weight"]);
        const [one, two] = [await gradientsOf(tied), await gradientsOf(apart)];
        const size = first.data.length;
        for (let n = 0; n < 2; n++) {
          const part = (name: string) => two[name]?.data.slice(n * size, (n + 1) * size) ?? new Float32Array();
          // Back to the first one's order: the numbers of the places, permuted like the weight, tell from where.
          const places = permuted(floats(dims, ...first.data.keys()), permutation).data;
          const sum = Array.from(part("emb.weight"));
          places.forEach((place, at) => {
            sum[place] = (sum[place] as number) + (part("onnx::MatMul_7")[at] as number);
          });
          sum.forEach((expected, i) => {
            expect(one["emb.weight"]?.data[n * size + i]).toBeCloseTo(expected, 4);
          });
        }
        const changed = withParameters(tied, { "emb.weight": trained(dims, 9) });
        const bytes = saved(changed);
        expect(storedIn(bytes).slice().sort()).toEqual(expect.arrayContaining(["emb.weight", "onnx::MatMul_7"]));
        const again = modelOf(bytes, "again.onnx", { tie: false });
        const wanted = permuted(trained(dims, 9), permutation);
        expect([...(again.parameters["onnx::MatMul_7"]?.data ?? [])]).toEqual([...wanted.data]);
        expect(again.parameters["onnx::MatMul_7"]?.dims).toEqual(second.dims);
        expect(Object.keys(modelOf(bytes, "again.onnx", {}).parameters)).toEqual(["emb.weight"]);
      }),
      { numRuns: 25 },
    ));

  it.each<[string, Tensor<"float32">, Tensor<"float32">, string[]]>([
    ["zeros", floats([4], 0, 0, 0, 0), floats([4], 0, 0, 0, 0), ["a.bias", "b.bias"]],
    ["ones", floats([4], 1, 1, 1, 1), floats([4], 1, 1, 1, 1), ["a.weight", "onnx::Mul_3"]],
    ["a fresh constant", floats([4], 0.02, 0.02, 0.02, 0.02), floats([4], 0.02, 0.02, 0.02, 0.02), ["first", "second"]],
    ["steps", floats([6], 0, 0.2, 0.4, 0.6, 0.8, 1), floats([6], 0, 0.2, 0.4, 0.6, 0.8, 1), ["first", "second"]],
    ["fresh clones of a layer", trained([4]), trained([4]), ["layers.0.weight", "layers.1.weight"]],
    ["all but one element", trained([4]), floats([4], ...trained([4]).data.slice(0, 3), 0.123456), ["first", "second"]],
    [
      "the same elements, otherwise ordered",
      trained([2, 3]),
      floats([2, 3], ...[...trained([2, 3]).data].reverse()),
      ["first", "second"],
    ],
  ])("%s are no evidence", (_, first, second, names) => {
    expect(Object.keys(load(both(first, second, names)).parameters).sort()).toEqual([...names].sort());
  });

  it("the inputs of one layer are different ones", () => {
    const init: FileInit = {
      initializers: [initializer("scale", trained([3])), initializer("shift", trained([3]))],
      nodes: [node("LayerNormalization", ["x", "scale", "shift"], ["y"])],
    };
    expect(Object.keys(load(init).parameters)).toEqual(["scale", "shift"]);
  });

  it("fresh clones are named in a note", () => {
    const model = load(both(trained([4]), trained([4]), ["layers.0.weight", "layers.1.weight"]));
    expect(model.notes.join()).toContain("equal but not tied, being the same part of different layers");
  });

  it("a function's own weight is one at all its calls, whatever it holds", () => {
    const value = floats([3, 3], 1, 0, 0, 0, 1, 0, 0, 0, 1);
    const layer = {
      name: "Layer",
      domain: "local",
      opsetImport: [{ domain: "", version: 21n }],
      input: ["a"],
      output: ["b"],
      node: [node("Constant", [], ["w"], [tensor("value", value)]), node("MatMul", ["a", "w"], ["b"])],
    };
    const call = (input: string, output: string) => ({
      ...node("Layer", [input], [output]),
      domain: "local",
      name: output,
    });
    const model = load({ functions: [layer], nodes: [call("x", "h"), call("h", "y")] });
    expect(Object.keys(model.parameters)).toHaveLength(1);
  });

  it("takes time in proportion to the file, though all weights look alike at first", () => {
    const count = 400;
    const sparse = (k: number) =>
      floats([1000], ...Array.from({ length: 1000 }, (_, i) => (i < 500 ? 0 : Math.sin(i * (k + 1)))));
    const initializers = Array.from({ length: count }, (_, k) =>
      initializer(`w${String.fromCharCode(97 + (k % 26))}.${k}.v`, sparse(k)),
    );
    const nodes = initializers.map((each, k) =>
      node("Add", [k === 0 ? "x" : `h${k - 1}`, each.name ?? ""], [k === count - 1 ? "y" : `h${k}`]),
    );
    const model = load({ inputs: [valueInfo("x", ["N", 1000])], initializers, nodes });
    expect(Object.keys(model.parameters)).toHaveLength(count);
  });
});

describe("a saved model", () => {
  it("keeps every floating-point initializer, unfolded, and is read back as the same", async () => {
    const init: FileInit = {
      initializers: [
        initializer("w", trained([3])),
        initializer("running_mean", floats([3], 0.1, 0.2, 0.3)),
        initializer("scale", floats([3], 4, 9, 16)),
        initializer("clip_max", floats([], 6)),
        initializer("attn.mask", floats([3], 1, 0, 1)),
      ],
      nodes: [
        node("Sqrt", ["attn.mask"], ["m"]),
        node("Sub", ["x", "running_mean"], ["a"]),
        node("Mul", ["a", "m"], ["b"]),
        node("Mul", ["b", "w"], ["c"]),
        node("Clip", ["c", "", "clip_max"], ["d"]),
        node("Mul", ["d", "scale"], ["y"]),
      ],
    };
    const model = load(init);
    const bytes = saved(model);
    expect(storedIn(bytes).sort()).toEqual(["attn.mask", "clip_max", "running_mean", "scale", "w"]);
    expect(fromBinary(ModelProtoSchema, bytes).graph?.node.map(({ opType }) => opType)).toContain("Sqrt");
    const x = trained([2, 3], 4);
    const original = file({ inputs: [valueInfo("x", ["N", 3])], ...init });
    expect((await run(bytes, { x })).y?.data).toEqual((await run(original, { x })).y?.data);
    const again = modelOf(bytes, "again.onnx", {});
    expect(again.parameters).toEqual(model.parameters);
    expect(Object.keys(again.constants ?? {}).sort()).toEqual(Object.keys(model.constants ?? {}).sort());
  });

  it("keeps weights that were made parameters, and those of outputs that it cannot compute", () => {
    const init: FileInit = {
      initializers: [initializer("attn.mask", floats([3], 0, 1, 1)), initializer("w", trained([3]))],
      nodes: [node("Mul", ["x", "attn.mask"], ["y"]), node("Strange", ["x", "w"], ["z"])],
      outputs: ["y", "z"],
    };
    const bytes = saved(load(init, { parameters: ["attn.mask"] }));
    expect(storedIn(bytes).sort()).toEqual(["attn.mask", "w"]);
    expect(Object.keys(modelOf(bytes, "again.onnx", {}).parameters)).toEqual(["attn.mask"]);
  });

  it("of convolutions keeps the statistics of batch normalisation", () => {
    const names = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"];
    const init: FileInit = {
      inputs: [valueInfo("x", ["N", 2, 4, 4])],
      initializers: [
        initializer("conv.weight", trained([2, 2, 3, 3])),
        ...names.map((name, k) => initializer(name, floats([2], 1 + k, 2 + k))),
      ],
      nodes: [
        node("Conv", ["x", "conv.weight"], ["c"], [ints("kernel_shape", [3, 3])]),
        node("BatchNormalization", ["c", ...names], ["y"]),
      ],
    };
    expect(storedIn(saved(load(init))).sort()).toEqual(["conv.weight", ...names].sort());
  });
});
