/** MaxPool, AveragePool, LpPool, their global forms, and MaxUnpool. */

import type { Array64 } from "../../float64/array64.js";
import { stridesOf, zeros64 } from "../../float64/array64.js";
import { factorOf, multiply, type Shape } from "../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import type { Window } from "../../graph/window.js";
import { extentOf, kernelSize, kernelWithin, windowOffsets } from "../../graph/window.js";
import { leadingOf, nth, present } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { intAttribute, intsAttribute, knownDims, part, requireInput, shapeMismatch, unsupported } from "../checks.js";
import { having, type OpDefinition } from "../definition.js";
import { requireConstant } from "../limits.js";
import { moved } from "../range.js";
import { differentiateMaxPool, localIndices } from "../subgraphs/max-pool-gradient.js";
import { batchPool, inferPool, type Pool, planesOf, poolOf, poolSampleAxis } from "../subgraphs/pool.js";
import { perAxis, readWindow, spatialOf, windowAttributes } from "../subgraphs/window.js";

/** Null with ceil_mode, as the last window may then extend beyond the end. */
function poolWindow(node: Node): Window | null {
  return intAttribute(node, "ceil_mode", 0) === 1 ? null : poolOf(node).stated;
}

// MaxPool

function evaluateMaxPool([x]: readonly (Array64 | null)[], node: Node): Array64[] {
  const input = present(x);
  const { spatial, positions, window } = poolOf(node);
  const offsets = windowOffsets(spatial, window, positions);
  const [plane, count, size] = [sizeOf(spatial), sizeOf(positions), kernelSize(window)];
  const placed = intAttribute(node, "storage_order", 0) === 1 ? columnMajor(spatial) : (place: number) => place;
  const [y, indices] = leadingOf(
    [0, 1].map(() => zeros64([...input.dims.slice(0, 2), ...positions])),
    2,
  );
  for (let at = 0; at < y.data.length; at++) {
    const from = Math.floor(at / count) * plane;
    let [best, where] = [Number.NEGATIVE_INFINITY, -1];
    for (let k = 0; k < size; k++) {
      const offset = offsets[(at % count) * size + k] as number;
      if (offset < 0) continue;
      const element = input.data[from + offset] as number;
      if (where < 0 || element > best) [best, where] = [element, from + offset];
    }
    y.data[at] = best;
    indices.data[at] = from + placed(where - from);
  }
  return node.outputs.length > 1 ? [y, indices] : [y];
}

/** The position of a plane's element in column-major order, in which the first axis varies fastest. */
function columnMajor(spatial: readonly number[]): (place: number) => number {
  return (place) => {
    let [rest, column] = [place, 0];
    for (const [axis, size] of [...spatial.entries()].reverse()) {
      column += (rest % size) * sizeOf(spatial.slice(0, axis));
      rest = Math.floor(rest / size);
    }
    return column;
  };
}

/** Refuses windows that read only padding, as they have no maximum. */
function requireElements(call: Call): void {
  const { spatial, positions, window } = poolOf(call);
  spatial.forEach((size, axis) => {
    const [stride, before] = [nth(window.strides, axis), nth(window.before, axis)];
    const last = (nth(positions, axis) - 1) * stride - before;
    // A window that begins within the input reads its first element there.
    const early = Math.min(nth(positions, axis), Math.ceil(before / stride));
    requireConstant(call, early, "a look at each window in the padding,");
    const starts = Array.from({ length: early }, (_, t) => t * stride - before);
    const isEmpty = (start: number) => {
      const [first, end] = kernelWithin(window, axis, start, 0, size);
      return first >= end;
    };
    if (last >= size || starts.some(isEmpty))
      throw unsupported(call, "has a window that lies in the padding altogether", "give it less padding");
  });
}

const maxPool: OpDefinition = {
  op: "MaxPool",
  slides: poolWindow,
  largest: true,
  stepSlope: true,
  notNegative: "kept",
  hidesNaN: true,
  optionalOutputs: true,
  range: moved,
  infer: (call) => {
    requireElements(call);
    return inferPool(call);
  },
  evaluate: evaluateMaxPool,
  differentiate: (node, [dy], build) => [dy ? differentiateMaxPool(node, dy, build) : null],
  batch: batchPool,
  sampleAxis: poolSampleAxis,
};

