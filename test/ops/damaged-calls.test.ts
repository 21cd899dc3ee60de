/**
 * Calls that are damaged: an input left out, of another rank, an attribute too short. ONNX allows some of them (what is
 * optional may be absent), and files hold the others; either way no rule contradicts itself, and none fails otherwise.
 */
import fc from "fast-check";
import { describe, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { plain, reverse } from "../../src/autodiff/reverse.js";
import { batchOver } from "../../src/autodiff/vmap.js";
import { PergradError } from "../../src/errors.js";
import { type Array64, array64 } from "../../src/float64/array64.js";
import { type Dim, N } from "../../src/graph/dim.js";
import { constantValue, leaf, type Node, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build } from "../../src/ops/registry.js";
import { isFloat, sizeOf } from "../../src/tensor/tensor.js";
import { type OpCase, type OpInput, typed } from "../support/op-checks.js";
import { graphTable } from "../support/random-graph/cases.js";

/** What is done to a call, drawn as numbers. */
interface Damage {
  readonly kind: "omit" | "truncate" | "rank" | "scalar" | "attribute" | "outputs";
  readonly place: number;
  readonly amount: number;
}

const damages: fc.Arbitrary<Damage> = fc.record({
  kind: fc.constantFrom("omit", "truncate", "rank", "scalar", "attribute", "outputs"),
  place: fc.nat(11),
  amount: fc.integer({ min: -2, max: 2 }),
});

function ofDims(input: OpInput, dims: readonly number[]): OpInput {
  const { data } = input;
  return { ...input, dims, data: Array.from({ length: sizeOf(dims) }, (_, k) => data[k % data.length] ?? 0) };
}

/** The dimensions with axes more or fewer. */
function ranked(dims: readonly number[], amount: number): number[] {
  if (amount > 0) return [...Array<number>(amount).fill(2), ...dims];
  return dims.slice(amount === 0 ? -1 : -amount);
}

function damaged(test: OpCase, { kind, place, amount }: Damage): OpCase {
  const at = place % Math.max(1, test.inputs.length);
  const changed = (change: (input: OpInput) => OpInput | null): OpCase => ({
    ...test,
    inputs: test.inputs.map((input, k) => (k === at && input ? change(input) : input)),
  });
  switch (kind) {
    case "omit":
      return changed(() => null);
    case "truncate":
      return { ...test, inputs: test.inputs.slice(0, at) };
    case "rank":
      return changed((input) => ofDims(input, ranked(input.dims, amount)));
    case "scalar":
      return changed((input) => ofDims(input, []));
    case "outputs":
      return { ...test, outputs: 1 + (place % 4) };
    case "attribute": {
      const entries = Object.entries(test.attributes ?? {});
      const own = place % Math.max(1, entries.length);
      const broken = entries.map(([name, value], k) => {
        if (k !== own) return [name, value] as const;
        if (typeof value === "number") return [name, value + amount] as const;
        return [name, Array.isArray(value) ? value.slice(0, Math.max(0, amount)) : value] as const;
      });
      return { ...test, attributes: Object.fromEntries(amount === 0 ? entries.toSpliced(own, 1) : broken) };
    }
  }
}

interface Made {
  readonly node: Node;
  readonly feeds: ReadonlyMap<Value, Array64>;
}

/** @param samples whether the first axis of the first input carries the samples */
function made({ op, domain = "", inputs, attributes, outputs }: OpCase, samples = false): Made {
  const feeds = new Map<Value, Array64>();
  const values = inputs.map((input, k) => {
    if (!input) return null;
    if (input.constant) return constantValue(typed(input, input.dtype ?? "float32"));
    const shape: readonly Dim[] =
      samples && k === 0 && input.dims.length > 0 ? [N, ...input.dims.slice(1)] : input.dims;
    const value = leaf(`x${k}`, { dtype: input.dtype ?? "float32", shape }, { kind: "input" });
    feeds.set(value, array64(input.dims, input.data));
    return value;
  });
  return { node: build.node(op, values, attributes, outputs, { domain }), feeds };
}

/** What was made, or undefined where it was refused for a reason that a user can act on. */
function unlessRefused<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof PergradError && error.code !== "INTERNAL") return undefined;
    throw error;
  }
}

function derive({ node, feeds }: Made): void {
  const outputs = node.outputs.filter(({ dtype }) => isFloat(dtype));
  const seeds = new Map(outputs.map((output) => [output, leaf("dy", output, { kind: "input" })]));
  reverse(seeds, new Set([...feeds.keys()].filter(({ dtype }) => isFloat(dtype))), plain);
}

function batch({ node, feeds }: Made): void {
  const [input] = feeds.keys();
  if (!input) return;
  const wide = leaf("wide", { dtype: input.dtype, shape: [2, ...input.shape] }, { kind: "input" });
  batchOver(node.outputs, new Map([[input, wide]]));
}

function followSamples(test: OpCase): void {
  const { node, feeds } = made(test, true);
  const [input] = feeds.keys();
  if (!input?.shape.includes(N)) return;
  const axes = new SampleAxes(new Map([[input, 0]]));
  for (const output of node.outputs) axes.of(output);
}

describe("a damaged call is taken or refused", () => {
  for (const [op, cases] of Object.entries(graphTable)) {
    it(op, () => {
      fc.assert(
        fc.property(cases, fc.array(damages, { minLength: 1, maxLength: 2 }), (test, all) => {
          const broken = all.reduce(damaged, test);
          const call = unlessRefused(() => made(broken));
          if (!call) return;
          unlessRefused(() => evaluateGraph(call.node.outputs, call.feeds, 1));
          unlessRefused(() => derive(call));
          unlessRefused(() => batch(call));
          unlessRefused(() => followSamples(broken));
        }),
        { numRuns: 60 },
      );
    });
  }
});
