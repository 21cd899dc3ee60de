/** Checks that every operator must pass, on a node with given data. */
import fc from "fast-check";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { expect } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { plain, reverse } from "../../src/autodiff/reverse.js";
import { batchOver } from "../../src/autodiff/vmap.js";
import type { Array64 } from "../../src/float64/array64.js";
import { array64, stridesOf, zeros64 } from "../../src/float64/array64.js";
import { type Dim, N } from "../../src/graph/dim.js";
import { type Attributes, constantValue, leaf, type Node, type Value } from "../../src/graph/value.js";
import { Evaluator, evaluateGraph } from "../../src/interpret/evaluate.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { arrayOf, type DType, isFloat, sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { sessionOptions } from "./session-options.js";

export interface OpInput {
  readonly dims: readonly number[];
  readonly data: readonly number[];
  /** float32 where not given. */
  readonly dtype?: DType;
  /** Part of the graph, not fed: axes, shapes, flags. */
  readonly constant?: boolean;
  /** The same for every sample and in every batch: a scale, a bound. */
  readonly shared?: boolean;
}

/** One node with its data. */
export interface OpCase {
  readonly op: string;
  /** "" (the default) is ONNX's default domain. */
  readonly domain?: string;
  readonly inputs: readonly (OpInput | null)[];
  readonly attributes?: Attributes;
  readonly outputs?: number;
}

const dtypeOf = (input: OpInput): DType => input.dtype ?? "float32";

export function typed({ dims, data }: { dims: readonly number[]; data: ArrayLike<number> }, dtype: DType): Tensor {
  const big = dtype === "int64" || dtype === "uint64";
  const typed = big ? BigInt64Array.from(data, BigInt) : (arrayOf(dtype) as Float32ArrayConstructor).from(data);
  return { dtype, dims, data: typed } as Tensor;
}

interface Built {
  readonly node: Node;
  readonly inputs: readonly (Value | null)[];
  readonly feeds: Map<Value, Array64>;
}

/** `extend` gives the shape of a fed input. */
function make(test: OpCase, extend: (input: OpInput) => readonly Dim[] = (input) => input.dims, prefix = "x"): Built {
  const feeds = new Map<Value, Array64>();
  const inputs = test.inputs.map((input, k) => {
    if (!input) return null;
    if (input.constant) return constantValue(typed(input, dtypeOf(input)));
    const value = leaf(`${prefix}${k}`, { dtype: dtypeOf(input), shape: extend(input) }, { kind: "input" });
    feeds.set(value, array64(input.dims, input.data));
    return value;
  });
  return {
    node: build.node(test.op, inputs, test.attributes, test.outputs, { domain: test.domain ?? "" }),
    inputs,
    feeds,
  };
}

/** Numbers in -1..1 that are neither round nor equal. */
function arbitrary(dims: readonly number[], seed: number): Array64 {
  return array64(
    dims,
    zeros64(dims).data.map((_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233)),
  );
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what = ""): void {
  expect(actual.length, what).toBe(expected.length);
  const scale = Math.max(1, ...Array.from(expected, (x) => (Number.isFinite(x) ? Math.abs(x) : 0)));
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i] as number, expected[i] as number];
    if (Object.is(a, b) || Math.abs(a - b) <= tolerance * scale) continue;
    expect.fail(
      `${what} [${i}]: ${a} is not ${b} (of ${Array.from(actual).join()} and ${Array.from(expected).join()})`,
    );
  }
}

/** The vector-Jacobian product against differences of fourth order. Points must be 2*step from any kink. */
export function checkDerivative(test: OpCase, step = 3e-4, tolerance = 1e-8): void {
  const { node, inputs, feeds } = make(test);
  const outputs = node.outputs.filter((output) => isFloat(output.dtype));
  const seeds = new Map(outputs.map((output) => [output, leaf("dy", output, { kind: "input" })]));
  const shapes = evaluateGraph(outputs, feeds, 1).map(({ dims }) => dims);
  const weights = shapes.map((dims, k) => arbitrary(dims, k));
  const targets = inputs.filter((input): input is Value => input !== null && feeds.has(input) && isFloat(input.dtype));
  const found = reverse(seeds, new Set(targets), plain);
  const seeded = new Map([...feeds, ...[...seeds.values()].map((seed, k) => [seed, weights[k] as Array64] as const)]);
  const { evaluate } = new Evaluator();
  const weighted = (changed: ReadonlyMap<Value, Array64>): number =>
    evaluate(outputs, changed, 1).reduce((sum, { data }, k) => {
      return data.reduce((inner, y, i) => inner + y * (weights[k]?.data[i] as number), sum);
    }, 0);
  for (const target of targets) {
    const at = feeds.get(target) as Array64;
    const moved = (i: number, by: number) => {
      const data = at.data.map((x, k) => (k === i ? x + by : x));
      return weighted(new Map([...feeds, [target, array64(at.dims, data)]]));
    };
    const differences = at.data.map((_, i) => {
      const near = moved(i, step) - moved(i, -step);
      const far = moved(i, 2 * step) - moved(i, -2 * step);
      return (8 * near - far) / (12 * step);
    });
    const cotangent = found.get(target);
    const [actual] = cotangent ? evaluateGraph([cotangent], seeded, 1) : [zeros64(at.dims)];
    expect(actual?.dims).toEqual(at.dims);
    expectClose(actual?.data ?? [], differences, tolerance, `cotangent of input ${target.name}`);
  }
}

