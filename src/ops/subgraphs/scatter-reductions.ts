/**
 * ScatterElements with a reduction that is not linear. Each element of the data forms a group with the updates that are
 * written to it.
 */
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf } from "../../present.js";
import type { Build } from "../build.js";

/** The cotangents of data and updates; null if not wanted. */
export interface ScatterCotangents {
  readonly data: Value | null;
  readonly updates: Value | null;
}

interface Scattered {
  readonly data: Value;
  readonly updates: Value;
  /** Adds updates to a tensor of the data's shape. */
  readonly add: (to: Value, updates: Value) => Value;
  /** The element of a tensor of the data's shape that each update goes to. */
  readonly take: (from: Value) => Value;
}

function scatteredOf(node: Node, axis: number, build: Build): Scattered {
  const [data, indices, updates] = inputsOf(node, 3);
  return {
    data,
    updates,
    add: (to, more) => build.op("ScatterElements", [to, indices, more], { axis, reduction: "add" }),
    take: (from) => build.op("GatherElements", [from, indices], { axis }),
  };
}

/**
 * For the greatest (least) of a group: all that equal it share the cotangent evenly, as in PyTorch's `scatter_reduce`.
 */
export function extremeCotangents(
  node: Node,
  axis: number,
  dy: Value,
  build: Build,
  wanted: readonly boolean[],
): ScatterCotangents {
  const { data, updates, add, take } = scatteredOf(node, axis, build);
  const result = outputOf(node, 0);
  const dataWins = build.equal(data, result);
  const updateWins = build.equal(updates, take(result));
  const winners = add(build.cast(dataWins, dy.dtype), build.cast(updateWins, dy.dtype));
  // If a group holds a NaN, no element wins.
  const share = build.div(dy, build.op("Max", [winners, build.scalar(1, winners)]));
  return {
    data: wanted[0] ? build.mask(dataWins, share) : null,
    updates: wanted[2] ? build.mask(updateWins, take(share)) : null,
  };
}

/** For the product of a group: each element's derivative is the product of the others, even if some are zero. */
export function productCotangents(
  node: Node,
  axis: number,
  dy: Value,
  build: Build,
  wanted: readonly boolean[],
): ScatterCotangents {
  const { data, updates, add, take } = scatteredOf(node, axis, build);
  const indices = inputOf(node, 1);
  const [zeroData, zeroUpdate] = leadingOf(
    [data, updates].map((x) => build.equal(x, build.scalar(0, x))),
    2,
  );
  const [otherData, otherUpdate] = [
    build.where(zeroData, build.scalar(1, data), data),
    build.where(zeroUpdate, build.scalar(1, updates), updates),
  ];
  // The product of all that are not zero.
  const product = build.op("ScatterElements", [otherData, indices, otherUpdate], { axis, reduction: "mul" });
  const zeros = add(build.cast(zeroData, dy.dtype), build.cast(zeroUpdate, dy.dtype));
  const whole = build.mul(dy, product);
  /** An element's own zero does not count. */
  const share = (isZero: Value, own: Value, total: Value, count: Value) =>
    build.mask(build.equal(count, build.cast(isZero, count.dtype)), build.div(total, own));
  return {
    data: wanted[0] ? share(zeroData, otherData, whole, zeros) : null,
    updates: wanted[2] ? share(zeroUpdate, otherUpdate, take(whole), take(zeros)) : null,
  };
}
