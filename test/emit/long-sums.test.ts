/** Sums over long axes are accurate, though the runtime adds up in float32. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bindShape, type Dim, N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { evaluateGraph, toArray64 } from "../../src/interpret/evaluate.js";
import { sumsInBlocks } from "../../src/lower/long-sums.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { simplify } from "../../src/optimise/simplify.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";

const input = (shape: readonly Dim[]): Value => leaf("x", { dtype: "float32", shape }, { kind: "input" });

async function run(value: Value, x: Tensor): Promise<Float32Array> {
  const program = { inputs: [leafOf(value)], outputs: [{ name: "y", value }] };
  const session = await nodeRuntime.load(encodeModel(program), { threads: 1 });
  const { y } = await session.run({ x });
  await session.release();
  return y?.data as Float32Array;
}

function leafOf(value: Value): Value {
  const found = nodesBefore([value]).flatMap((node) => node.inputs);
  return found.find((each) => each?.source.kind === "input") as Value;
}

/** The largest difference from the float64 reference, relative to the largest result. */
async function errorOf(value: Value, shape: readonly Dim[], data: Float32Array): Promise<number> {
  const dims = bindShape(shape, 2);
  const x: Tensor = { dtype: "float32", dims, data };
  const [expected] = evaluateGraph([value], new Map([[leafOf(value), toArray64(x)]]), 2);
  const [emitted] = sumsInBlocks(simplify([value]));
  const found = await run(emitted as Value, x);
  const reference = expected?.data ?? new Float64Array();
  const largest = reference.reduce((most, y) => Math.max(most, Math.abs(y)), 0);
  expect(found.length).toBe(reference.length);
  return found.reduce((most, y, i) => Math.max(most, Math.abs(y - (reference[i] as number))), 0) / (largest || 1);
}

type Form = (x: Value, axis: number) => Value;

const reduction =
  (op: string): Form =>
  (x, axis) =>
    build.reduce(op, x, [axis]);

const lines: Readonly<Record<string, Form>> = {
  ReduceSum: reduction("ReduceSum"),
  ReduceMean: reduction("ReduceMean"),
  ReduceL1: reduction("ReduceL1"),
  ReduceL2: reduction("ReduceL2"),
  ReduceSumSquare: reduction("ReduceSumSquare"),
  ReduceLogSumExp: (x, axis) => build.reduce("ReduceLogSumExp", build.log(x), [axis]),
  CumSum: (x, axis) => build.op("CumSum", [x, build.ints([axis], [])]),
  "CumSum, reverse and exclusive": (x, axis) =>
    build.op("CumSum", [x, build.ints([axis], [])], { reverse: 1, exclusive: 1 }),
  "all axes": (x) => build.sum(x),
};

/** Equal terms are the worst case: then all roundings are of one sign. */
const elements = fc.record({
  offset: fc.double({ min: 0.1, max: 1e4, noNaN: true }),
  spread: fc.constantFrom(0, 1e-3, 0.5),
});

function filled(size: number, { offset, spread }: { readonly offset: number; readonly spread: number }): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => offset * (1 + spread * Math.sin(1.7 * i)));
}