/** One more leading axis gives what a loop over it gives. */
export function checkBatch(test: OpCase, size: number, flags: readonly boolean[]): void {
  const { node, inputs, feeds } = make(test);
  const fed = inputs.flatMap((input, k) => (input && feeds.has(input) ? [{ input, k }] : []));
  const chosen = fed.filter(({ k }) => flags[k % flags.length]);
  const batched = chosen.length > 0 ? chosen : fed.slice(0, 1);
  if (batched.length === 0) return;
  const replacements = new Map<Value, Value>();
  const all = new Map(feeds);
  const partsOf = new Map<Value, Array64[]>();
  for (const { input } of batched) {
    const { dims, data } = feeds.get(input) as Array64;
    const wide = leaf(`${input.name}b`, { dtype: input.dtype, shape: [size, ...input.shape] }, { kind: "input" });
    // Sample b holds the elements of the case, moved on by b places.
    const parts = Array.from({ length: size }, (_, b) =>
      array64(
        dims,
        data.map((_x, i) => data[(i + b) % data.length] as number),
      ),
    );
    replacements.set(input, wide);
    partsOf.set(input, parts);
    all.set(
      wide,
      array64(
        [size, ...dims],
        parts.flatMap((part) => [...part.data]),
      ),
    );
  }
  const results = batchOver(node.outputs, replacements);
  const loop = Array.from({ length: size }, (_, b) => {
    const own = [...partsOf].map(([input, parts]) => [input, parts[b] as Array64] as const);
    return evaluateGraph(node.outputs, new Map([...feeds, ...own]), 1);
  });
  node.outputs.forEach((output, k) => {
    const expected = loop.map((outputs) => outputs[k] as Array64);
    const dims = expected[0]?.dims ?? [];
    const result = results[k];
    // An output that depends on no batched input has no new axis, and is the same for all.
    if (!result) {
      expectClose(expected[size - 1]?.data ?? [], expected[0]?.data ?? [], 0, `output ${k}`);
      return;
    }
    const [actual] = evaluateGraph([result], all, 1);
    expect(actual?.dims).toEqual([size, ...dims]);
    expect(result.shape, "the inferred shape").toEqual([size, ...dims]);
    expect(result.dtype).toBe(output.dtype);
    const slices = expected.flatMap((array) => [...array.data]);
    expectClose(actual?.data ?? [], slices, 1e-12, `output ${k}`);
  });
}

/** The index along `axis`, and so the sample, of each element. */
function sampleOf(dims: readonly number[], axis: number, inner: number, samples: number): number[] {
  const stride = stridesOf(dims)[axis] as number;
  const along = dims[axis] as number;
  return Array.from({ length: sizeOf(dims) }, (_, i) => Math.floor((Math.floor(i / stride) % along) / inner) % samples);
}

/**
 * With the samples at `axis` of each input that is not shared: the op either refuses (throws), or changing
 * one sample changes nothing of the others where its rule says they are.
 */
