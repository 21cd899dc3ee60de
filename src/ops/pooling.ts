/** MaxPool, AveragePool, LpPool, their global forms, and MaxUnpool. */
import { type Dim, factorOf, multiply, type Shape } from "../graph/dim.js";
import { dimsValue, type Node, type Value } from "../graph/value.js";
import { sizeOf } from "../tensor.js";
import { zeros64 } from "./array64.js";
import type { Build } from "./build.js";
import { intAttribute, intsAttribute, knownDims, requireInput, shapeMismatch, unsupported } from "./checks.js";
import type { Array64, Call, OpDefinition, Window } from "./definition.js";
import { exactPool } from "./exact-pool.js";
import { batchPool, inferPool, type Pool, planesOf, poolOf, poolSampleAxis } from "./pool.js";
import { extentOf, kernelSize, perAxis, readWindow, spatialOf, windowAttributes, windowOffsets } from "./window.js";

// MaxPool

function evaluateMaxPool([x]: readonly (Array64 | null)[], node: Node): Array64[] {
  const input = x as Array64;
  const { spatial, positions, window } = poolOf(node);
  const offsets = windowOffsets(spatial, window, positions);
  const [plane, count, size] = [sizeOf(spatial), sizeOf(positions), kernelSize(window)];
  const [y, indices] = [0, 1].map(() => zeros64([...input.dims.slice(0, 2), ...positions])) as [Array64, Array64];
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
    indices.data[at] = where;
  }
  return node.outputs.length > 1 ? [y, indices] : [y];
}

/** No element lies in two windows. */
function isDisjoint(window: Window): boolean {
  return window.kernel.every((_, axis) => (window.strides[axis] as number) >= extentOf(window, axis));
}

/**
 * The cotangent goes to the first maximum of each window. ONNX Runtime finds it only in the form of MaxPool
 * that also gives Indices, which takes 10 times as long as the plain one; yet building the mask from slices
 * and comparisons took as long or up to twice as long as Indices and the scatter together ([256,16,14,14],
 * window 2 stride 1: 7.4 against 7.3 ms; [64,64,32,32], 2 and 2: 21 against 14), and comparing or gathering
 * by the Indices 2 to 5 times. MaxUnpool scatters in parallel but overwrites: for windows that do not
 * overlap (10 ms in the second case).
 */
function differentiateMaxPool(node: Node, dy: Value, build: Build): Value[] {
  const x = node.inputs[0] as Value;
  const { spatial, positions, window } = poolOf(node);
  const indices = build.node("MaxPool", [x], node.attributes, 2).outputs[1] as Value;
  if (isDisjoint(window) && positions.every((count, axis) => count <= (spatial[axis] as number))) {
    const ones = spatial.map(() => 1);
    return [build.op("MaxUnpool", [dy, indices, dimsValue(x.shape)], { kernel_shape: ones, strides: ones })];
  }
  const planes = planesOf(x.shape);
  const scattered = build.op(
    "ScatterElements",
    [
      build.zeros([planes, sizeOf(spatial)], dy.dtype),
      localIndices(indices, sizeOf(spatial), build),
      build.reshape(dy, [planes, sizeOf(positions)]),
    ],
    { axis: 1, reduction: "add" },
  );
  return [build.reshape(scattered, x.shape)];
}

/** Indices into the whole tensor become indices into planes: `[n * channels, positions]`. */
function localIndices(indices: Value, plane: number, build: Build): Value {
  const positions = sizeOf(indices.shape.slice(2).map(factorOf));
  return build.op("Mod", [build.reshape(indices, [planesOf(indices.shape), positions]), build.ints([plane], [])]);
}

/** A window that reads nothing but padding has no maximum. */
function requireElements(call: Call): void {
  const { spatial, positions, window } = poolOf(call);
  spatial.forEach((size, axis) => {
    const along = (list: readonly number[]) => [list[axis] as number];
    const [kernel, strides, dilations, before, after] = [
      window.kernel,
      window.strides,
      window.dilations,
      window.before,
      window.after,
    ].map(along) as [number[], number[], number[], number[], number[]];
    const offsets = windowOffsets([size], { kernel, strides, dilations, before, after }, along(positions));
    const reach = kernel[0] as number;
    for (let t = 0; t < offsets.length; t += reach) {
      if (offsets.subarray(t, t + reach).every((offset) => offset < 0))
        throw unsupported(call, "one of its windows lies in the padding altogether");
    }
  });
}

const maxPool: OpDefinition = {
  op: "MaxPool",
  infer: (call) => {
    requireElements(call);
    return inferPool(call);
  },
  lower: exactPool,
  evaluate: evaluateMaxPool,
  differentiate: (node, [dy], build) => (dy ? differentiateMaxPool(node, dy, build) : [null]),
  batch: batchPool,
  sampleAxis: poolSampleAxis,
};

// MaxUnpool: puts elements back to where MaxPool's indices say they came from