// MaxUnpool: puts elements back in the places that MaxPool's indices name

function unpooledShape(call: Call, x: Value): Shape {
  const spatial = spatialOf(call, x);
  const stated = knownDims(call, 2);
  if (stated) return stated;
  const kernel = intsAttribute(call, "kernel_shape");
  if (!kernel) throw shapeMismatch(call, "has no kernel_shape");
  const window = readWindow(call, kernel, spatial);
  const sizes = spatial.map((size, axis) => {
    const padding = nth(window.before, axis) + nth(window.after, axis);
    return (size - 1) * nth(window.strides, axis) + nth(kernel, axis) - padding;
  });
  return [...x.shape.slice(0, 2), ...sizes];
}

const maxUnpool: OpDefinition = {
  op: "MaxUnpool",
  sameSamples: [0, 1],
  shapeInputs: [2],
  infer: (call) => {
    const [x, indices] = [requireInput(call, 0), requireInput(call, 1)];
    const shape = unpooledShape(call, x);
    if (shape.length !== x.shape.length || indices.shape.length !== x.shape.length)
      throw shapeMismatch(part(call, "the inputs"), "differ in rank");
    return [{ dtype: x.dtype, shape }];
  },
  evaluate: ([x, indices], node) => {
    const [input, places] = [present(x), present(indices)];
    const y = zeros64([...input.dims.slice(0, 2), ...outputOf(node, 0).shape.slice(2).map(factorOf)]);
    input.data.forEach((element, at) => {
      y.data[places.data[at] as number] = element;
    });
    return [y];
  },
  differentiate: (node, [dy], build) => {
    const [x, indices] = inputsOf(node, 2);
    const kernel = intsAttribute(node, "kernel_shape") ?? [];
    const strides = perAxis(node, "strides", kernel.length, 1, 1);
    if (kernel.some((size, axis) => size > nth(strides, axis))) {
      throw unsupported(node, "cannot be differentiated, since its windows overlap and elements overwrite each other");
    }
    const plane = sizeOf(present(dy).shape.slice(2).map(factorOf));
    const flat = build.reshape(present(dy), [planesOf(present(dy).shape), plane]);
    const taken = build.op("GatherElements", [flat, localIndices(indices, plane, build)], { axis: 1 });
    return [build.reshape(taken, x.shape), null];
  },
  batch: batchPool,
  sampleAxis: poolSampleAxis,
};

// AveragePool

/** 1 / the number of elements averaged at position t, along one axis. */
function axisWeight({ spatial, stated }: Pool, axis: number, t: number, countPadding: boolean): number {
  const [size, before, after] = [nth(spatial, axis), nth(stated.before, axis), nth(stated.after, axis)];
  const [from, to] = countPadding ? [-before, size + after] : [0, size];
  const [first, end] = kernelWithin(stated, axis, t * nth(stated.strides, axis) - before, from, to);
  return end > first ? 1 / (end - first) : 0;
}

function axisWeights(node: Node, pool: Pool, axis: number): number[] {
  const count = nth(pool.positions, axis);
  requireConstant(node, count, "weights");
  return Array.from({ length: count }, (_, t) => axisWeight(pool, axis, t, countsPadding(node)));
}

/**
 * The weight along an axis if it is the same at all positions, which requires whole first and last windows; undefined
 * if weights may differ.
 */
function commonWeight({ spatial, positions, stated }: Pool, axis: number): number | undefined {
  const [stride, kernel] = [nth(stated.strides, axis), nth(stated.kernel, axis)];
  const [before, last] = [nth(stated.before, axis), (nth(positions, axis) - 1) * stride];
  return before === 0 && last + extentOf(stated, axis) <= nth(spatial, axis) ? 1 / kernel : undefined;
}

function countsPadding(node: Node): boolean {
  return intAttribute(node, "count_include_pad", 0) === 1;
}

