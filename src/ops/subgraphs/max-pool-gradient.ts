/** The derivative of MaxPool: each window's cotangent goes to its first maximum. */

import { factorOf, type Shape } from "../../graph/dim.js";
import { inputOf, outputOf } from "../../graph/operands.js";
import { dimsValue, type Node, type Value } from "../../graph/value.js";
import type { Window } from "../../graph/window.js";
import { extentOf, kernelSize } from "../../graph/window.js";
import { nth } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { MaxPoolMethod } from "../build-strategy.js";
import { type Pool, planesOf, poolOf } from "./pool.js";

export function differentiateMaxPool(node: Node, dy: Value, build: Build): Value {
  const pool = poolOf(node);
  const method = build.strategy.maxPool ?? cheaper(pool, build);
  return method === "indices" ? byIndices(node, dy, pool, build) : byComparison(node, dy, pool, build);
}

/** MaxUnpool scatters in parallel and overwrites: it works if no element lies in two windows. */
function unpools({ spatial, positions, window }: Pool): boolean {
  return spatial.every(
    (size, axis) => nth(window.strides, axis) >= extentOf(window, axis) && nth(positions, axis) <= size,
  );
}

/** The cheaper method, by nanoseconds for one plane and one of several cotangents. */
function cheaper(pool: Pool, { prices, strategy }: Build): MaxPoolMethod {
  const { spatial, positions, window } = pool;
  const { float, notedMaximum, scattered } = prices;
  const { directions: cotangents = 1, masks } = strategy;
  // Several cotangents share a mask, which is cast once for both selections.
  const chosen = masks === "multiply" ? (1 + 1 / (2 * cotangents)) * float : prices.chosen;
  const noting = (kernelSize(window) * notedMaximum) / cotangents;
  const noted = sizeOf(positions) * (noting + (unpools(pool) ? 0 : scattered));
  const compared = stagesOf(pool).reduce((total, axis) => {
    const [kernel, stride] = [nth(window.kernel, axis), nth(window.strides, axis)];
    const elements = sizeOf(spatial.slice(0, axis)) * sizeOf(positions.slice(axis));
    // Each offset takes a slice, a maximum, a comparison, two selections, padding and a sum; strides larger than 1 also
    // take the gaps.
    const each = (4 * float) / cotangents + 2 * chosen + 2 * float + (stride > 1 ? 4 * stride * float : 0);
    return total + elements * kernel * each;
  }, 0);
  return compared < noted ? "comparison" : "indices";
}

function byIndices(node: Node, dy: Value, pool: Pool, build: Build): Value {
  const { spatial, positions } = pool;
  const x = inputOf(node, 0);
  const { storage_order: _, ...rowMajor } = node.attributes;
  const indices = outputOf(build.node("MaxPool", [x], rowMajor, 2), 1);
  if (unpools(pool)) {
    const ones = spatial.map(() => 1);
    return build.op("MaxUnpool", [dy, indices, dimsValue(x.shape)], { kernel_shape: ones, strides: ones });
  }
  const planes = planesOf(x.shape);
  const zeros = build.zeros([planes, sizeOf(spatial)], dy.dtype);
  const updates = build.reshape(dy, [planes, sizeOf(positions)]);
  const inputs = [zeros, localIndices(indices, sizeOf(spatial), build), updates];
  return build.reshape(build.op("ScatterElements", inputs, { axis: 1, reduction: "add" }), x.shape);
}

/** Indices into the whole tensor become indices into planes: `[n * channels, positions]`. */
export function localIndices(indices: Value, plane: number, build: Build): Value {
  const positions = sizeOf(indices.shape.slice(2).map(factorOf));
  return build.op("Mod", [build.reshape(indices, [planesOf(indices.shape), positions]), build.ints([plane], [])]);
}

/** The axes along which there is anything to do, the last one first: so the first maximum in row-major order wins. */
function stagesOf({ spatial, positions, window }: Pool): number[] {
  const idle = (axis: number) =>
    window.kernel[axis] === 1 && window.strides[axis] === 1 && positions[axis] === spatial[axis];
  return [...spatial.keys()].filter((axis) => !idle(axis)).reverse();
}

