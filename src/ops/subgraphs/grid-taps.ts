/** Sampling along one axis of a grid: the elements around a point, and their weights. */
import type { Value } from "../../graph/value.js";
import type { Build } from "../build.js";

export type GridMode = "nearest" | "linear" | "cubic";
export type GridPadding = "zeros" | "border" | "reflection";

export interface GridAxis {
  readonly size: number;
  readonly padding: GridPadding;
  /** -1 and 1 are the centres of the first and last element, not their outer edges. */
  readonly aligned: boolean;
}

export interface GridTap {
  /** int64, within the axis. */
  readonly index: Value;
  /** Null stands for 1. */
  readonly weight: Value | null;
}

/** The taps of points with coordinates from -1 to 1. */
export function axisTaps(build: Build, coordinate: Value, mode: GridMode, axis: GridAxis): GridTap[] {
  const x = toElements(build, coordinate, axis);
  if (mode === "nearest") return [tapAt(build, build.op("Round", [x]), null, axis)];
  const settled = mode === "linear" ? settle(build, x, axis) : x;
  const floor = build.op("Floor", [settled]);
  const behind = build.sub(settled, floor);
  const [first, weights] = mode === "linear" ? [0, linearWeights(build, behind)] : [-1, cubicWeights(build, behind)];
  return weights.map((weight, k) => tapAt(build, shift(build, floor, first + k), weight, axis));
}

/** The two taps of points with coordinates in elements; beyond the ends there are zeros. */
export function elementTaps(build: Build, x: Value, size: number): GridTap[] {
  const axis: GridAxis = { size, padding: "zeros", aligned: true };
  const floor = build.op("Floor", [x]);
  return linearWeights(build, build.sub(x, floor)).map((weight, k) =>
    tapAt(build, shift(build, floor, k), weight, axis),
  );
}

const shift = (build: Build, x: Value, by: number): Value => (by === 0 ? x : build.add(x, build.scalar(by, x)));

/** Coordinates in elements, with operations in the order in which ONNX Runtime rounds. */
function toElements(build: Build, coordinate: Value, { size, aligned }: GridAxis): Value {
  const from = shift(build, coordinate, 1);
  const half = (x: Value) => build.div(x, build.scalar(2, x));
  return aligned ? build.scale(half(from), size - 1) : half(shift(build, build.scale(from, size), -1));
}

/** Limited to 0..last. Beyond that, and at the ends themselves, nothing flows back to x, as in PyTorch. */
function clamp(build: Build, x: Value, last: number): Value {
  const [low, high] = [build.scalar(0, x), build.scalar(last, x)];
  // Comparisons with NaN are false, so that stays within the axis too.
  return build.where(build.greater(x, low), build.where(build.less(x, high), x, high), low);
}

/** Reflected at the ends as many times as necessary: a triangle wave. */
function reflect(build: Build, x: Value, { size, aligned }: GridAxis): Value {
  const [low, range] = aligned ? [0, size - 1] : [-0.5, size];
  if (range === 0) return build.scale(x, 0);
  const distance = build.abs(shift(build, x, -low));
  const period = build.scalar(2 * range, x);
  const turns = build.op("Floor", [build.div(distance, period)]);
  const rest = build.sub(distance, build.mul(turns, period));
  return build.sub(build.scalar(low + range, x), build.abs(shift(build, rest, -range)));
}

/**
 * The point at which one beyond the ends is read: equal to reading its taps there, except for the derivative at the
 * ends.
 */
function settle(build: Build, x: Value, axis: GridAxis): Value {
  if (axis.padding === "zeros") return x;
  return clamp(build, axis.padding === "reflection" ? reflect(build, x, axis) : x, axis.size - 1);
}

/** The element at a whole number, by the padding mode; outside, with zeros, any element with weight 0. */
function tapAt(build: Build, at: Value, weight: Value | null, axis: GridAxis): GridTap {
  const last = axis.size - 1;
  if (axis.padding !== "zeros") return { index: build.cast(settle(build, at, axis), "int64"), weight };
  const zero = build.scalar(0, at);
  const inside = build.and(build.greaterOrEqual(at, zero), build.lessOrEqual(at, build.scalar(last, at)));
  const index = build.cast(build.where(inside, at, zero), "int64");
  return { index, weight: build.where(inside, weight ?? build.scalar(1, at), zero) };
}

function linearWeights(build: Build, behind: Value): Value[] {
  return [build.sub(build.scalar(1, behind), behind), behind];
}

/** Cubic convolution with the coefficient -0.75, for the four elements around a point. */
function cubicWeights(build: Build, behind: Value): Value[] {
  const a = -0.75;
  const polynomial = (d: Value, [first = 0, ...rest]: readonly number[]): Value =>
    rest.reduce((sum, c) => shift(build, build.mul(sum, d), c), build.scalar(first, d));
  const near = (d: Value) => polynomial(d, [a + 2, -(a + 3), 0, 1]);
  const far = (d: Value) => polynomial(d, [a, -5 * a, 8 * a, -4 * a]);
  const ahead = build.sub(build.scalar(1, behind), behind);
  return [far(shift(build, behind, 1)), near(behind), near(ahead), far(shift(build, ahead, 1))];
}