function evaluateAveragePool([x]: readonly (Array64 | null)[], node: Node): Array64[] {
  const input = present(x);
  const pool = poolOf(node);
  const offsets = windowOffsets(pool.spatial, pool.window, pool.positions);
  const along = pool.positions.map((_, axis) => axisWeights(node, pool, axis));
  const behind = stridesOf(pool.positions);
  const [plane, count, size] = [sizeOf(pool.spatial), sizeOf(pool.positions), kernelSize(pool.window)];
  const y = zeros64([...input.dims.slice(0, 2), ...pool.positions]);
  for (let at = 0; at < y.data.length; at++) {
    const from = Math.floor(at / count) * plane;
    let sum = 0;
    for (let k = 0; k < size; k++) {
      const offset = offsets[(at % count) * size + k] as number;
      if (offset >= 0) sum += input.data[from + offset] as number;
    }
    y.data[at] = along.reduce((mean, weights, axis) => {
      return mean * nth(weights, Math.floor((at % count) / nth(behind, axis)) % weights.length);
    }, sum);
  }
  return [y];
}

/** Up to this square of a spatial axis's size, spreading with dense matrices is fastest. */
const largestMatrix = 256 * 256;

/**
 * Averaging is linear and separable: it has a matrix `[T, S]` along each axis, whose transpose spreads the cotangent.
 * Compared with a ConvTranspose whose kernel is all ones ([256,16,14,14], window 2 stride 1; [64,64,32,32], 2 and 2;
 * [4,16,112,112], 3 and 2), this takes 0.8, 3.6 and 1.0 ms instead of 1.8, 6.8 and 1.5.
 */
function differentiateAveragePool(node: Node, dy: Value, build: Build): Value[] {
  const x = inputOf(node, 0);
  const pool = poolOf(node);
  const large = pool.spatial.some((size, axis) => size * nth(pool.positions, axis) > largestMatrix);
  const planes = large ? spreadByConvolution(node, dy, pool, build) : spreadByMatrices(node, dy, pool, build);
  return [build.reshape(planes, x.shape)];
}

function spreadByMatrices(node: Node, dy: Value, pool: Pool, build: Build): Value {
  const planes = planesOf(dy.shape);
  return pool.spatial.reduce<Value>((value, size, axis) => {
    const count = nth(pool.positions, axis);
    const images = present(multiply(planes, sizeOf(pool.spatial.slice(0, axis))));
    const behind = sizeOf(pool.positions.slice(axis + 1));
    const spread = spreadMatrix(node, pool, axis);
    if (axis === pool.spatial.length - 1) {
      return build.matmul(build.reshape(value, [images, count]), build.floats(spread, [count, size], dy));
    }
    const turned = Array.from(
      { length: size * count },
      (_, at) => spread[(at % count) * size + Math.floor(at / count)] as number,
    );
    return build.matmul(build.floats(turned, [size, count], dy), build.reshape(value, [images, count, behind]));
  }, dy);
}

/** `[T, S]`: the share of each position's cotangent that each element receives. */
function spreadMatrix(node: Node, pool: Pool, axis: number): Float64Array {
  const [size, count] = [nth(pool.spatial, axis), nth(pool.positions, axis)];
  const { strides, dilations, before } = pool.stated;
  const weights = axisWeights(node, pool, axis);
  const matrix = new Float64Array(count * size);
  for (let t = 0; t < count; t++) {
    const start = t * nth(strides, axis) - nth(before, axis);
    const [first, end] = kernelWithin(pool.stated, axis, start, 0, size);
    for (let k = first; k < end; k++) matrix[t * size + start + k * nth(dilations, axis)] = nth(weights, t);
  }
  return matrix;
}

/** The cotangent of the sums over windows: dy times the weight of each position, which is a product over the axes. */
function weighted(node: Node, dy: Value, pool: Pool, build: Build): Value {
  const common = pool.positions.map((_, axis) => commonWeight(pool, axis));
  const scaled = build.scale(
    dy,
    common.reduce<number>((product, weight) => product * (weight ?? 1), 1),
  );
  return common.reduce<Value>((value, weight, axis) => {
    if (weight !== undefined) return value;
    const along = pool.positions.map((count, at) => (at === axis ? count : 1));
    return build.mul(value, build.floats(axisWeights(node, pool, axis), along, dy));
  }, scaled);
}

