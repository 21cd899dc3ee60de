/** Resizing along one axis: the input elements that make up an output element, and their weights. */

import { nth } from "../../present.js";

interface Tap {
  readonly index: number;
  readonly weight: number;
}

/** For each tap k, what output element t takes: `weights[t]` times input element `indices[t]`. */
export interface TapColumn {
  readonly indices: Int32Array;
  readonly weights: Float64Array;
}

export interface AxisScale {
  readonly size: number;
  readonly count: number;
  readonly scale: number;
}

/** How elements are sampled, in ONNX's terms. */
export interface Sampling {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  /** The coefficient a of cubic interpolation. */
  readonly cubic: number;
  readonly excludeOutside: boolean;
  /** If there are fewer outputs than inputs, stretch the interpolation over correspondingly more inputs. */
  readonly antialias: boolean;
}

/** The place of output element t among the inputs; `round` rounds each step. */
function coordinate(t: number, along: AxisScale, kind: string, round: (x: number) => number): number {
  const { size, count } = along;
  const scale = round(along.scale);
  const half = (): number => round(round((t + 0.5) / scale) - 0.5);
  switch (kind) {
    case "asymmetric":
      return round(t / scale);
    case "align_corners":
      return count === 1 ? 0 : round(round(t * (size - 1)) / (count - 1));
    case "pytorch_half_pixel":
      return count > 1 ? half() : 0;
    case "tf_half_pixel_for_nn":
      return round((t + 0.5) / scale);
    case "half_pixel_symmetric": {
      const adjustment = round(count / round(scale * size));
      return round(round(round(size / 2) * round(1 - adjustment)) + half());
    }
    default:
      return half();
  }
}

const nearestPixel: Readonly<Record<string, (x: number) => number>> = {
  floor: Math.floor,
  ceil: Math.ceil,
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
};

/** The weight of an element at a distance below 2. */
function cubicWeight(distance: number, a: number): number {
  const d = Math.abs(distance);
  if (d >= 2) return 0;
  return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
}

function cubicTaps(x: number, size: number, { cubic, excludeOutside }: Sampling): Tap[] {
  const first = Math.floor(x) - 1;
  const weights = Array.from({ length: 4 }, (_, k) => cubicWeight(x - (first + k), cubic));
  const outside = (index: number) => index < 0 || index >= size;
  const kept = weights.map((weight, k) => (excludeOutside && outside(first + k) ? 0 : weight));
  const total = excludeOutside ? kept.reduce((sum, weight) => sum + weight, 0) : 1;
  return kept.map((weight, k) => ({ index: clamp(first + k, size), weight: weight / total }));
}

/** How far from a point elements count, in units of the point's own spacing. */
const reach = (mode: string): number => (mode === "cubic" ? 2 : 1);

/**
 * The elements that count if distances are measured in outputs, when there are fewer of those. Elements outside are the
 * outermost one, or do not count.
 */
function antialiasedTaps(x: number, { size, scale }: AxisScale, { mode, cubic, excludeOutside }: Sampling): Tap[] {
  const shrunk = Math.min(scale, 1);
  const first = Math.ceil(x) + Math.floor(-reach(mode) / shrunk);
  const weightAt = (index: number) => {
    if (excludeOutside && clamp(index, size) !== index) return 0;
    const distance = (index - x) * shrunk;
    return mode === "cubic" ? cubicWeight(distance, cubic) : Math.max(0, 1 - Math.abs(distance));
  };
  const places = Array.from({ length: tapCount(mode, shrunk) }, (_, k) => first + k);
  const weights = places.map(weightAt);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return places.map((index, k) => ({ index: clamp(index, size), weight: nth(weights, k) / total }));
}

const clamp = (index: number, size: number) => Math.min(Math.max(index, 0), size - 1);

function linearTaps(x: number, size: number): Tap[] {
  const at = clamp(x, size);
  const index = Math.floor(at);
  return [
    { index, weight: 1 - (at - index) },
    { index: clamp(index + 1, size), weight: at - index },
  ];
}

/**
 * The taps of the output elements, the same number for each. With "nearest" the element jumps, so its place is computed
 * in float32 with ONNX Runtime's roundings: otherwise the backward pass would use another element.
 */
export function tapsOf(along: AxisScale, sampling: Sampling): TapColumn[] {
  const { mode, coordinates, antialias } = sampling;
  const { count, scale } = along;
  const round = mode === "nearest" ? Math.fround : (x: number) => x;
  const columns = Array.from({ length: tapCount(mode, antialias ? scale : 1) }, (): TapColumn => {
    return { indices: new Int32Array(count), weights: new Float64Array(count) };
  });
  for (let t = 0; t < count; t++) {
    elementTaps(coordinate(t, along, coordinates, round), along, sampling).forEach(({ index, weight }, k) => {
      const { indices, weights } = nth(columns, k);
      indices[t] = index;
      weights[t] = weight;
    });
  }
  return columns;
}

/**
 * How many input elements an output element is made of.
 * @param scale where antialiasing stretches the interpolation over more of them
 */
export function tapCount(mode: string, scale = 1): number {
  return mode === "nearest" ? 1 : -2 * Math.floor(-reach(mode) / Math.min(scale, 1));
}

function elementTaps(x: number, along: AxisScale, sampling: Sampling): Tap[] {
  const { size } = along;
  if (sampling.antialias) return antialiasedTaps(x, along, sampling);
  if (sampling.mode === "linear") return linearTaps(x, size);
  if (sampling.mode === "cubic") return cubicTaps(x, size, sampling);
  const nearest = nearestPixel[sampling.nearest] ?? Math.floor;
  return [{ index: clamp(nearest(x), size), weight: 1 }];
}
