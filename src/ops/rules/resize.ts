/**
 * Resize. It is linear and separable: along each axis, every output element is a weighted sum of a few input elements.
 */

import type { Array64 } from "../../float64/array64.js";
import { zeros64 } from "../../float64/array64.js";
import { type Dim, elementsOf, factorOf, isBatch, multiply, sameDim, showDim } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import { constantOf, type Node, type Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import { elementsIn, isFloat, sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  apartFrom,
  intAttribute,
  interaction,
  intsAttribute,
  knownDims,
  ownAxis,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unknownShape,
  unsupported,
} from "../checks.js";
import { never, type OpDefinition } from "../definition.js";
import { requireConstant } from "../limits.js";
import { scatterRows } from "../subgraphs/rows.js";
import { type TapColumn, tapCount, tapsOf } from "../subgraphs/taps.js";

/** One axis whose size changes from `size` to `count`. */
export interface Stretch {
  readonly axis: number;
  readonly size: number;
  readonly count: number;
  readonly scale: number;
}

// Reading the node

/** The axes that scales and sizes refer to. */
function statedAxes(call: Call | Node): number[] {
  const rank = requireInput(call, 0).shape.length;
  const axes = intsAttribute(call, "axes")?.map((axis) => ownAxis(call, axis, rank));
  if (axes && new Set(axes).size !== axes.length) throw shapeMismatch(call, "names an axis twice");
  return axes ?? Array.from({ length: rank }, (_, axis) => axis);
}

/** The scales, rounded to float32 as in the operator's input; undefined if absent or empty. */
function scalesOf(call: Call | Node): number[] | undefined {
  const scales = call.inputs[2];
  if (!scales || (scales.shape.length === 1 && scales.shape[0] === 0)) return undefined;
  const tensor = constantOf(scales);
  if (!tensor)
    throw unknownShape(
      part(call, `the scales ("${scales.name}")`),
      "must be known before the model runs, but are computed",
    );
  return Array.from(elementsIn(tensor), (scale) => Math.fround(Number(scale)));
}

function stretchSizes(call: Call | Node): readonly Dim[] | undefined {
  const sizes = knownDims(call, 3);
  return sizes?.length === 0 ? undefined : sizes;
}

function requireOnePerAxis(call: Call | Node, list: readonly unknown[], axes: readonly number[], what: string): void {
  if (list.length !== axes.length) throw shapeMismatch(call, `has ${list.length} ${what} for ${axes.length} axes`);
}

function atLeastOne(call: Call | Node, count: number): number {
  if (count >= 1) return count;
  throw shapeMismatch(part(call, "the scale"), "leaves no element of an axis");
}

function stretchByScale(call: Call | Node, axis: number, dim: Dim, scale: number): Stretch[] {
  if (!(scale > 0) || !Number.isFinite(scale)) throw shapeMismatch(part(call, `the scale ${scale}`), "is not positive");
  if (scale === 1) return [];
  if (isBatch(dim)) throw interaction(call, "resizes the sample axis");
  return dim === 0 ? [] : [{ axis, size: dim, count: atLeastOne(call, Math.floor(Math.fround(scale * dim))), scale }];
}

function stretchToSize(call: Call | Node, axis: number, dim: Dim, target: Dim): Stretch[] {
  if (sameDim(dim, target)) return [];
  if (isBatch(dim)) throw interaction(call, `resizes the sample axis to ${showDim(target)}`);
  if (isBatch(target)) throw unsupported(call, `resizes axis ${axis} to a size that depends on the batch size`);
  if (dim === 0 || target <= 0) throw shapeMismatch(call, `cannot resize ${dim} elements to ${target}`);
  return [{ axis, size: dim, count: target, scale: target / dim }];
}

const policyOf = (call: Call | Node) => stringAttribute(call, "keep_aspect_ratio_policy", "stretch");

/** One scale for all axes: the smallest or the greatest of those that the sizes imply. */
function stretchAlike(call: Call | Node, axes: readonly number[], sizes: readonly Dim[]): Stretch[] {
  const dims = axes.map((axis) => nth(requireInput(call, 0).shape, axis));
  if ([...dims, ...sizes].some(isBatch))
    throw unsupported(call, "keeps the aspect ratio of several axes, one of them the sample axis");
  const ratios = sizes.map((target, k) => Math.fround(factorOf(target) / factorOf(nth(dims, k))));
  if (!ratios.every((ratio) => ratio > 0 && Number.isFinite(ratio)))
    throw shapeMismatch(part(call, "the sizes"), "are empty");
  const scale = policyOf(call) === "not_larger" ? Math.min(...ratios) : Math.max(...ratios);
  if (scale === 1) return [];
  return axes.map((axis, k) => {
    const size = factorOf(nth(dims, k));
    return { axis, size, count: atLeastOne(call, Math.round(Math.fround(scale * size))), scale };
  });
}

export function stretchesOf(call: Call | Node): Stretch[] {
  const { shape } = requireInput(call, 0);
  const axes = statedAxes(call);
  const [scales, sizes] = [scalesOf(call), stretchSizes(call)];
  if (scales && sizes) throw shapeMismatch(call, "has both scales and sizes");
  if (scales) {
    requireOnePerAxis(call, scales, axes, "scales");
    return axes.flatMap((axis, k) => stretchByScale(call, axis, nth(shape, axis), nth(scales, k)));
  }
  if (!sizes) throw shapeMismatch(call, "has neither scales nor sizes");
  requireOnePerAxis(call, sizes, axes, "sizes");
  if (policyOf(call) !== "stretch") return stretchAlike(call, axes, sizes);
  return axes.flatMap((axis, k) => stretchToSize(call, axis, nth(shape, axis), nth(sizes, k)));
}

const coordinateModes = [
  "half_pixel",
  "half_pixel_symmetric",
  "pytorch_half_pixel",
  "align_corners",
  "asymmetric",
  "tf_half_pixel_for_nn",
];

const choices: Readonly<Record<string, readonly string[]>> = {
  mode: ["nearest", "linear", "cubic"],
  coordinate_transformation_mode: coordinateModes,
  nearest_mode: ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"],
  keep_aspect_ratio_policy: ["stretch", "not_larger", "not_smaller"],
};

function requireSupported(call: Call): void {
  // The other forms of Resize are composed of other operators when a file is read.
  if (stringAttribute(call, "coordinate_transformation_mode", "half_pixel") === "tf_crop_and_resize")
    throw unsupported(
      call,
      "crops (tf_crop_and_resize) by cubic interpolation, in a fixed ratio or between corners that are computed",
      "give it constant corners, and the mode linear or nearest",
    );
  for (const [name, allowed] of Object.entries(choices)) {
    const chosen = stringAttribute(call, name, nth(allowed, 0));
    if (!allowed.includes(chosen))
      throw unsupported(
        call,
        `has the ${name} "${chosen}", which pergrad does not know`,
        `give one of ${allowed.join(", ")}`,
      );
  }
  if (isAntialiased(call) && stretchMode(call) === "nearest")
    throw unsupported(call, "has antialias=1 and takes the nearest elements, which ONNX does not define");
  const { dtype } = requireInput(call, 0);
  if (stretchMode(call) !== "nearest" && !isFloat(dtype))
    throw unsupported(call, `interpolates between numbers of ${dtype}`, "cast its input to float32");
}

export const isAntialiased = (call: Call | Node) => intAttribute(call, "antialias", 0) !== 0;

export const stretchMode = (call: Call | Node) => stringAttribute(call, "mode", "nearest");

// Applying it

/** The taps of each of the `count` elements along the axis; all elements have the same number of taps. */
function axisTaps(node: Node, { size, count, scale }: Stretch): TapColumn[] {
  const antialias = isAntialiased(node);
  requireConstant(node, Math.max(size, count * tapCount(stretchMode(node), antialias ? scale : 1)), "weights");
  return tapsOf(
    { size, count, scale },
    {
      mode: stretchMode(node),
      coordinates: stringAttribute(node, "coordinate_transformation_mode", "half_pixel"),
      nearest: stringAttribute(node, "nearest_mode", "round_prefer_floor"),
      cubic: intAttribute(node, "cubic_coeff_a", -0.75),
      excludeOutside: intAttribute(node, "exclude_outside", 0) !== 0,
      antialias,
    },
  );
}

function stretch64(x: Array64, { axis, size, count }: Stretch, taps: readonly TapColumn[]): Array64 {
  const [outer, inner] = [sizeOf(x.dims.slice(0, axis)), sizeOf(x.dims.slice(axis + 1))];
  const y = zeros64(x.dims.map((dim, at) => (at === axis ? count : dim)));
  for (let row = 0; row < outer * count; row++) {
    const from = Math.floor(row / count) * size;
    for (const { indices, weights } of taps) {
      const [index, weight] = [indices[row % count] as number, weights[row % count] as number];
      // A tap of weight 0 reads nothing, so that infinities do not spread.
      if (weight === 0) continue;
      for (let i = 0; i < inner; i++) {
        const at = row * inner + i;
        y.data[at] = (y.data[at] as number) + weight * (x.data[(from + index) * inner + i] as number);
      }
    }
  }
  return y;
}

/** Indices and weights for each tap; the weights broadcast along the axis. */
function columnsOf(build: Build, value: Value, { axis, count }: Stretch, taps: readonly TapColumn[]) {
  const along = [count, ...value.shape.slice(axis + 1).map(() => 1)];
  return taps.map(({ indices, weights }) => ({
    indices: build.constant({ dtype: "int32", dims: [count], data: indices }),
    weights: build.floats(weights, along, value),
  }));
}

/** Computes the same by Gather. */
export function stretchByGather(build: Build, x: Value, node: Node, stretch: Stretch): Value {
  const taps = axisTaps(node, stretch);
  const columns = columnsOf(build, x, stretch, taps);
  const parts = columns.map(({ indices, weights }, k) => {
    const gathered = build.gather(x, indices, stretch.axis);
    // Integers are copied: all their taps have weight 1 or 0.
    return nth(taps, k).weights.every((weight) => weight === 1) ? gathered : build.mul(gathered, weights);
  });
  return parts.reduce((sum, part) => build.add(sum, part));
}

/** Up to this many elements, the dense matrix of an axis is faster: see AveragePool. */
const largestMatrix = 256 * 256;

/** Propagates the cotangent back along one axis: the index of each tap receives the part given by its weight. */
function stretchBack(build: Build, dy: Value, node: Node, stretch: Stretch): Value {
  const { axis, size, count } = stretch;
  const taps = axisTaps(node, stretch);
  const shape = dy.shape.map((dim, at) => (at === axis ? size : dim));
  if (size * count <= largestMatrix) return build.reshape(spreadByMatrix(build, dy, stretch, taps), shape);
  const parts = columnsOf(build, dy, stretch, taps).map(({ indices, weights }) => {
    const part = stretchMode(node) === "nearest" ? dy : build.mul(dy, weights);
    return scatterRows(build, indices, part, axis, shape);
  });
  return parts.reduce((sum, part) => build.add(sum, part));
}

function spreadByMatrix(build: Build, dy: Value, { axis, size, count }: Stretch, taps: readonly TapColumn[]): Value {
  const [outer, inner] = [present(elementsOf(dy.shape.slice(0, axis))), present(elementsOf(dy.shape.slice(axis + 1)))];
  const last = inner === 1;
  const matrix = new Float64Array(size * count);
  for (const { indices, weights } of taps) {
    indices.forEach((index, t) => {
      const at = last ? t * size + index : index * count + t;
      matrix[at] = (matrix[at] as number) + (weights[t] as number);
    });
  }
  if (last) return build.matmul(build.reshape(dy, [outer, count]), build.floats(matrix, [count, size], dy));
  return build.matmul(build.floats(matrix, [size, count], dy), build.reshape(dy, [outer, count, inner]));
}

// Emitting it

/** The same node on `x`, whose axes are shifted back by `shift`. Axes that do not change are not listed. */
function resizedAlike(node: Node, x: Value, shift: number, build: Build): Value {
  const stretches = stretchesOf(node);
  if (stretches.length === 0) return x;
  const alike = policyOf(node) !== "stretch";
  const axes = statedAxes(node);
  const kept = alike ? axes : stretches.map(({ axis }) => axis);
  const at = kept.map((axis) => axes.indexOf(axis));
  const scales = scalesOf(node);
  const data = Float32Array.from(at, (k) => scales?.[k] ?? 1);
  const sizes = at.map((k) => factorOf(stretchSizes(node)?.[k] ?? 0));
  return build.op(
    "Resize",
    scales
      ? [x, null, build.constant({ dtype: "float32", dims: [at.length], data })]
      : [x, null, null, build.ints(sizes)],
    { ...node.attributes, axes: kept.map((axis) => axis + shift) },
  );
}

/**
 * The runtime's kernels interpolate only images. Where possible, the new axis is merged with the first one; otherwise
 * the taps are gathered.
 */
function batchResize(node: Node, x: Value, build: Build): Value {
  if (stretchMode(node) === "nearest") return resizedAlike(node, x, 1, build);
  const stretches = stretchesOf(node);
  const [first, second, ...rest] = leadingOf(x.shape, 1);
  const merged = second === undefined ? undefined : multiply(first, second);
  if (merged === undefined || stretches.some(({ axis }) => axis === 0)) {
    const moved = stretches.map((stretch) => ({ ...stretch, axis: stretch.axis + 1 }));
    return moved.reduce((value, stretch) => stretchByGather(build, value, node, stretch), x);
  }
  const y = resizedAlike(node, build.reshape(x, [merged, ...rest]), 0, build);
  return build.reshape(y, [first, present(second), ...y.shape.slice(1)]);
}

const resizeOp: OpDefinition = {
  op: "Resize",
  settings: { 1: never("it says how an image is resized"), 2: never("it says how an image is resized") },
  writtenShape: 3,
  shapeInputs: [3],
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    requireSupported(call);
    const counts = new Map(stretchesOf(call).map(({ axis, count }) => [axis, count]));
    return [{ dtype, shape: shape.map((dim, axis) => counts.get(axis) ?? dim) }];
  },
  lower: (node, build) => {
    return stretchesOf(node).length === 0 ? [build.op("Identity", [inputOf(node, 0)])] : null;
  },
  evaluate: ([x], node) => [
    stretchesOf(node).reduce((y, stretch) => stretch64(y, stretch, axisTaps(node, stretch)), present(x)),
  ],
  differentiate: (node, [dy], build) => [
    stretchesOf(node).reduceRight((value, stretch) => stretchBack(build, value, node, stretch), present(dy)),
  ],
  batch: (node, [x], _batched, build) => [batchResize(node, present(x), build)],
  sampleAxis: (node, [at]) => {
    const axes = stretchesOf(node).map(({ axis }) => axis);
    return [apartFrom(node, at ?? null, axes, "resizes the sample axis")];
  },
};

export const resize: readonly OpDefinition[] = [resizeOp];
