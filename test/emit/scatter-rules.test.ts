/** Sums and differences with rows added to zeros are computed without the zeros, and are the same numbers. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { leaf, type Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { addRows } from "../../src/ops/subgraphs/table.js";
import { simplify } from "../../src/optimise/simplify.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import "../support/seed.js";
import { expectClose, numbers } from "../support/per-sample.js";

const input = (name: string, shape: readonly number[], dtype: "float32" | "int64" = "float32") =>
  leaf(name, { dtype, shape }, { kind: "input" });
const floats = (dims: readonly number[], seed: number): Tensor => {
  return { dtype: "float32", dims, data: Float32Array.from(numbers(dims, seed).data) };
};

/** Numbers from the graph as it stands, and from the cleaned one. */
async function bothWays(inputs: readonly Value[], value: Value, feeds: Record<string, Tensor>) {
  const cleaned = simplify([value])[0] as Value;
  const found = [value, cleaned].map(async (each) => {
    const session = await nodeRuntime.load(encodeModel({ inputs, outputs: [{ name: "result", value: each }] }));
    const { result } = await session.run(feeds);
    await session.release();
    return result as Tensor<"float32">;
  });
  return { found: await Promise.all(found), cleaned };
}

/** Updates added to zeros. */
function added(dims: readonly number[], axis: number, places: Value, updates: Value): Value {
  return build.op("ScatterElements", [build.zeros(dims, "float32"), places, updates], { axis, reduction: "add" });
}

interface Drawn {
  readonly dims: number[];
  readonly axis: number;
  readonly picked: number;
  readonly flat: boolean;
}

const shapes = fc.record({
  dims: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
  axis: fc.nat(2),
  picked: fc.integer({ min: 1, max: 5 }),
  flat: fc.boolean(),
});

const forms: Record<string, (scattered: Value, x: Value, y: Value) => Value> = {
  "s + x": (s, x) => build.add(s, x),
  "x + s": (s, x) => build.add(x, s),
  "s - x": (s, x) => build.sub(s, x),
  "x - s": (s, x) => build.sub(x, s),
  "s - x y, where y is smaller": (s, x, y) => build.sub(s, build.mul(x, y)),
  "s + s": (s) => build.add(s, s),
  "s + y, broadcast": (s, _, y) => build.add(s, y),
};

it.each(Object.entries(forms))("%s", async (_, form) => {
  const check = async ({ dims, axis: drawn, picked, flat }: Drawn) => {
    const axis = drawn % dims.length;
    const own = dims.map((dim, k) => (k === axis ? picked : dim));
    const [places, updates, x] = [
      input("places", own, "int64"),
      input("updates", own),
      input("x", flat ? [sizeOf(dims)] : dims),
    ];
    const y = input("y", flat ? [1] : dims.map(() => 1));
    const scattered = added(dims, axis, places, updates);
    const value = form(flat ? build.reshape(scattered, [sizeOf(dims)]) : scattered, x, y);
    const data = BigInt64Array.from({ length: sizeOf(own) }, (_, k) => BigInt((k * 5) % (dims[axis] as number)));
    const feeds = {
      places: { dtype: "int64", dims: own, data } as Tensor,
      updates: floats(own, 1),
      x: floats(x.shape.map(Number), 2),
      y: floats(y.shape.map(Number), 3),
    };
    const used = [places, updates, x, y].filter((each) =>
      nodesBefore([value]).some(({ inputs }) => inputs.includes(each)),
    );
    const {
      found: [plain, other],
    } = await bothWays(
      used,
      value,
      Object.fromEntries(used.map(({ name }) => [name, feeds[name as keyof typeof feeds]])),
    );
    expectClose(other?.data ?? [], plain?.data ?? [], 1e-6, "cleaned");
  };
  await fc.assert(fc.asyncProperty(shapes, check), { numRuns: 12 });
});

it("a sum along the places' axis reads the updates alone; along another, the table", async () => {
  const [places, updates] = [input("places", [2, 3], "int64"), input("updates", [2, 3])];
  const scattered = added([2, 4], 1, places, updates);
  const feeds = {
    places: { dtype: "int64", dims: [2, 3], data: BigInt64Array.of(0n, 0n, 3n, 1n, 2n, 1n) } as Tensor,
    updates: floats([2, 3], 4),
  };
  for (const [axes, spared] of [
    [[1], true],
    [[0, 1], true],
    [[0], false],
  ] as const) {
    const {
      found: [plain, other],
      cleaned,
    } = await bothWays([places, updates], build.sum(scattered, axes), feeds);
    expectClose(other?.data ?? [], plain?.data ?? [], 1e-6, `over ${axes}`);
    expect(nodesBefore([cleaned]).some(({ op }) => op === "ScatterElements")).toBe(!spared);
  }
});

it("no zeros are written for what a tensor is added to", () => {
  const [places, updates, x] = [input("places", [3], "int64"), input("updates", [3]), input("x", [5])];
  const scattered = added([5], 0, places, updates);
  const [value] = simplify([build.add(scattered, x)]);
  expect(nodesBefore([value as Value]).map(({ op }) => op)).toEqual(["ScatterElements"]);
});

it("updates that cover only part of the other axes are not summed alone", async () => {
  const [places, updates] = [input("places", [1, 2], "int64"), input("updates", [1, 2])];
  const scattered = added([3, 4], 1, places, updates);
  const feeds = {
    places: { dtype: "int64", dims: [1, 2], data: BigInt64Array.of(1n, 1n) } as Tensor,
    updates: floats([1, 2], 4),
  };
  const {
    found: [plain, other],
  } = await bothWays([places, updates], build.sum(scattered, [1]), feeds);
  expect(other?.dims).toEqual([3]);
  expectClose(other?.data ?? [], plain?.data ?? [], 1e-6, "partly covered");
});

describe("whole rows, at a place for each", () => {
  const [places, updates, x] = [input("places", [4], "int64"), input("updates", [4, 2]), input("x", [3, 2])];
  const feeds = {
    places: { dtype: "int64", dims: [4], data: BigInt64Array.of(2n, 0n, 2n, -3n) } as Tensor,
    updates: floats([4, 2], 1),
    x: floats([3, 2], 2),
  };
  const table = addRows(build, places, updates, 3);
  const cases: Record<string, { readonly value: Value; readonly left: readonly string[] }> = {
    "a + x": { value: build.add(table, x), left: ["AddRows"] },
    "x - a": { value: build.sub(x, table), left: ["Neg", "AddRows"] },
    "the sum of all": { value: build.sum(build.add(table, x), [0, 1]), left: ["AddRows", "ReduceSum", "Reshape"] },
    "the sum of a along its rows": { value: build.add(build.sum(table, [0]), build.sum(x, [0])), left: [] },
  };

  it.each(Object.entries(cases))("%s", async (_, { value, left }) => {
    const {
      found: [plain, other],
      cleaned,
    } = await bothWays([places, updates, x], value, feeds);
    expectClose(other?.data ?? [], plain?.data ?? [], 1e-6, "cleaned");
    const operators = nodesBefore([cleaned]).map(({ op }) => op);
    if (left.length > 0) expect(operators).toEqual(left);
    else expect(operators).not.toContain("AddRows");
  });
});
