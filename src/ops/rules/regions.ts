/** CenterCropPad, Col2Im, MaxRoiPool. */

import type { Array64 } from "../../float64/array64.js";
import { zeros64 } from "../../float64/array64.js";
import { factorOf, isBatch, multiply, type Shape, sameDim, showDim, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import type { Window } from "../../graph/window.js";
import { kernelSize, positionsOf, windowOffsets } from "../../graph/window.js";
import { leadingOf, nth, present } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  floatAttribute,
  interaction,
  intsAttribute,
  knownDims,
  knownInts,
  ownAxis,
  part,
  requireInput,
  shapeMismatch,
  unsupported,
} from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { lowered } from "../elementwise.js";
import { requireConstant } from "../limits.js";
import { unfold, unfoldMethod } from "../subgraphs/unfold.js";
import { leadingSampleAxis, readWindow } from "../subgraphs/window.js";

// CenterCropPad

/** The size of each axis that is cropped or padded. */
function centredSizes(call: Call | Node): Map<number, number> {
  const { shape } = requireInput(call, 0);
  const axes = (intsAttribute(call, "axes") ?? [...shape.keys()]).map((axis) => ownAxis(call, axis, shape.length));
  const sizes = knownDims(call, 1) ?? [];
  if (sizes.length !== axes.length || new Set(axes).size !== axes.length)
    throw shapeMismatch(call, `has ${sizes.length} sizes for the axes [${axes.join(", ")}]`);
  const changed = axes.flatMap((axis, k): [number, number][] => {
    const [from, to] = [nth(shape, axis), nth(sizes, k)];
    if (sameDim(from, to)) return [];
    if (isBatch(from) || isBatch(to))
      throw interaction(call, `crops or pads ${showDim(from)} samples to ${showDim(to)}`);
    if (to < 0) throw shapeMismatch(part(call, `the size ${to}`), "is negative");
    return [[axis, to]];
  });
  return new Map(changed);
}

const centerCropPad = lowered({
  op: "CenterCropPad",
  shapeInputs: [1],
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    const sizes = centredSizes(call);
    return [{ dtype, shape: shape.map((dim, axis) => sizes.get(axis) ?? dim) }];
  },
  decompose: (node, build) => {
    const x = inputOf(node, 0);
    const sizes = centredSizes(node);
    // An odd element is cropped or added at the end.
    const cropped = [...sizes].reduce(
      (value, [axis, size]) => {
        const start = Math.floor((factorOf(nth(x.shape, axis)) - size) / 2);
        return start < 0 || factorOf(nth(x.shape, axis)) <= size
          ? value
          : build.slice(value, axis, start, start + size);
      },
      build.op("Identity", [x]),
    );
    const missing = cropped.shape.map((dim, axis) => (sizes.get(axis) ?? factorOf(dim)) - factorOf(dim));
    const before = missing.map((count) => Math.floor(count / 2));
    return [
      build.pad(
        cropped,
        before,
        missing.map((count, axis) => count - nth(before, axis)),
      ),
    ];
  },
});

// Col2Im: the adjoint of unfolding

interface Columns {
  readonly image: readonly number[];
  readonly window: Window;
  readonly positions: readonly number[];
  readonly channels: number;
}

function columnsOf(call: Call | Node): Columns {
  const { shape } = requireInput(call, 0);
  const [image, kernel] = [knownInts(call, 1) ?? [], knownInts(call, 2) ?? []];
  if (shape.length !== 3) throw shapeMismatch(part(call, `the input ${showShape(shape)}`), "is not of rank 3");
  if (shape.slice(1).some(isBatch)) throw interaction(call, "has the samples where channels or positions should be");
  const window = readWindow(call, kernel, image);
  const [rows, count] = leadingOf(shape.slice(1).map(factorOf), 2);
  const [size, positions] = [kernelSize(window), positionsOf(image, window)];
  if (kernel.length === 0 || rows % size !== 0 || count !== sizeOf(positions))
    throw shapeMismatch(part(call, `the columns ${showShape(shape)}`), `do not fill an image [${image.join(", ")}]`);
  return { image, window, positions, channels: rows / size };
}

function evaluateCol2Im([x]: readonly (Array64 | null)[], node: Node): Array64[] {
  const { dims, data } = present(x);
  const { image, window, positions, channels } = columnsOf(node);
  const [plane, size, count] = [sizeOf(image), kernelSize(window), sizeOf(positions)];
  const offsets = windowOffsets(image, window, positions);
  const result = zeros64([nth(dims, 0), channels, ...image]);
  data.forEach((element, at) => {
    const row = Math.floor(at / count);
    const offset = offsets[(at % count) * size + (row % size)] as number;
    const to = Math.floor(row / size) * plane + offset;
    if (offset >= 0) result.data[to] = (result.data[to] as number) + element;
  });
  return [result];
}

const col2Im: OpDefinition = {
  op: "Col2Im",
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    const { channels, image } = columnsOf(call);
    return [{ dtype, shape: [nth(shape, 0), channels, ...image] }];
  },
  evaluate: evaluateCol2Im,
  differentiate: (node, [dy], build) => {
    const { window } = columnsOf(node);
    const image = present(dy);
    // Works channel by channel, and therefore not by gathering whole channel rows.
    const method = unfoldMethod(image.shape, window, 1, build) === "tiles" ? "tiles" : "oneHot";
    return [build.reshape(unfold(build, image, window, 1, method).byPatch, inputOf(node, 0).shape)];
  },
  batch: (node, [x], _batched, build) => {
    const [leading, count, ...rest] = leadingOf(present(x).shape, 2);
    const merged = multiply(leading, count);
    if (merged === undefined)
      throw unsupported(node, "cannot be computed for a batch of inputs that hold the samples already");
    const folded = build.reshape(present(x), [merged, ...rest]);
    const image = build.op("Col2Im", [folded, ...node.inputs.slice(1)], node.attributes);
    return [build.reshape(image, [leading, count, ...image.shape.slice(1)])];
  },
  sampleAxis: (node, [at]) => [leadingSampleAxis(node, at)],
};