describe("along a long axis", () => {
  it.each(Object.keys(lines))("%s errs by 1e-6 at most", async (name) => {
    const form = lines[name] as Form;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 100_000 }),
        fc.constantFrom<readonly Dim[]>([], [3], [N], [2, 3]),
        fc.constantFrom<readonly number[]>([], [2], [3, 1]),
        elements,
        async (length, before, after, kind) => {
          const shape = [...before, length, ...after];
          const value = form(input(shape), before.length);
          const found = await errorOf(value, shape, filled(sizeOf(bindShape(shape, 2)), kind));
          expect(found).toBeLessThan(length > 1024 ? limit : shortLimit);
        },
      ),
      { numRuns: 6 },
    );
  });

  it("a product errs by little more", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 20_000 }),
        fc.constantFrom<readonly [number, number]>([1, 1], [1, 3], [2, 2], [5, 40], [3, 130]),
        fc.boolean(),
        fc.boolean(),
        elements,
        async (length, [rows, columns], turned, twice, kind) => {
          const shape = [N, rows + columns, length];
          const x = input(shape);
          const left = build.slice(x, 1, 0, rows);
          const right = build.slice(x, 1, rows, rows + columns);
          const a = turned ? build.transposeLast(build.reshape(build.transposeLast(left), [N, length, rows])) : left;
          const b = build.transposeLast(right);
          const value = twice ? build.matmul(build.square(a), build.square(b)) : build.matmul(a, b);
          const found = await errorOf(value, shape, filled(sizeOf(bindShape(shape, 2)), { ...kind, offset: 1 }));
          const vector = rows === 1 || columns === 1;
          expect(found).toBeLessThan(vector || (length > 256 && rows * columns < 10) ? limit : productLimit);
        },
      ),
      { numRuns: 12 },
    );
  });

  it("a wide product is padded only where no number of elements divides its inner axis", async () => {
    // 29 blocks of 599.
    const x = input([N, 17_371]);
    const weights = (length: number) =>
      build.constant({ dtype: "float32", dims: [length, 130], data: filled(length * 130, { offset: 1, spread: 0.5 }) });
    const value = build.matmul(x, weights(17_371));
    const opsOf = (values: readonly Value[]) => nodesBefore(sumsInBlocks(values)).map(({ op }) => op);
    expect(opsOf([value])).toContain("ReduceSum");
    expect(opsOf([value])).not.toContain("Pad");
    expect(opsOf([build.matmul(input([N, 17_377]), weights(17_377))])).toContain("Pad"); // a prime
    expect(await errorOf(value, [N, 17_371], filled(2 * 17_371, { offset: 1, spread: 0 }))).toBeLessThan(1e-6);
  });

  it("a large matrix times itself is the sum of such products of slices, whatever divides its columns", async () => {
    for (const columns of [16_411]) {
      const x = input([N, 128, columns]);
      const value = build.matmul(x, build.transposeLast(x));
      const ops = nodesBefore(sumsInBlocks([value])).map(({ op }) => op);
      expect(ops).toContain("Slice");
      expect(ops).not.toContain("Pad");
      expect(ops).not.toContain("Reshape");
      expect(
        await errorOf(value, [N, 128, columns], filled(2 * 128 * columns, { offset: 1.3, spread: 0 })),
      ).toBeLessThan(3e-6);
    }
  });

  it("samples that are folded with many positions are summed in blocks of these", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 4097, max: 50_000 }),
        fc.integer({ min: 1, max: 4 }),
        elements,
        async (positions, size, kind) => {
          const shape = [{ perSample: positions }, size];
          const x = input(shape);
          const product = build.op("Gemm", [x, x], { transA: 1 });
          expect(await errorOf(product, shape, filled(2 * positions * size, kind))).toBeLessThan(limit);
          const sum = build.sum(x, [0]);
          expect(await errorOf(sum, shape, filled(2 * positions * size, kind))).toBeLessThan(limit);
        },
      ),
      { numRuns: 6 },
    );
  });
});

/** Of results that are sums of terms of one sign. */
const limit = 1e-6;
/** Of sums of up to a thousand terms, which the runtime adds up by itself. */
const shortLimit = 4e-6;
/** Of products whose inner axis the runtime takes in blocks of its own. */
const productLimit = 6e-6;

it("short sums, and the model's own, stay as they are", () => {
  const x = input([N, 1000]);
  const short = build.sum(x, [1]);
  expect(sumsInBlocks([short])[0]).toBe(short);
  const long = build.sum(input([N, 5000]), [1]);
  expect(sumsInBlocks([long], [long])[0]).toBe(long);
  expect(sumsInBlocks([long])[0]).not.toBe(long);
});
