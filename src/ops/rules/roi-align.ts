/**
 * RoiAlign: a composite. Along each axis, a bin of a region reads samples between the elements, so the average is a
 * product with a matrix for each axis. As in ONNX's reference and in ONNX Runtime, "max" takes the maximum over the
 * elements around the samples, each times its weight, and not over interpolated values.
 */

import { factorOf, isBatch, sameDim, showShape } from "../../graph/dim.js";
import { inputsOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  floatAttribute,
  intAttribute,
  interaction,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { requireConstant } from "../limits.js";

interface Alignment {
  readonly pooled: readonly [number, number];
  readonly mode: "avg" | "max";
  /** Number of samples of a bin along each axis; 0 for as many as the bin has elements, rounded up. */
  readonly ratio: number;
  readonly scale: number;
  /** Whether elements are points in the middle of pixels. */
  readonly halfPixel: boolean;
}

function alignmentOf(call: Call | Node): Alignment {
  const [x, rois, images] = leadingOf(
    [0, 1, 2].map((k) => requireInput(call, k).shape),
    3,
  );
  const fits = x.length === 4 && rois.length === 2 && rois[1] === 4;
  if (!fits || images.length !== 1 || !sameDim(nth(images, 0), nth(rois, 0)))
    throw shapeMismatch(
      part(call, `the input ${showShape(x)}, regions ${showShape(rois)} and batch_indices ${showShape(images)}`),
      "do not fit each other",
    );
  if (x.slice(2).some(isBatch)) throw interaction(call, "pools along the sample axis");
  const [mode, shift] = [
    stringAttribute(call, "mode", "avg"),
    stringAttribute(call, "coordinate_transformation_mode", "half_pixel"),
  ];
  if (mode !== "avg" && mode !== "max")
    throw unsupported(call, `has the mode "${mode}", which pergrad does not know`, 'give "avg" or "max"');
  if (shift !== "half_pixel" && shift !== "output_half_pixel")
    throw unsupported(
      call,
      `has the coordinate_transformation_mode "${shift}", which pergrad does not know`,
      'give "half_pixel" or "output_half_pixel"',
    );
  const [height, width, ratio] = [
    intAttribute(call, "output_height", 1),
    intAttribute(call, "output_width", 1),
    intAttribute(call, "sampling_ratio", 0),
  ];
  if (height < 1 || width < 1 || ratio < 0 || x.slice(2).includes(0))
    throw shapeMismatch(call, `pools ${showShape(x)} to ${height} x ${width} bins of ${ratio} samples`);
  for (const count of [height, width, ratio, ...x.slice(2).map(factorOf)])
    requireConstant(call, count, "a list of places");
  return {
    pooled: [height, width],
    mode,
    ratio,
    scale: floatAttribute(call, "spatial_scale", 1),
    halfPixel: shift === "half_pixel",
  };
}

/** Samples along one axis, for `R` regions and `P` bins. `S` is the number of a bin's samples that may count. */
interface Samples {
  /** `[R, P, S]`: positions, in elements. */
  readonly at: Value;
  /** `[R, P, S]` or `[1, 1, S]`: whether the sample exists. */
  readonly exists: Value;
  /** `[R, 1, 1]`: the number of samples of a bin. */
  readonly count: Value;
  readonly size: number;
}

const counted = (build: Build, like: Value, count: number, dims: readonly number[]): Value =>
  build.floats(
    Array.from({ length: count }, (_, k) => k),
    dims,
    like,
  );

/**
 * @param ends where the regions begin and end, each `[R, 1, 1]`
 * @param size of the axis
 */
function samplesOf(build: Build, ends: readonly [Value, Value], bins: number, size: number, how: Alignment): Samples {
  const [start, end] = ends;
  const number = (x: number) => build.scalar(x, start);
  const whole = build.sub(end, start);
  const extent = how.halfPixel ? whole : build.op("Max", [whole, number(1)]);
  const bin = build.div(extent, number(bins));
  const from = build.add(start, build.mul(bin, counted(build, start, bins, [1, bins, 1])));
  if (how.ratio > 0) {
    const steps = build.add(counted(build, start, how.ratio, [1, 1, how.ratio]), number(0.5));
    const at = build.add(from, build.mul(build.div(bin, number(how.ratio)), steps));
    const none = build.zeros(start.shape, start.dtype);
    return { at, exists: build.equal(none, none), count: build.add(none, number(how.ratio)), size };
  }
  // Only few samples lie within the axis, however long the region. Counting starts with the last sample before the
  // axis.
  const most = size + 6;
  const real = build.greater(bin, number(0));
  const some = build.where(real, bin, number(1));
  const each = build.op("Ceil", [some]);
  const spacing = build.div(some, each);
  const before = build.op("Ceil", [build.div(build.sub(number(-1), from), spacing)]);
  const first = build.op("Max", [build.sub(before, number(2)), number(0)]);
  const numbers = build.add(first, counted(build, start, most, [1, 1, most]));
  const at = build.add(from, build.mul(spacing, build.add(numbers, number(0.5))));
  return { at, exists: build.and(real, build.less(numbers, each)), count: build.mask(real, each), size };
}

/** The weights with which samples read elements. */
interface Taken {
  /** `[R, P, S, size]`: whether a sample reads an element; samples outside the axis read nothing. */
  readonly meets: Value;
  /** `[R, P, S, 1]` */
  readonly weight: Value;
}

/** The weights of the element before each sample, and of the element after it. */
function takenOf(build: Build, { at, exists, size }: Samples): [Taken, Taken] {
  const number = (x: number) => build.scalar(x, at);
  const low = build.where(build.greater(at, number(0)), at, number(0));
  const place = build.where(build.less(low, number(size - 1)), low, number(size - 1));
  const floor = build.op("Floor", [place]);
  const behind = build.sub(place, floor);
  const takes = build.unsqueeze(build.and(exists, insideOf(build, at, size)), [3]);
  const elements = counted(build, at, size, [size]);
  const of = (element: Value, weight: Value): Taken => ({
    meets: build.and(takes, build.equal(build.unsqueeze(element, [3]), elements)),
    weight: build.unsqueeze(weight, [3]),
  });
  const next = build.op("Min", [build.add(floor, number(1)), number(size - 1)]);
  return [of(floor, build.sub(number(1), behind)), of(next, behind)];
}

/** Up to one element beyond the axis, a sample reads the first (or last) element. */
function insideOf(build: Build, at: Value, size: number): Value {
  return build.and(build.greaterOrEqual(at, build.scalar(-1, at)), build.lessOrEqual(at, build.scalar(size, at)));
}

/** `[R, P, size]`: the sum of the weights of a bin's samples. */
function summed(build: Build, samples: Samples): Value {
  const [first, second] = takenOf(build, samples).map(({ meets, weight }) => build.mask(meets, weight));
  return build.sum(build.add(present(first), present(second)), [2]);
}

/**
 * `x` is `[R, C, H, W]`. The weights of rows and columns are summed separately, because every row sample is paired with
 * every column sample.
 */
function average(build: Build, x: Value, rows: Samples, columns: Samples): Value {
  const along = build.matmul(x, build.unsqueeze(build.transposeLast(summed(build, columns)), [1]));
  const sum = build.matmul(build.unsqueeze(summed(build, rows), [1]), along);
  const count = build.op("Max", [build.mul(rows.count, columns.count), build.scalar(1, x)]);
  return build.div(sum, build.unsqueeze(count, [3]));
}

/** Greater than all values; stands for elements that do not exist. */
const far = 3.4028234663852886e38;

/** For each element, its greatest and smallest weight, `[R, P, size]`, and whether samples lie outside, `[R, P]`. */
interface Extremes {
  readonly most: Value;
  readonly least: Value;
  readonly outside: Value;
}

function extremesOf(build: Build, samples: Samples): Extremes {
  const [first, second] = takenOf(build, samples);
  const of = (op: "Max" | "Min", none: number) => {
    const parts = [first, second].map(({ meets, weight }) =>
      build.reduce(`Reduce${op}`, build.where(meets, weight, build.scalar(none, weight)), [2]),
    );
    return build.op(op, parts);
  };
  const missed = build.and(samples.exists, build.not(insideOf(build, samples.at, samples.size)));
  const outside = build.reduce("ReduceMax", build.cast(missed, samples.at.dtype), [2]);
  return { most: of("Max", -far), least: of("Min", far), outside };
}

/**
 * The greatest product of an element with its row weight and column weight. As weights are not negative, elements from
 * 0 on use the greatest weight and negative elements the smallest, and rows can be reduced before columns.
 */
function greatest(build: Build, x: Value, rows: Samples, columns: Samples): Value {
  const [own, across] = [extremesOf(build, rows), extremesOf(build, columns)];
  const number = (element: number) => build.scalar(element, x);
  const among = (chosen: Value, byRow: Value, byColumn: Value) => {
    const [row, column] = [build.unsqueeze(byRow, [1, 4]), build.unsqueeze(byColumn, [1, 2])];
    const used = (weight: Value) => build.less(build.abs(weight), number(far / 2));
    const there = build.and(build.unsqueeze(chosen, [2]), used(row));
    const products = build.mul(build.unsqueeze(x, [2]), build.mask(used(row), row));
    const ofRows = build.unsqueeze(build.reduce("ReduceMax", build.where(there, products, number(-far)), [3]), [3]);
    const both = build.and(used(column), build.greater(ofRows, number(-far / 2)));
    const weighed = build.mul(ofRows, build.mask(used(column), column));
    return build.reduce("ReduceMax", build.where(both, weighed, number(-far)), [4]);
  };
  const positive = build.greaterOrEqual(x, number(0));
  const best = build.op("Max", [
    among(positive, own.most, across.most),
    among(build.not(positive), own.least, across.least),
  ]);
  // A sample outside the axis counts as 0.
  const outside = build.add(build.unsqueeze(own.outside, [1, 3]), build.unsqueeze(across.outside, [1, 2]));
  const all = build.where(build.greater(outside, number(0)), build.op("Max", [best, number(0)]), best);
  const any = build.greater(build.mul(rows.count, columns.count), number(0));
  return build.mask(build.unsqueeze(any, [3]), all);
}

const roiAlign: OpDefinition = {
  op: "RoiAlign",
  hidesNaN: (node) => stringAttribute(node, "mode", "avg") === "max",
  infer: (call) => {
    const [x, rois] = [requireInput(call, 0), requireInput(call, 1)];
    const { pooled } = alignmentOf(call);
    return [{ dtype: x.dtype, shape: [nth(rois.shape, 0), nth(x.shape, 1), ...pooled] }];
  },
  decompose: (node, build) => {
    const [x, rois, images] = inputsOf(node, 3);
    const how = alignmentOf(node);
    const end = (at: number) => {
      const scaled = build.scale(build.slice(rois, 1, at, at + 1), how.scale);
      return build.unsqueeze(how.halfPixel ? build.sub(scaled, build.scalar(0.5, scaled)) : scaled, [2]);
    };
    const [rows, columns] = leadingOf(
      [0, 1].map((axis) =>
        samplesOf(build, [end(1 - axis), end(3 - axis)], nth(how.pooled, axis), factorOf(nth(x.shape, 2 + axis)), how),
      ),
      2,
    );
    const own = build.gather(x, images, 0);
    return [how.mode === "avg" ? average(build, own, rows, columns) : greatest(build, own, rows, columns)];
  },
};

export const roiAligning: readonly OpDefinition[] = [roiAlign];
