/** Takes a value of any shape to any other, by operators that mix its elements and keep samples apart. */
import { type Dim, elementsOf, factorOf, N, type Shape } from "../../../src/graph/dim.js";
import type { SampleAxis } from "../../../src/graph/sample-axis.js";
import type { Value } from "../../../src/graph/value.js";
import { build } from "../../../src/ops/registry.js";
import { sizeOf } from "../../../src/tensor/tensor.js";
import type { Choices } from "./choices.js";

/** How the samples lie in a tensor whose dimensions without them are `dims`: an axis of their own, or folded into one. */
export interface Place {
  readonly dims: readonly number[];
  readonly axis: number;
  readonly fold: "none" | "before" | "behind";
}

/** The dimensions of one sample: folded, its part of the axis stays. */
export function sampleDims({ dims, axis, fold }: Place): number[] {
  return fold === "none" ? dims.filter((_, k) => k !== axis) : [...dims];
}

/** The axis of the samples before they are folded. */
export function openAxis({ axis, fold }: Place): number {
  return fold === "before" ? axis + 1 : axis;
}

/** The shape with its samples: where `dims` is not folded, its axis is replaced by theirs. */
export function placedShape({ dims, axis, fold }: Place): Shape {
  return dims.map((dim, k) => (k !== axis ? dim : fold === "none" ? N : { perSample: dim }));
}

/** Before folding: the samples on an axis of their own. */
export function openShape(place: Place): Shape {
  const own = sampleDims(place);
  const axis = openAxis(place);
  return [...own.slice(0, axis), N, ...own.slice(axis)];
}

/** From the samples on an axis of their own, `[..., N, f, ...]` or `[..., f, N, ...]`, to folded. */
export function folded(open: Value, place: Place): Value {
  return build.reshape(open, placedShape(place));
}

/** `[N, P]`, from wherever the samples lie. */
export function rows(value: Value, at: SampleAxis): Value {
  const kept = (size: number) => (size === 1 ? [] : [size]);
  const { axis, outer, inner } = at;
  const split = [...value.shape.slice(0, axis), ...kept(outer), N, ...kept(inner), ...value.shape.slice(axis + 1)];
  const first = build.moveAxis(build.reshape(value, split), axis + kept(outer).length, 0);
  return build.reshape(first, [N, sizeOf(first.shape.slice(1).map(factorOf))]);
}

/** `[N, Q]` to where the samples are wanted. */
export function placed(value: Value, place: Place): Value {
  const open = build.reshape(value, [N, ...sampleDims(place)]);
  return folded(build.moveAxis(open, 0, openAxis(place)), place);
}

/** `[P]` to `[Q]`, or `[N, P]` to `[N, Q]`, taking elements: all of them where there is room. */
function taken(value: Value, count: number, choices: Choices): Value {
  const axis = value.shape.length - 1;
  const size = factorOf(value.shape[axis] as Dim);
  if (size === count && choices.chance(0.5)) return value;
  const lead = value.shape.slice(0, axis);
  if (count % size === 0 && choices.chance(0.4)) {
    const wide = build.expand(build.unsqueeze(value, [axis + 1]), [...lead, size, count / size]);
    return build.reshape(wide, [...lead, count]);
  }
  if (count < size && choices.chance(0.4)) return build.slice(value, axis, 0, count);
  const order = choices.shuffled([...Array(size).keys()]);
  const indices = build.ints(Array.from({ length: count }, (_, i) => order[i % size] as number));
  return build.gather(value, indices, axis);
}

/** A shared value of these dimensions, from another: elements taken, or mixed by a constant matrix. */
export function sharedBridge(value: Value, dims: readonly number[], choices: Choices): Value {
  const [size, count] = [sizeOf(value.shape.map(factorOf)), sizeOf(dims)];
  const flat = build.reshape(value, [size]);
  if (!choices.chance(0.4)) return build.reshape(taken(flat, count, choices), dims);
  const matrix = build.floats(choices.numbers(size * count, 1.5 / Math.sqrt(size)), [size, count], value);
  return build.reshape(build.matmul(flat, matrix), dims);
}

/** A shared matrix or vector of weights of these dimensions: a parameter, or made from others. */
export type Weights = (dims: readonly number[]) => Value;

/** `[N, P]` to `[N, count]`: elements taken, or a layer of weights. */
export function mixed(value: Value, count: number, weights: Weights, choices: Choices): Value {
  const size = factorOf(elementsOf(value.shape.slice(1)) as Dim);
  const scale = (weight: Value) => build.scale(weight, 1 / Math.sqrt(size));
  switch (choices.index(5)) {
    case 0:
      return build.matmul(value, scale(weights([size, count])));
    case 1:
      return build.op("Gemm", [value, scale(weights([count, size])), weights([count])], { transB: 1 });
    case 2:
      return build.op("Einsum", [scale(weights([count, size])), value], { equation: "qp,np->nq" });
    case 3:
      return build.mul(taken(value, count, choices), weights([count]));
    default:
      return taken(value, count, choices);
  }
}
