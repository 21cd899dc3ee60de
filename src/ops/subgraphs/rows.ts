/** The derivative of a gather: rows summed into the places that they were taken from. */

import { elementsOf, fixedSize, isBatch, type Shape } from "../../graph/dim.js";
import { constantOf, type Value } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import type { Build } from "../build.js";
import { largestConstant } from "../limits.js";

/**
 * A tensor of `shape`: the cotangent's row p is added to row indices[p] along `axis`. The cotangent has `shape` with
 * `axis` replaced by the axes of `indices`.
 */
export function scatterRows(build: Build, indices: Value, cotangent: Value, axis: number, shape: Shape): Value {
  const size = nth(shape, axis);
  const [front, behind] = [shape.slice(0, axis), shape.slice(axis + 1)];
  const count = elementsOf(indices.shape) ?? Number.NaN;
  const flat = build.reshape(cotangent, [...front, count, ...behind]);
  if (count === 0 || elementsOf(shape) === 0) return build.zeros(shape, cotangent.dtype);
  const fixed = isBatch(size) || size > largestConstant ? undefined : constantIndices(indices, size);
  if (fixed && !isBatch(size)) {
    const [first] = fixed;
    if (fixed.every((index, p) => index === present(first) + p))
      return padRows(build, flat, axis, present(first), size);
    if (new Set(fixed).size === fixed.length) return pickRows(build, flat, axis, fixed, size);
  }
  // ScatterND with "add" may run in parallel, and then loses updates if indices repeat.
  const places = build.expand(build.reshape(indices, [count, ...behind.map(() => 1)]), flat.shape);
  return build.op("ScatterElements", [build.zeros(shape, cotangent.dtype), places, flat], { axis, reduction: "add" });
}

/** The indices, counted from the front, if they are known and within the axis. */
function constantIndices(indices: Value, size: number): number[] | undefined {
  const given = constantOf(indices)?.data ?? indices.known;
  if (!given) return undefined;
  const numbers = Array.from(given as ArrayLike<unknown>, Number).map((index) => (index < 0 ? index + size : index));
  return numbers.every((index) => index >= 0 && index < size) ? numbers : undefined;
}

/** Consecutive rows: zeros before and after. */
function padRows(build: Build, rows: Value, axis: number, first: number, size: number): Value {
  const count = fixedSize(rows.shape, axis);
  const amounts = (amount: number) => rows.shape.map((_, at) => (at === axis ? amount : 0));
  return build.pad(rows, amounts(first), amounts(size - first - count));
}

/** Rows that go to different places: each place takes its row, or the row of zeros after the last. */
function pickRows(build: Build, rows: Value, axis: number, indices: readonly number[], size: number): Value {
  const count = indices.length;
  const sources = Array<number>(size).fill(count);
  indices.forEach((index, p) => {
    sources[index] = p;
  });
  const amounts = (amount: number) => rows.shape.map((_, at) => (at === axis ? amount : 0));
  const padded = sources.includes(count) ? build.pad(rows, amounts(0), amounts(1)) : rows;
  return build.gather(padded, build.ints(sources), axis);
}
