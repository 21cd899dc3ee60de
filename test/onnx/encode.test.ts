/** What encoding writes: names, constants, and shapes that hold the batch. */
import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { type GraphProto, ModelProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { bindShape, type Dim, N, type Shape } from "../../src/graph/dim.js";
import { dimsValue, leaf, makeNode, type Value } from "../../src/graph/value.js";
import { type EncodableProgram, encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { scan } from "../../src/ops/rules/scan.js";
import { present } from "../../src/present.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { floats, refusal, run } from "./models.js";

const inputOf = (name: string, ...shape: Dim[]): Value => leaf(name, { dtype: "float32", shape }, { kind: "input" });
const parameterOf = (name: string, ...shape: Dim[]): Value =>
  leaf(name, { dtype: "float32", shape }, { kind: "parameter" });

function graphOf(program: EncodableProgram): GraphProto {
  const { graph } = fromBinary(ModelProtoSchema, encodeModel(program));
  if (!graph) throw new Error("no graph");
  return graph;
}

const ops = (graph: GraphProto) => graph.node.map(({ opType }) => opType);
const filled = (...dims: number[]) => floats(dims, ...Array.from({ length: sizeOf(dims) }, (_, i) => i));

describe("the file", () => {
  const x = inputOf("x", N, 3);
  const y = build.neg(x);

  it("is of opset 21 and IR version 10, with metadata", () => {
    const bytes = encodeModel({
      inputs: [x],
      outputs: [{ name: "y", value: y }],
      metadata: { loss: "mse" },
      doc: "text",
    });
    const model = fromBinary(ModelProtoSchema, bytes);
    expect(model.irVersion).toBe(10n);
    expect(model.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([["", 21n]]);
    expect(model.metadataProps.map(({ key, value }) => [key, value])).toEqual([["loss", "mse"]]);
    expect(model.docString).toBe("text");
  });

  it("says the batch in its shapes", () => {
    const folded = build.reshape(x, [{ perSample: 3 }]);
    const graph = graphOf({ inputs: [x], outputs: [{ name: "y", value: folded }] });
    const dims = [...graph.input, ...graph.output].map(({ type }) =>
      type?.value.case === "tensorType" ? type.value.value.shape?.dim.map(({ value }) => value.value) : undefined,
    );
    expect(dims).toEqual([["N", 3n], ["N*3"]]);
  });

  it("imports a domain that it uses", () => {
    const value = makeNode({ op: "Gelu", domain: "com.microsoft", name: "", inputs: [x], attributes: {} }, [x])
      .outputs[0] as Value;
    const model = fromBinary(ModelProtoSchema, encodeModel({ inputs: [x], outputs: [{ name: "y", value }] }));
    expect(model.opsetImport.map(({ domain }) => domain)).toEqual(["", "com.microsoft"]);
  });
});

describe("names", () => {
  const x = inputOf("x", N, 3);

  it("are kept where they are unique, and made unique elsewhere", async () => {
    const named = (name: string, input: Value) =>
      build.node("Neg", [input], {}, 1, { outputNames: [name] }).outputs[0] as Value;
    const chain = named("x", named("a", named("a", named("", x))));
    const graph = graphOf({ inputs: [x], outputs: [{ name: "y", value: build.exp(chain) }] });
    expect(graph.node.flatMap(({ output }) => output)).toEqual(["Neg", "a", "a_1", "x_1", "y"]);
  });

  it("of outputs are as asked, also for leaves and for one value under two names", async () => {
    const w = parameterOf("w", 3);
    const y = build.mul(x, w);
    const outputs = [
      { name: "first", value: y },
      { name: "second", value: y },
      { name: "copy", value: x },
      { name: "weight", value: w },
      { name: "x", value: x },
      { name: "five", value: build.scalar(5, x) },
      { name: "again", value: build.neg(y) },
    ];
    const feeds = { x: filled(2, 3) };
    const found = await run(encodeModel({ inputs: [x], outputs, parameters: { w: floats([3], 1, 2, 3) } }), feeds);
    const product = floats([2, 3], 0, 2, 6, 3, 8, 15);
    expect(found).toEqual({
      first: product,
      second: product,
      copy: feeds.x,
      weight: floats([3], 1, 2, 3),
      x: feeds.x,
      five: floats([], 5),
      again: floats([2, 3], -0, -2, -6, -3, -8, -15),
    });
  });

  it("that two things claim are refused", () => {
    const outputs = [{ name: "x", value: build.neg(x) }];
    expect(refusal(() => graphOf({ inputs: [x], outputs }))).toContain('"x" occurs twice');
    const both = [inputOf("x", N), inputOf("x", N)];
    expect(refusal(() => graphOf({ inputs: both, outputs: [] }))).toContain('"x" occurs twice');
  });

  it("of inputs that are not listed are refused", () => {
    const outputs = [{ name: "y", value: build.neg(x) }];
    expect(refusal(() => graphOf({ inputs: [], outputs }))).toContain(
      'MISSING_TENSOR: The program reads the input "x"',
    );
  });
});

describe("parameters and constants", () => {
  const x = inputOf("x", N, 3);
  const w = parameterOf("w", 3);
  const outputs = [{ name: "y", value: build.mul(x, w) }];

  it("parameters are stored where given, else fed", () => {
    const stored = graphOf({ inputs: [x], outputs, parameters: { w: floats([3], 1, 2, 3), other: floats([1], 1) } });
    expect(stored.input.map(({ name }) => name)).toEqual(["x"]);
    expect(stored.initializer.map(({ name }) => name)).toEqual(["w"]);
    const fed = graphOf({ inputs: [x], outputs });
    expect(fed.input.map(({ name }) => name)).toEqual(["x", "w"]);
    const first = graphOf({ inputs: [w, x], outputs, parameters: { w: floats([3], 1, 2, 3) } });
    expect(first.input.map(({ name }) => name)).toEqual(["w", "x"]);
    expect(first.initializer).toEqual([]);
  });

  it("values that do not fit a parameter are refused", () => {
    const store = (tensor: Tensor) => refusal(() => graphOf({ inputs: [x], outputs, parameters: { w: tensor } }));
    expect(store(floats([2], 1, 2))).toContain('SHAPE_MISMATCH: The parameter "w" is [3]');
    expect(store({ dtype: "float64", dims: [3], data: new Float64Array(3) })).toContain("DTYPE_MISMATCH");
  });

  it("equal constants are stored once", () => {
    const two = () => build.scalar(2, x);
    const value = build.add(build.mul(x, two()), build.mul(build.exp(x), two()));
    const other = build.mul(value, build.filled(2, [1], "float32"));
    const graph = graphOf({ inputs: [x], outputs: [{ name: "y", value: other }] });
    expect(ops(graph).filter((op) => op === "Constant")).toHaveLength(2);
    expect(graph.initializer).toEqual([]);
  });
});

describe("shapes that hold the batch", () => {
  const x = inputOf("x", N, 2, 3);

  it("a reshape needs no arithmetic", () => {
    const value = build.exp(build.reshape(build.neg(build.reshape(x, [{ perSample: 2 }, 3])), [N, 6]));
    expect(ops(graphOf({ inputs: [x], outputs: [{ name: "y", value }] }))).toEqual([
      "Reshape",
      "Neg",
      "Reshape",
      "Exp",
    ]);
  });

  it("shape arithmetic that is known is not computed", () => {
    const shape = build.op("Shape", [x], { start: 0, end: 1 });
    const value = build.node("Reshape", [x, build.mul(shape, build.ints([6]))]).outputs[0] as Value;
    expect(ops(graphOf({ inputs: [x], outputs: [{ name: "y", value }] }))).toEqual(["Reshape"]);
  });

  it("is computed once for all that need it", () => {
    const expanded = (value: Value) => build.expand(value, [N, 2, 4]);
    const [a, b] = [expanded(build.scalar(1, x)), expanded(build.scalar(2, x))];
    const graph = graphOf({ inputs: [x], outputs: [{ name: "y", value: build.add(a, b) }] });
    expect(ops(graph)).toEqual(["Constant", "Constant", "Shape", "Concat", "Expand", "Expand", "Add"]);
  });

  it("is refused where no input holds the batch", () => {
    const w = parameterOf("w", 1);
    const outputs = [{ name: "y", value: build.expand(w, [N]) }];
    expect(refusal(() => graphOf({ inputs: [], outputs }))).toContain(
      "INVALID_MODEL: No input of the program holds the samples",
    );
  });

  const dim = fc.oneof(
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 1, max: 3 }).map((perSample) => ({ perSample })),
  );

  it("holds at every batch size, whatever the shapes and the input that tells the size", async () => {
    const shapes = fc.tuple(fc.array(dim, { maxLength: 3 }), fc.integer({ min: 1, max: 3 }), fc.boolean());
    const holds = fc.asyncProperty(shapes, async ([shape, perSample, vector]) => {
      const carrier = inputOf("x", 2, { perSample });
      const ones = vector && shape.length > 0 ? [shape.length > 1 ? 1 : 1] : [];
      const value = build.op("Expand", [build.filled(1, ones, "float32"), dimsValue(shape)]);
      const size = leaf("s", { dtype: "int64", shape: [] }, { kind: "dims", scalar: true, dims: [{ perSample: 2 }] });
      const program = {
        inputs: [carrier],
        outputs: [
          { name: "y", value },
          { name: "size", value: size },
        ],
      };
      const session = await nodeRuntime.load(encodeModel(program), { threads: 1 });
      for (const batch of [0, 1, 5]) {
        const found = await session.run({ x: filled(2, perSample * batch) });
        expect(found.y?.dims).toEqual(bindShape(shape, batch));
        expect(found.size).toEqual({ dtype: "int64", dims: [], data: BigInt64Array.of(BigInt(2 * batch)) });
      }
      await session.release();
    });
    await fc.assert(holds, { numRuns: 40, seed: 5 });
  });

  it("reshapes to any shape at every batch size", async () => {
    const sides = fc.tuple(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }), fc.nat(3), fc.nat(3));
    const holds = fc.asyncProperty(sides, async ([rest, from, to]) => {
      const place = (at: number): Shape => [...rest.slice(0, at), N, ...rest.slice(at)];
      const input = inputOf("x", ...place(from));
      const value = build.exp(build.reshape(input, place(to)));
      const session = await nodeRuntime.load(encodeModel({ inputs: [input], outputs: [{ name: "y", value }] }), {
        threads: 1,
      });
      for (const batch of [0, 1, 3]) {
        const found = await session.run({ x: filled(...bindShape(input.shape, batch)) });
        expect(found.y?.dims).toEqual(bindShape(place(to), batch));
      }
      await session.release();
    });
    await fc.assert(holds, { numRuns: 40, seed: 9 });
  });
});

it("the body of a loop returns what its nodes compute by their own names, and copies only what it passes on", () => {
  const [start, steps] = [inputOf("start", 2), inputOf("steps", 3, 2)];
  const { states, stacked, before } = scan(build, { initial: [start], scanned: [steps] }, ([state], [step]) => {
    const next = build.add(present(state), present(step));
    return { states: [next], results: [build.neg(next), next] };
  });
  const outputs = [...states, ...stacked, ...before].map((value, k) => ({ name: `y${k}`, value }));
  const loop = graphOf({ inputs: [start, steps], outputs }).node.find(({ opType }) => opType === "Scan");
  const body = loop?.attribute.find(({ name }) => name === "body")?.g;
  // The next state is a result of each step, too, and the state before each step is passed on.
  expect(body && ops(body).sort()).toEqual(["Add", "Identity", "Identity", "Neg"]);
});