function unpooledShape(call: Call, x: Value): Shape {
  const spatial = spatialOf(call, x);
  const stated = knownDims(call, 2);
  if (stated) return stated;
  const kernel = intsAttribute(call, "kernel_shape");
  if (!kernel) throw shapeMismatch(call, "it has no kernel_shape");
  const window = readWindow(call, kernel, spatial);
  const sizes = spatial.map((size, axis) => {
    const padding = (window.before[axis] as number) + (window.after[axis] as number);
    return (size - 1) * (window.strides[axis] as number) + (kernel[axis] as number) - padding;
  });
  return [...x.shape.slice(0, 2), ...sizes];
}

const maxUnpool: OpDefinition = {
  op: "MaxUnpool",
  shapeInputs: [2],
  infer: (call) => {
    const [x, indices] = [requireInput(call, 0), requireInput(call, 1)];
    const shape = unpooledShape(call, x);
    if (shape.length !== x.shape.length || indices.shape.length !== x.shape.length)
      throw shapeMismatch(call, "its inputs differ in rank");
    return [{ dtype: x.dtype, shape }];
  },
  evaluate: ([x, indices], node) => {
    const [input, places] = [x as Array64, indices as Array64];
    const y = zeros64([...input.dims.slice(0, 2), ...(node.outputs[0] as Value).shape.slice(2).map(factorOf)]);
    input.data.forEach((element, at) => {
      y.data[places.data[at] as number] = element;
    });
    return [y];
  },
  differentiate: (node, [dy], build) => {
    const [x, indices] = node.inputs as [Value, Value];
    const kernel = intsAttribute(node, "kernel_shape") ?? [];
    const strides = perAxis(node, "strides", kernel.length, 1, 1);
    if (kernel.some((size, axis) => size > (strides[axis] as number))) {
      throw unsupported(
        node,
        "cannot be differentiated where windows overlap, since elements then overwrite each other",
      );
    }
    const plane = sizeOf((dy as Value).shape.slice(2).map(factorOf));
    const flat = build.reshape(dy as Value, [planesOf((dy as Value).shape), plane]);
    const taken = build.op("GatherElements", [flat, localIndices(indices, plane, build)], { axis: 1 });
    return [build.reshape(taken, x.shape), null];
  },
  batch: batchPool,
  sampleAxis: poolSampleAxis,
};

// AveragePool

/** The weight that each position gives its elements, along one axis: 1 / their number. */
function axisWeights(pool: Pool, axis: number, countPadding: boolean): number[] {
  const { spatial, positions, stated } = pool;
  const [size, before, after] = [spatial[axis] as number, stated.before[axis] as number, stated.after[axis] as number];
  const [from, to] = countPadding ? [-before, size + after] : [0, size];
  return Array.from({ length: positions[axis] as number }, (_, t) => {
    let count = 0;
    for (let k = 0; k < (stated.kernel[axis] as number); k++) {
      const at = t * (stated.strides[axis] as number) + k * (stated.dilations[axis] as number) - before;
      if (at >= from && at < to) count++;
    }
    return count === 0 ? 0 : 1 / count;
  });
}

function countsPadding(node: Node): boolean {
  return intAttribute(node, "count_include_pad", 0) === 1;
}

/** The weights of all positions: a product over the axes. */
function positionWeights(pool: Pool, countPadding: boolean): number[] {
  return pool.spatial.reduce<number[]>(
    (weights, _, axis) => {
      const along = axisWeights(pool, axis, countPadding);
      return weights.flatMap((weight) => along.map((factor) => weight * factor));
    },
    [1],
  );
}

function evaluateAveragePool([x]: readonly (Array64 | null)[], node: Node): Array64[] {
  const input = x as Array64;
  const pool = poolOf(node);
  const offsets = windowOffsets(pool.spatial, pool.window, pool.positions);
  const weights = positionWeights(pool, countsPadding(node));
  const [plane, count, size] = [sizeOf(pool.spatial), sizeOf(pool.positions), kernelSize(pool.window)];
  const y = zeros64([...input.dims.slice(0, 2), ...pool.positions]);
  for (let at = 0; at < y.data.length; at++) {
    const from = Math.floor(at / count) * plane;
    let sum = 0;
    for (let k = 0; k < size; k++) {
      const offset = offsets[(at % count) * size + k] as number;
      if (offset >= 0) sum += input.data[from + offset] as number;
    }
    y.data[at] = sum * (weights[at % count] as number);
  }
  return [y];
}

/** Up to this size of a spatial axis squared, spreading by dense matrices is the fastest way. */
const largestMatrix = 256 * 256;

/**
 * Averaging is linear and separable: along each axis a matrix `[T, S]`, whose transpose spreads the
 * cotangent. Against a ConvTranspose with a kernel of ones ([256,16,14,14], window 2 stride 1; [64,64,32,32],
 * 2 and 2; [4,16,112,112], 3 and 2): 0.8, 3.6, 1.0 ms against 1.8, 6.8, 1.5.
 */
