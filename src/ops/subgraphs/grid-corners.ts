/** Elements picked from a grid at computed places: every combination of the taps of its axes. */

import { stridesOf } from "../../float64/array64.js";
import type { Value } from "../../graph/value.js";
import { leadingOf, nth } from "../../present.js";
import type { Build } from "../build.js";
import type { GridTap } from "./grid-taps.js";

/** One element for each point: its index in a row-major array of the spatial axes, and its weight. */
export interface Corner {
  readonly index: Value;
  /** Null stands for 1. */
  readonly weight: Value | null;
}

function joinTap(build: Build, corner: Corner | null, tap: GridTap, stride: number): Corner {
  const index = stride === 1 ? tap.index : build.mul(tap.index, build.ints([stride], []));
  if (!corner) return { index, weight: tap.weight };
  const weight = corner.weight && tap.weight ? build.mul(corner.weight, tap.weight) : (corner.weight ?? tap.weight);
  return { index: build.add(corner.index, index), weight };
}

/** Every combination of the taps of the axes, which all have one shape; `spatial` are the sizes of the axes. */
export function cornersOf(build: Build, taps: readonly (readonly GridTap[])[], spatial: readonly number[]): Corner[] {
  const strides = stridesOf(spatial);
  return taps.reduce<(Corner | null)[]>(
    (corners, own, axis) =>
      corners.flatMap((corner) => own.map((tap) => joinTap(build, corner, tap, nth(strides, axis)))),
    [null],
  ) as Corner[];
}

/** `[n, channels, points]`: the elements of X, `[n, channels, elements]`, at the indices `[n, points]`. */
function pick(build: Build, x: Value, index: Value): Value {
  const [count, channels, elements] = leadingOf(x.shape, 3);
  const [, points] = leadingOf(index.shape, 2);
  if (count === 1) {
    const picked = build.gather(build.reshape(x, [channels, elements]), build.reshape(index, [points]), 1);
    return build.unsqueeze(picked, [0]);
  }
  const places = build.expand(build.unsqueeze(index, [1]), [count, channels, points]);
  return build.op("GatherElements", [x, places], { axis: 2 });
}

/** `[n, channels, points]`: the elements of X, `[n, channels, elements]`, at the corners, times their weights, added up. */
export function weightedCorners(build: Build, x: Value, corners: readonly Corner[]): Value {
  const parts = corners.map(({ index, weight }) => {
    const picked = pick(build, x, index);
    return weight ? build.mul(picked, build.unsqueeze(weight, [1])) : picked;
  });
  return parts.reduce((sum, part) => build.add(sum, part));
}
