/** Scaled dot-product attention on heads: the parts that every attention operator is composed of. */

import { type Dim, divide, fixedSize, sameDim, showDim, showShape } from "../../graph/dim.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { shapeMismatch } from "../checks.js";

/** The size of one of `heads` equal parts of an axis. */
export function headSize(call: Call | Node, hidden: Dim | undefined, heads: number): number {
  const size = hidden !== undefined && heads > 0 && Number.isInteger(heads) ? divide(hidden, heads) : undefined;
  if (typeof size === "number") return size;
  throw shapeMismatch(
    call,
    `has an axis of ${hidden === undefined ? 0 : showDim(hidden)}, which does not divide into ${heads} heads`,
  );
}

/** `[B, S, heads*d]` as `[B, heads, S, d]`. */
export function splitHeads(build: Build, x: Value, heads: number, size: number): Value {
  const [batch, length] = leadingOf(x.shape, 2);
  return build.transpose(build.reshape(x, [batch, length, heads, size]), [0, 2, 1, 3]);
}

/** `[B, heads, S, d]` as `[B, S, heads*d]`. */
export function mergeHeads(build: Build, x: Value): Value {
  const [batch, , length] = leadingOf(x.shape, 3);
  const size = fixedSize(x.shape, 1) * fixedSize(x.shape, 3);
  return build.reshape(build.transpose(x, [0, 2, 1, 3]), [batch, length, size]);
}

/** Sizes of attention; the shapes are `[batch, heads, length, size]`. */
export interface AttentionSizes {
  readonly batch: Dim;
  readonly heads: number;
  /** The number of heads of keys and values: each serves heads / keyHeads neighbouring heads of the query. */
  readonly keyHeads: number;
  readonly queries: Dim;
  readonly keys: Dim;
}

/** Checks q, k and v as `[batch, heads, length, size]` against each other. */
export function checkHeads(call: Call | Node, q: readonly Dim[], k: readonly Dim[], v: readonly Dim[]): AttentionSizes {
  const fits =
    [q, k, v].every((shape) => shape.length === 4) &&
    [k, v].every((shape) => sameDim(nth(shape, 0), nth(q, 0))) &&
    sameDim(nth(q, 3), nth(k, 3)) &&
    sameDim(nth(k, 1), nth(v, 1)) &&
    sameDim(nth(k, 2), nth(v, 2));
  const [heads, keyHeads] = [q[1], k[1]];
  const grouped = typeof heads === "number" && typeof keyHeads === "number" && keyHeads > 0 && heads % keyHeads === 0;
  if (!fits || !grouped) {
    throw shapeMismatch(
      call,
      `has queries ${showShape(q)}, keys ${showShape(k)} and values ${showShape(v)}, which do not fit each other`,
    );
  }
  return { batch: nth(q, 0), heads, keyHeads, queries: nth(q, 2), keys: nth(k, 2) };
}

/** `[B, heads, ...]` with the heads that share keys as an axis of their own, if there are any. */
function grouped(build: Build, x: Value, keyHeads: number, shared: number): Value {
  const [batch, , ...rest] = leadingOf(x.shape, 2);
  return shared === 1 ? x : build.reshape(x, [batch, keyHeads, fixedSize(x.shape, 1) / keyHeads, ...rest]);
}

/** A product per head: `[B, heads, S, a]` times `[B, keyHeads, a, b]`. */
export function perHead(build: Build, left: Value, right: Value): Value {
  const [batch, heads, length] = leadingOf(left.shape, 3);
  const keyHeads = fixedSize(right.shape, 1);
  const shared = keyHeads === 0 ? 1 : fixedSize(left.shape, 1) / keyHeads;
  const product = build.matmul(grouped(build, left, keyHeads, shared), grouped(build, right, keyHeads, shared));
  return build.reshape(product, [batch, heads, length, nth(right.shape, 3)]);
}

/** The scores of each query against each key, `[B, heads, S, T]`. */
export function scoresOf(build: Build, q: Value, k: Value, scale: number): Value {
  return perHead(build, build.scale(q, scale), build.transposeLast(k));
}

/** One over the root of the head size. */
export function defaultScale(size: Dim | undefined): number {
  return typeof size === "number" && size > 0 ? 1 / Math.sqrt(size) : 1;
}

/** 0..count-1, as a column `[count, 1]` or a row `[1, count]`. */
export function counted(build: Build, count: Dim, column: boolean): Value {
  const numbers = Array.from({ length: Number(count) }, (_, k) => k);
  return build.ints(numbers, column ? [numbers.length, 1] : [1, numbers.length]);
}

/** A condition that holds where all of these do; null if there are none. */
export function all(build: Build, conditions: readonly Value[]): Value | null {
  return conditions.length === 0 ? null : conditions.reduce((both, next) => build.and(both, next));
}