function differentiateAveragePool(node: Node, dy: Value, build: Build): Value[] {
  const x = node.inputs[0] as Value;
  const pool = poolOf(node);
  const large = pool.spatial.some((size, axis) => size * (pool.positions[axis] as number) > largestMatrix);
  const planes = large ? spreadByConvolution(node, dy, pool, build) : spreadByMatrices(node, dy, pool, build);
  return [build.reshape(planes, x.shape)];
}

function spreadByMatrices(node: Node, dy: Value, pool: Pool, build: Build): Value {
  const planes = planesOf(dy.shape);
  return pool.spatial.reduce<Value>((value, size, axis) => {
    const count = pool.positions[axis] as number;
    const images = multiply(planes, sizeOf(pool.spatial.slice(0, axis))) as Dim;
    const behind = sizeOf(pool.positions.slice(axis + 1));
    const spread = spreadMatrix(pool, axis, countsPadding(node));
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

/** `[T, S]`: what each element receives of each position's cotangent. */
function spreadMatrix(pool: Pool, axis: number, countPadding: boolean): Float64Array {
  const [size, count] = [pool.spatial[axis] as number, pool.positions[axis] as number];
  const { kernel, strides, dilations, before } = pool.stated;
  const weights = axisWeights(pool, axis, countPadding);
  const matrix = new Float64Array(count * size);
  for (let t = 0; t < count; t++) {
    for (let k = 0; k < (kernel[axis] as number); k++) {
      const at = t * (strides[axis] as number) + k * (dilations[axis] as number) - (before[axis] as number);
      if (at >= 0 && at < size) matrix[t * size + at] = weights[t] as number;
    }
  }
  return matrix;
}

function spreadByConvolution(node: Node, dy: Value, pool: Pool, build: Build): Value {
  const { window, positions, spatial } = pool;
  const weights = build.floats(positionWeights(pool, countsPadding(node)), positions, dy);
  const scaled = build.reshape(build.mul(dy, weights), [planesOf(dy.shape), 1, ...positions]);
  const ones = build.filled(1, [1, 1, ...window.kernel], dy.dtype);
  const remainder = spatial.map((size, axis) => {
    const room = size + (window.before[axis] as number) + (window.after[axis] as number) - extentOf(window, axis);
    return room % (window.strides[axis] as number);
  });
  return build.op("ConvTranspose", [scaled, ones], { ...windowAttributes(window), output_padding: remainder });
}

const averagePool: OpDefinition = {
  op: "AveragePool",
  infer: inferPool,
  lower: exactPool,
  evaluate: evaluateAveragePool,
  differentiate: (node, [dy], build) => differentiateAveragePool(node, dy as Value, build),
  batch: batchPool,
  sampleAxis: poolSampleAxis,
};

// Composites

/** (sum of |x|^p)^(1/p), with the derivative 0 where all elements are 0. */
function norm(build: Build, x: Value, p: number, sum: (powers: Value) => Value): Value {
  const total = sum(build.op("Pow", [build.abs(x), build.scalar(p, x)]));
  const empty = build.equal(total, build.scalar(0, x));
  const root = build.op("Pow", [build.where(empty, build.scalar(1, x), total), build.scalar(1 / p, x)]);
  return build.mask(build.not(empty), root);
}

const lpPool: OpDefinition = {
  op: "LpPool",
  infer: inferPool,
  decompose: (node, build) => {
    const x = node.inputs[0] as Value;
    const { window, spatial, positions } = poolOf(node);
    const ones = build.filled(1, [1, 1, ...window.kernel], x.dtype);
    const sum = (powers: Value) => {
      const planes = build.reshape(powers, [planesOf(x.shape), 1, ...spatial]);
      return build.reshape(build.op("Conv", [planes, ones], windowAttributes(window)), [
        ...x.shape.slice(0, 2),
        ...positions,
      ]);
    };
    return [norm(build, x, intAttribute(node, "p", 2), sum)];
  },
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
      const x = node.inputs[0] as Value;
      return [decompose(node, x, x.shape.map((_, axis) => axis).slice(2), build)];
    },
  };
}

export const pooling: readonly OpDefinition[] = [
  maxPool,
  maxUnpool,
  averagePool,
  lpPool,
  globalPool("GlobalAveragePool", (_, x, axes, build) => build.reduce("ReduceMean", x, axes, true)),
  globalPool("GlobalMaxPool", (_, x, axes, build) => {
    return build.op("MaxPool", [x], { kernel_shape: axes.map((axis) => factorOf(x.shape[axis] as Dim)) });
  }),
  globalPool("GlobalLpPool", (node, x, axes, build) => {
    return norm(build, x, intAttribute(node, "p", 2), (powers) => build.sum(powers, axes, true));
  }),
];