function spreadByConvolution(node: Node, dy: Value, pool: Pool, build: Build): Value {
  const { window, positions, spatial } = pool;
  const ones = build.filled(1, [1, 1, ...window.kernel], dy.dtype);
  const scaled = build.reshape(weighted(node, dy, pool, build), [planesOf(dy.shape), 1, ...positions]);
  const remainder = spatial.map((size, axis) => {
    const room = size + nth(window.before, axis) + nth(window.after, axis) - extentOf(window, axis);
    return room % nth(window.strides, axis);
  });
  return build.op("ConvTranspose", [scaled, ones], { ...windowAttributes(window), output_padding: remainder });
}

const averagePool: OpDefinition = {
  op: "AveragePool",
  slides: poolWindow,
  notNegative: "kept",
  infer: inferPool,
  evaluate: evaluateAveragePool,
  differentiate: (node, [dy], build) => differentiateAveragePool(node, present(dy), build),
  batch: batchPool,
  sampleAxis: poolSampleAxis,
};

// Composites

/** (sum of |x|^p)^(1/p), whose derivative is taken as 0 where all elements are 0. */
function norm(build: Build, x: Value, p: number, sum: (powers: Value) => Value): Value {
  const total = sum(build.op("Pow", [build.abs(x), build.scalar(p, x)]));
  const empty = build.equal(total, build.scalar(0, x));
  const root = build.op("Pow", [build.where(empty, build.scalar(1, x), total), build.scalar(1 / p, x)]);
  return build.mask(build.not(empty), root);
}

/** Computes the sum over each window by a convolution whose kernel is all ones. */
function decomposeLpPool(node: Node, build: Build): Value[] {
  const x = inputOf(node, 0);
  const { window, spatial, positions } = poolOf(node);
  const ones = build.filled(1, [1, 1, ...window.kernel], x.dtype);
  const sum = (powers: Value) => {
    const planes = build.reshape(powers, [planesOf(x.shape), 1, ...spatial]);
    const sums = build.op("Conv", [planes, ones], windowAttributes(window));
    return build.reshape(sums, [...x.shape.slice(0, 2), ...positions]);
  };
  return [norm(build, x, intAttribute(node, "p", 2), sum)];
}

const lpPool: OpDefinition = {
  op: "LpPool",
  infer: inferPool,
  decompose: decomposeLpPool,
};

function globalPool(
  op: string,
  decompose: (node: Node, x: Value, axes: readonly number[], build: Build) => Value,
): OpDefinition {
  return {
    op,
    infer: (call) => {
      const { dtype, shape } = requireInput(call, 0);
      return [{ dtype, shape: [...shape.slice(0, 2), ...spatialOf(call, requireInput(call, 0)).map(() => 1)] }];
    },
    decompose: (node, build) => {
      const x = inputOf(node, 0);
      return [decompose(node, x, x.shape.map((_, axis) => axis).slice(2), build)];
    },
  };
}

export const pooling: readonly OpDefinition[] = [
  maxPool,
  maxUnpool,
  averagePool,
  lpPool,
  having(
    { notNegative: "kept" },
    globalPool("GlobalAveragePool", (_, x, axes, build) => build.reduce("ReduceMean", x, axes, true)),
  ),
  {
    ...globalPool("GlobalMaxPool", (_, x, axes, build) => {
      return build.op("MaxPool", [x], { kernel_shape: axes.map((axis) => factorOf(nth(x.shape, axis))) });
    }),
    notNegative: "kept",
    hidesNaN: true,
    stepSlope: true,
  },
  globalPool("GlobalLpPool", (node, x, axes, build) => {
    return norm(build, x, intAttribute(node, "p", 2), (powers) => build.sum(powers, axes, true));
  }),
];