/** The maximum along one axis: the elements under each offset of the window, and the largest of them. */
interface Stage {
  readonly axis: number;
  readonly from: Shape;
  readonly parts: readonly Value[];
  readonly largest: Value;
}

function byComparison(node: Node, dy: Value, pool: Pool, build: Build): Value {
  const [x, y] = [inputOf(node, 0), outputOf(node, 0)];
  const stages: Stage[] = [];
  const axes = stagesOf(pool);
  let value = x;
  for (const axis of axes) {
    const parts = partsOf(value, axis, pool, build);
    const last = axis === axes[axes.length - 1];
    const largest = last ? y : parts.length === 1 ? nth(parts, 0) : build.op("Max", parts);
    stages.push({ axis, from: value.shape, parts, largest });
    value = largest;
  }
  return stages.reduceRight((cotangent, stage) => backAlong(stage, cotangent, pool.window, build), dy);
}

/**
 * Padding is smaller than any element. If all of a window is as small, the cotangent goes to the padding, and is lost.
 */
function partsOf(value: Value, axis: number, { positions, window }: Pool, build: Build): Value[] {
  const [stride, dilation] = [nth(window.strides, axis), nth(window.dilations, axis)];
  const at = axis + 2;
  const amounts = (amount: number) => value.shape.map((_, k) => (k === at ? amount : 0));
  const [before, after] = [nth(window.before, axis), nth(window.after, axis)];
  const pads = build.ints([...amounts(before), ...amounts(after)]);
  const least = build.scalar(Number.NEGATIVE_INFINITY, value);
  const padded = before + after === 0 ? value : build.op("Pad", [value, pads, least], { mode: "constant" });
  const reach = (nth(positions, axis) - 1) * stride + 1;
  return Array.from({ length: nth(window.kernel, axis) }, (_, k) =>
    build.slice(padded, at, k * dilation, k * dilation + reach, stride),
  );
}

/** The first of the offsets with the largest element takes the cotangent. */
function backAlong({ axis, from, parts, largest }: Stage, cotangent: Value, window: Window, build: Build): Value {
  let left = cotangent;
  const taken = parts.map((part, k) => {
    if (k === parts.length - 1) return left;
    const [own, others] = build.cotangentParts(build.equal(part, largest), left);
    left = others;
    return own;
  });
  const dilation = nth(window.dilations, axis);
  const size = factorOf(from[axis + 2] ?? 0);
  return taken
    .map((part, k) => placed(part, axis, k * dilation - nth(window.before, axis), size, window, build))
    .reduce((sum, part) => build.add(sum, part));
}

/** Puts elements into every stride-th place of an axis of `size`, from `start`; those outside are dropped. */
function placed(part: Value, axis: number, start: number, size: number, window: Window, build: Build): Value {
  const at = axis + 2;
  const stride = nth(window.strides, axis);
  const count = factorOf(part.shape[at] ?? 0);
  const spread = stride === 1 ? part : apart(part, at, stride, build);
  return padded(build, spread, at, start, size - start - count * stride);
}

/** Zeros before and after the elements along an axis. For short rows, the runtime concatenates faster than it pads. */
function padded(build: Build, value: Value, at: number, before: number, after: number): Value {
  const amounts = (amount: number) => value.shape.map((_, k) => (k === at ? amount : 0));
  if (at < value.shape.length - 1 || before < 0 || after < 0) return build.pad(value, amounts(before), amounts(after));
  const zeros = (count: number) =>
    count === 0 ? [] : [build.zeros([...value.shape.slice(0, at), count], value.dtype)];
  return build.concat([...zeros(before), value, ...zeros(after)], at);
}

/** Zeros between the elements along an axis: `stride - 1` after each. */
function apart(value: Value, at: number, stride: number, build: Build): Value {
  const { shape } = value;
  const split = build.reshape(value, [...shape.slice(0, at + 1), 1, ...shape.slice(at + 1)]);
  const none = split.shape.map(() => 0);
  const gaps = none.map((_, k) => (k === at + 1 ? stride - 1 : 0));
  const count = factorOf(shape[at] ?? 0);
  return build.reshape(build.pad(split, none, gaps), [...shape.slice(0, at), count * stride, ...shape.slice(at + 1)]);
}