// MaxRoiPool

interface Bins {
  readonly pooled: readonly [number, number];
  readonly scale: number;
}

function binsOf(call: Call | Node): Bins {
  const [x, rois] = [requireInput(call, 0).shape, requireInput(call, 1).shape];
  const [height, width, ...more] = intsAttribute(call, "pooled_shape") ?? [];
  if (x.length !== 4 || rois.length !== 2 || rois[1] !== 5)
    throw shapeMismatch(
      part(call, `the input ${showShape(x)} or its regions ${showShape(rois)}`),
      "have other axes than it needs",
    );
  if (height === undefined || width === undefined || more.length > 0 || height < 1 || width < 1)
    throw shapeMismatch(part(call, "the pooled_shape"), "is not two positive numbers");
  if (x.slice(2).some(isBatch)) throw interaction(call, "pools along the sample axis");
  for (const count of [height, width, ...x.slice(2).map(factorOf)]) requireConstant(call, count, "a list of places");
  return { pooled: [height, width], scale: floatAttribute(call, "spatial_scale", 1) };
}

/** Rounds to the nearest integer, with halves away from zero (ONNX's Round uses the even one). */
function roundAway(build: Build, x: Value): Value {
  const size = build.abs(x);
  const floor = build.op("Floor", [size]);
  const up = build.cast(build.greaterOrEqual(build.sub(size, floor), build.scalar(0.5, x)), x.dtype);
  return build.mul(build.sign(x), build.add(floor, up));
}

interface Spans {
  /** `[regions, bins, size]`: whether the bin reads the row (column). */
  readonly reads: Value;
  /** `[regions, bins]` */
  readonly filled: Value;
}

/**
 * Divides the rows (or columns) from `first` to `last`, `[regions, 1]`, among the bins, in the same way as the runtime.
 */
function spansOf(build: Build, first: Value, last: Value, bins: number, size: number): Spans {
  const length = build.op("Max", [build.add(build.sub(last, first), build.scalar(1, first)), build.scalar(1, first)]);
  const each = build.div(length, build.scalar(bins, first));
  const numbers = (from: number, count: number) =>
    build.floats(
      Array.from({ length: count }, (_, k) => from + k),
      [count],
      first,
    );
  const within = (x: Value) =>
    build.op("Clip", [build.add(x, first), build.scalar(0, first), build.scalar(size, first)]);
  const start = within(build.op("Floor", [build.mul(each, numbers(0, bins))]));
  const end = within(build.op("Ceil", [build.mul(each, numbers(1, bins))]));
  const places = numbers(0, size);
  const reads = build.and(
    build.greaterOrEqual(places, build.unsqueeze(start, [2])),
    build.less(places, build.unsqueeze(end, [2])),
  );
  return { reads, filled: build.greater(end, start) };
}

/** The lowest float32, which stands for elements that are not read. */
const lowest = -3.4028234663852886e38;

/**
 * The maximum of `[regions, channels, ...]` over those elements along `axis` that `reads`, `[regions, bins, size]`,
 * selects.
 */
function maxWhere(build: Build, x: Value, reads: Value, axis: 2 | 3): Value {
  const [regions, bins, size] = leadingOf(reads.shape, 3);
  const shape: Shape = axis === 2 ? [regions, 1, bins, size, 1] : [regions, 1, 1, bins, size];
  const masked = build.where(build.reshape(reads, shape), build.unsqueeze(x, [axis]), build.scalar(lowest, x));
  return build.reduce("ReduceMax", masked, [axis + 1]);
}

/** Rounded corners have no derivative, so the regions get none. */
const maxRoiPool: OpDefinition = {
  op: "MaxRoiPool",
  stepSlope: true,
  hidesNaN: true,
  infer: (call) => {
    const [x, rois] = [requireInput(call, 0), requireInput(call, 1)];
    const { pooled } = binsOf(call);
    return [{ dtype: x.dtype, shape: [nth(rois.shape, 0), nth(x.shape, 1), ...pooled] }];
  },
  decompose: (node, build) => {
    const [x, rois] = inputsOf(node, 2);
    const { pooled, scale } = binsOf(node);
    const column = (at: number) => build.slice(rois, 1, at, at + 1);
    const corner = (at: number) => roundAway(build, build.scale(column(at), scale));
    const images = build.cast(build.squeeze(column(0), [1]), "int64");
    const [rows, columns] = leadingOf(
      [0, 1].map((k) => spansOf(build, corner(2 - k), corner(4 - k), nth(pooled, k), factorOf(nth(x.shape, 2 + k)))),
      2,
    );
    const best = maxWhere(build, maxWhere(build, build.gather(x, images, 0), rows.reads, 2), columns.reads, 3);
    const filled = build.and(build.unsqueeze(rows.filled, [1, 3]), build.unsqueeze(columns.filled, [1, 2]));
    return [build.mask(filled, best)];
  },
};

export const regions: readonly OpDefinition[] = [centerCropPad, col2Im, maxRoiPool];