export function checkSampleAxis(test: OpCase, axis: number, samples = 3): void {
  const rank = Math.max(
    ...test.inputs.map((input) => (input?.constant || input?.shared ? 0 : (input?.dims.length ?? 0))),
  );
  const carries = (input: OpInput) => !input.constant && !input.shared && input.dims.length === rank;
  const spread = <T>(dims: readonly T[], at: T) => [...dims.slice(0, axis), at, ...dims.slice(axis + 1)];
  const { node, inputs, feeds } = make(test, (input) => (carries(input) ? spread<Dim>(input.dims, N) : input.dims));
  const given = inputs.filter((input, k) => input && test.inputs[k] && carries(test.inputs[k]));
  const axes = new SampleAxes(new Map(given.map((input) => [input as Value, axis])));
  const places = node.outputs.map((output) => axes.of(output));
  const data = (seed: number) =>
    new Map(
      [...feeds].map(([input, array]) => {
        if (!given.includes(input)) return [input, array];
        const dims = spread(array.dims, samples);
        const owner = sampleOf(dims, axis, 1, samples);
        const [same, changed] = [arbitrary(dims, 1), arbitrary(dims, seed)];
        const numbers = same.data.map((x, i) => Math.abs(owner[i] === 1 ? (changed.data[i] as number) : x) + 1);
        return [input, array64(dims, isFloat(input.dtype) ? numbers : numbers.map((x) => Number(x > 1.5)))];
      }),
    );
  const before = evaluateGraph(node.outputs, data(1), samples);
  const after = evaluateGraph(node.outputs, data(2), samples);
  node.outputs.forEach((output, k) => {
    const at = places[k];
    const { dims, data } = before[k] as Array64;
    expect(dims).toEqual(output.shape.map((dim) => (typeof dim === "number" ? dim : dim.perSample * samples)));
    if (!at) {
      expectClose(after[k]?.data ?? [], data, 0, "a shared output");
      return;
    }
    const owner = sampleOf(dims, at.axis, at.inner, samples);
    const others = (array: Float64Array) => array.filter((_, i) => owner[i] !== 1);
    expectClose(others(after[k]?.data ?? new Float64Array()), others(data), 0, "another sample");
  });
}

/** The reference against ONNX Runtime, many cases in one session. */
export async function checkRuntime(tests: readonly OpCase[], tolerance = 2e-5): Promise<void> {
  const rounded = tests.map((test) => ({ ...test, inputs: test.inputs.map((input) => input && inFloat32(input)) }));
  const built = rounded.map((test, k) => make(test, undefined, `c${k}_`));
  const outputs = built.flatMap(({ node }, k) => node.outputs.map((value, i) => ({ name: `y${k}_${i}`, value })));
  const inputs = built.flatMap(({ feeds }) => [...feeds.keys()]);
  const session = await InferenceSession.create(encodeModel({ inputs, outputs }), sessionOptions);
  try {
    const feeds = built.flatMap((one) =>
      [...one.feeds].map(([value, array]) => [value.name, ortTensor(array, value.dtype)]),
    );
    const results = await session.run(Object.fromEntries(feeds));
    built.forEach(({ node, feeds: own }, k) => {
      evaluateGraph(node.outputs, own, 1).forEach(({ dims, data }, i) => {
        const actual = results[`y${k}_${i}`] as OrtTensor;
        expect(actual.dims).toEqual(dims);
        expectClose(Array.from(actual.data as Float32Array, Number), data, tolerance, show(rounded[k] as OpCase));
      });
    });
  } finally {
    await session.release();
  }
}

function inFloat32(input: OpInput): OpInput {
  return isFloat(dtypeOf(input)) ? { ...input, data: input.data.map(Math.fround) } : input;
}

function ortTensor(array: Array64, dtype: DType): OrtTensor {
  const { data } = typed(array, dtype);
  return new OrtTensor(dtype, data as Float32Array, [...array.dims]);
}

const show = (test: OpCase) => JSON.stringify(test);

// Generators

/** Numbers on a grid that keeps off the integers and halves, where kinks and jumps are. */
export const anywhere = fc.integer({ min: -80, max: 80 }).map((i) => i * 0.05 + 0.013);
export const positive = fc.integer({ min: 1, max: 80 }).map((i) => i * 0.05 + 0.013);

export const shape = (minRank = 0, maxRank = 3, most = 3): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 1, max: most }), { minLength: minRank, maxLength: maxRank });

export const filled = (
  dims: readonly number[],
  elements: fc.Arbitrary<number> = anywhere,
  more: Partial<OpInput> = {},
): fc.Arbitrary<OpInput> =>
  fc.array(elements, { minLength: sizeOf(dims), maxLength: sizeOf(dims) }).map((data) => ({ dims, data, ...more }));

/** No two elements are equal. */
export const distinct = (dims: readonly number[]): fc.Arbitrary<OpInput> =>
  fc
    .uniqueArray(fc.integer({ min: -80, max: 80 }), { minLength: sizeOf(dims), maxLength: sizeOf(dims) })
    .map((data) => ({ dims, data: data.map((i) => i * 0.05 + 0.013) }));

/** Dimensions that broadcast to `dims`: some axes of size 1, some leading ones left out. */
export const broadcastable = (dims: readonly number[]): fc.Arbitrary<number[]> =>
  fc
    .tuple(fc.array(fc.boolean(), { minLength: dims.length, maxLength: dims.length }), fc.nat(dims.length))
    .map(([one, drop]) => dims.map((dim, axis) => (one[axis] ? 1 : dim)).slice(drop));

export const ints = (values: readonly number[], dims = [values.length]): OpInput => ({
  dims,
  data: values,
  dtype: "int64",
  constant: true,
});
