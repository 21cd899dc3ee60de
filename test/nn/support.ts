import type { Array64 } from "../../src/float64/array64.js";
import { bindShape, isBatch } from "../../src/graph/dim.js";
import type { Model } from "../../src/graph/model.js";
import type { Value } from "../../src/graph/value.js";
import { leavesOf } from "../../src/graph/walk.js";
import { evaluateGraph, toArray64 } from "../../src/interpret/evaluate.js";
import { sizeOf } from "../../src/tensor/tensor.js";
import type { Traced } from "../../src/trace/index.js";

const initialOf = ({ source }: Value) => (source.kind === "parameter" ? source.initial : undefined);

/** Data for the leaves of a graph, by name. */
export type Fed = Readonly<Record<string, Array64 | readonly number[]>>;

/** Numbers that are neither round nor equal, the same for the same seed. */
export function wave(dims: readonly number[], seed = 0): Array64 {
  const data = Float64Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233) * 1.5);
  return { dims, data };
}

export function feed(value: Value, given: Array64 | readonly number[], samples: number): Array64 {
  if ("data" in given) return given;
  return { dims: bindShape(value.shape, samples), data: Float64Array.from(given) };
}

/** The values of traced tensors, for leaves fed by their names; parameters otherwise by their initial values. */
export function valuesOf(outputs: readonly Traced[], fed: Fed, samples = 1): Array64[] {
  const values = outputs.map(({ value }) => value);
  const feeds = new Map<Value, Array64>();
  for (const leaf of leavesOf(values)) {
    const given = fed[leaf.name];
    const initial = initialOf(leaf);
    if (given) feeds.set(leaf, feed(leaf, given, samples));
    else if (initial) feeds.set(leaf, toArray64(initial));
  }
  return evaluateGraph(values, feeds, samples);
}

export function evaluate(output: Traced, fed: Fed = {}, samples = 1): Array64 {
  return valuesOf([output], fed, samples)[0] as Array64;
}

/** The first output of a model with the parameters it was made with, unless fed. */
export function forward(model: Model, fed: Fed): Array64 {
  const [x] = model.graph.inputs;
  const at = x?.shape.findIndex(isBatch) ?? -1;
  const first = fed[x?.name ?? ""];
  const samples = first && "dims" in first && at >= 0 ? (first.dims[at] as number) : 1;
  const feeds = new Map<Value, Array64>();
  for (const leaf of model.graph.inputs) feeds.set(leaf, feed(leaf, fed[leaf.name] ?? [], samples));
  for (const leaf of model.graph.parameters) {
    const given = fed[leaf.name];
    const own = model.parameters[leaf.name];
    if (given) feeds.set(leaf, feed(leaf, given, samples));
    else if (own) feeds.set(leaf, toArray64(own));
  }
  return evaluateGraph([model.graph.outputs[0]?.value as Value], feeds, samples)[0] as Array64;
}

export function at({ dims, data }: Array64, ...index: readonly number[]): number {
  return data[dims.reduce((offset, size, axis) => offset * size + (index[axis] as number), 0)] as number;
}

/** An array from its elements by index. */
export function build64(dims: readonly number[], element: (...index: number[]) => number): Array64 {
  const data = new Float64Array(sizeOf(dims));
  data.forEach((_, position) => {
    let rest = position;
    const index = [...dims].reverse().map((size) => {
      const own = rest % size;
      rest = Math.floor(rest / size);
      return own;
    });
    data[position] = element(...index.reverse());
  });
  return { dims, data };
}

/** The largest difference of two arrays relative to the largest element, infinite where shapes differ. */
export function difference(a: Array64, b: Array64): number {
  if (a.dims.length !== b.dims.length || a.dims.some((size, axis) => size !== b.dims[axis]))
    return Number.POSITIVE_INFINITY;
  let [worst, largest] = [0, 1e-30];
  a.data.forEach((x, i) => {
    const y = b.data[i] as number;
    worst = Object.is(x, y)
      ? worst
      : Math.max(worst, Number.isFinite(x - y) ? Math.abs(x - y) : Number.POSITIVE_INFINITY);
    largest = Math.max(largest, Math.abs(y));
  });
  return worst / largest;
}
