/** Checks of whole graphs, on what the rules of operators build. */
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { expect } from "vitest";
import { plainWith, reverse } from "../../src/autodiff/reverse.js";
import { batchOver } from "../../src/autodiff/vmap.js";
import type { Array64 } from "../../src/float64/array64.js";
import { array64, zeros64 } from "../../src/float64/array64.js";
import { constantValue, leaf, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import type { BuildStrategy } from "../../src/ops/build-strategy.js";
import { build } from "../../src/ops/registry.js";
import { simplifyInFloat32 } from "../../src/optimise/simplify.js";
import { aroundFaults } from "../../src/target/onnxruntime/workarounds/index.js";
import { isFloat } from "../../src/tensor/tensor.js";
import { type OpCase, typed } from "./op-checks.js";
import { sessionOptions } from "./session-options.js";

/** Values to compute, with the data that they are computed from. */
export interface Computed {
  readonly outputs: readonly Value[];
  readonly feeds: ReadonlyMap<Value, Array64>;
  readonly samples?: number;
  /** What to show where it goes wrong. */
  readonly what: unknown;
}

const waves = (dims: readonly number[]) =>
  array64(
    dims,
    zeros64(dims).data.map((_, i) => Math.fround(Math.sin(i * 12.9898))),
  );

function fed(test: OpCase, prefix: string): { inputs: (Value | null)[]; feeds: Map<Value, Array64> } {
  const feeds = new Map<Value, Array64>();
  const inputs = test.inputs.map((input, k) => {
    if (!input) return null;
    const dtype = input.dtype ?? "float32";
    if (input.constant) return constantValue(typed(input, dtype));
    const value = leaf(`${prefix}x${k}`, { dtype, shape: input.dims }, { kind: "input" });
    feeds.set(value, array64(input.dims, isFloat(dtype) ? input.data.map(Math.fround) : input.data));
    return value;
  });
  return { inputs, feeds };
}

/** The cotangents of all floating-point inputs that are fed. */
export function derivativeOf(test: OpCase, prefix: string, choices: BuildStrategy = {}): Computed {
  const { inputs, feeds } = fed(test, prefix);
  const node = build.node(test.op, inputs, test.attributes, test.outputs, { domain: test.domain ?? "" });
  const outputs = node.outputs.filter(({ dtype }) => isFloat(dtype));
  const seeds = new Map(outputs.map((output, k) => [output, leaf(`${prefix}dy${k}`, output, { kind: "input" })]));
  for (const seed of seeds.values()) feeds.set(seed, waves(seed.shape as number[]));
  const targets = inputs.filter((input): input is Value => input !== null && feeds.has(input) && isFloat(input.dtype));
  const found = reverse(seeds, new Set(targets), plainWith(build.choosing(choices)));
  return { outputs: targets.flatMap((target) => found.get(target) ?? []), feeds, what: test };
}

/** The graph as ONNX Runtime is given it. */
export function asRun(outputs: readonly Value[]): Value[] {
  return aroundFaults(simplifyInFloat32(outputs));
}

/** The op in the form in which ONNX Runtime is given it. */
export function emittedOf(test: OpCase, prefix: string): Computed {
  const { inputs, feeds } = fed(test, prefix);
  const node = build.node(test.op, inputs, test.attributes, test.outputs, { domain: test.domain ?? "" });
  return { outputs: asRun(node.outputs), feeds, what: test };
}

/** The op with one more leading axis, of size 2, on the inputs that `flags` marks. */
export function batchOf(test: OpCase, flags: readonly boolean[], prefix: string): Computed {
  const { inputs, feeds } = fed(test, prefix);
  const node = build.node(test.op, inputs, test.attributes, test.outputs, { domain: test.domain ?? "" });
  const replacements = new Map<Value, Value>();
  for (const [k, input] of inputs.entries()) {
    const array = input && feeds.get(input);
    if (!input || !array || !flags[k]) continue;
    const wide = leaf(`${input.name}b`, { dtype: input.dtype, shape: [2, ...input.shape] }, { kind: "input" });
    feeds.set(wide, array64([2, ...array.dims], [...array.data, ...[...array.data].reverse()]));
    replacements.set(input, wide);
  }
  const outputs = batchOver(node.outputs, replacements).flatMap((value) => value ?? []);
  return { outputs, feeds, what: { test, flags } };
}

/** ONNX Runtime in float32, on the graph as programs hold it, against the reference; all in one session. */
export async function checkComputed(all: readonly Computed[], tolerance = 2e-5): Promise<void> {
  const outputs = all.flatMap((one, k) => asRun(one.outputs).map((value, i) => ({ name: `y${k}_${i}`, value })));
  if (outputs.length === 0) return;
  const inputs = all.flatMap((one) => [...one.feeds.keys()]);
  const session = await InferenceSession.create(encodeModel({ inputs, outputs }), sessionOptions);
  try {
    const feeds = all.flatMap((one) =>
      [...one.feeds].map(([value, array]) => {
        return [
          value.name,
          new OrtTensor(value.dtype as "float32", typed(array, value.dtype).data as Float32Array, [...array.dims]),
        ] as const;
      }),
    );
    const results = await session.run(Object.fromEntries(feeds));
    for (const [k, one] of all.entries()) {
      for (const [i, { dims, data }] of evaluateGraph(one.outputs, one.feeds, one.samples ?? 1).entries()) {
        const actual = results[`y${k}_${i}`] as OrtTensor;
        expect(actual.dims, JSON.stringify(one.what)).toEqual(dims);
        const scale = Math.max(1, ...data.map(Math.abs));
        const numbers = Array.from(actual.data as Float32Array, Number);
        const worst = numbers.reduce((most, x, at) => Math.max(most, Math.abs(x - (data[at] as number))), 0);
        expect(worst / scale, JSON.stringify(one.what)).toBeLessThan(tolerance);
      }
    }
  } finally {
    await session.release();
  }
}
