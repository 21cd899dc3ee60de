/** Rows added into a table: the subgraph that does it, and, read back from such a graph, what is added where. */

import { beforeReshape, isZero } from "../../graph/behind.js";
import { fixedSize, isBatch, multiply, sameShape } from "../../graph/dim.js";
import { inputsOf } from "../../graph/operands.js";
import { constantOf, nodeOf, type Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";

/**
 * Rows `[count, R]` added to the rows of a table of zeros, as a vector `[rows * R]`: a runtime scatters
 * along a single axis nearly four times as fast as into rows.
 * @param places `[count]`, int64, from 0
 */
export function addRows(build: Build, places: Value, updates: Value, rows: number): Value {
  const [count, size] = [nth(updates.shape, 0), fixedSize(updates.shape, 1)];
  if (count === 0 || rows === 0 || size === 0) return build.zeros([rows * size], updates.dtype);
  const starts = build.reshape(build.mul(places, build.scalar(size, places)), [count, 1]);
  const within = build.ints(Array.from({ length: size }, (_, k) => k));
  const flat = present(multiply(count, size));
  const index = build.reshape(build.add(starts, within), [flat]);
  const zeros = build.zeros([rows * size], updates.dtype);
  return build.op("ScatterElements", [zeros, index, build.reshape(updates, [flat])], { axis: 0, reduction: "add" });
}

export interface AddedRows {
  /** What the rows are added to; null for zeros. */
  readonly table: Value | null;
  /** As many as the table's rows have elements. */
  readonly size: number;
  /** Of any shape, int64; those below 0 count from the end. */
  readonly places: Value;
  /** Rows in the order of their places, each for `repeats` places in a row. */
  readonly rows: Value;
  readonly repeats: number;
}

/** What `addRows` was given, where a value (also cleaned up, and in another shape) is what it gave; else null. */
export function addedRows(value: Value): AddedRows | null {
  const node = nodeOf(beforeReshape(value));
  if (node?.op !== "ScatterElements" || node.attributes.reduction !== "add" || value.dtype !== "float32") return null;
  const [base, index, updates] = inputsOf(node, 3);
  const starts = index.shape.length === 1 && base.shape.length === 1 ? startsOf(index) : null;
  if (!starts) return null;
  return { table: isZero(base) ? null : base, ...starts, ...repeated(beforeReshape(updates), starts.size) };
}

/** The rows' places, of an index into the table's elements one by one: places `[..., 1]` times R plus `[0 ... R - 1]`. */
function startsOf(index: Value): Pick<AddedRows, "places" | "size"> | null {
  const sum = nodeOf(beforeReshape(index));
  const [starts, within] = sum?.op === "Add" ? sum.inputs : [];
  const offsets = Array.from(constantOf(within)?.data ?? [], Number);
  const size = offsets.length;
  if (!starts || size < 2 || within?.shape.at(-1) !== size || starts.shape.at(-1) !== 1) return null;
  const product = nodeOf(beforeReshape(starts));
  const factor = constantOf(product?.inputs[1])?.data ?? [];
  const places = product?.inputs[0];
  const multiplies = product?.op === "Mul" && factor.length === 1 && Number(factor[0]) === size;
  return multiplies && places && offsets.every((offset, k) => offset === k)
    ? { places: beforeReshape(places), size }
    : null;
}

/** Rows `[N, T, R]` that repeat `[N, 1, R]`. */
function repeated(rows: Value, size: number): Pick<AddedRows, "rows" | "repeats"> {
  const once = beforeRepeated(rows);
  const [, positions, last] = rows.shape;
  if (once === rows || positions === undefined || isBatch(positions) || last !== size) return { rows, repeats: 1 };
  return { rows: once, repeats: positions };
}

/** What an Expand repeats along the positions of `[N, T, R]`, `[N, 1, R]`; else the value itself. */
export function beforeRepeated(value: Value): Value {
  const node = nodeOf(value);
  const [once] = node?.op === "Expand" ? node.inputs : [];
  if (!once || value.shape.length !== 3) return value;
  const [samples, , size] = leadingOf(value.shape, 3);
  return sameShape(once.shape, [samples, 1, size]) ? once : value;
}
