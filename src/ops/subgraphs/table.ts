/** Adding rows to the rows of a table: one operator of pergrad's own, which each target computes in its own way. */

import { beforeReshape } from "../../graph/behind.js";
import { fixedSize, isBatch, multiply, sameShape } from "../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import { type Node, nodeOf, type Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { agree, intAttribute, interaction, requireInput, shapeMismatch } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { internalDomain } from "./internal.js";

/**
 * Rows `[count, R]` added to a table of zeros, `[rows, R]`.
 * @param places the row of the table for each, `[count]`, int64; negative ones count from the end
 */
export function addRows(build: Build, places: Value, updates: Value, rows: number): Value {
  const size = fixedSize(updates.shape, 1);
  if (updates.shape[0] === 0 || rows === 0 || size === 0) return build.zeros([rows, size], updates.dtype);
  return added(build, updates, places, rows);
}

/** The same rows added to a table instead of zeros. */
export function addRowsTo(build: Build, { updates, places }: Omit<RowsAdded, "table">, table: Value): Value {
  return added(build, updates, places, fixedSize(table.shape, 0), table);
}

function added(build: Build, updates: Value, places: Value, rows: number, ...table: Value[]): Value {
  const { outputs } = build.node("AddRows", [updates, places, ...table], { rows }, 1, { domain: internalDomain });
  return nth(outputs, 0);
}

/** The inputs of an AddRows node. */
export interface RowsAdded {
  /** `[count, R]`. */
  readonly updates: Value;
  /** `[count]`. */
  readonly places: Value;
  /** `[rows, R]`; null for zeros. */
  readonly table: Value | null;
}

export function rowsAddedBy(node: Node | undefined): RowsAdded | null {
  if (node?.op !== "AddRows" || node.domain !== internalDomain) return null;
  const [updates, places] = inputsOf(node, 2);
  return { updates, places, table: node.inputs[2] ?? null };
}

/**
 * Inputs: updates `[count, R]`, places `[count]`, and optionally a table `[rows, R]`; without it, the rows are added to
 * zeros.
 */
export const addRowsDefinition: OpDefinition = {
  op: "AddRows",
  domain: internalDomain,
  infer: (call) => {
    const [updates, places] = [requireInput(call, 0), requireInput(call, 1)];
    if (updates.shape.length !== 2 || !sameShape(places.shape, updates.shape.slice(0, 1)))
      throw shapeMismatch(call, "needs updates [count, R] and as many places");
    return [{ dtype: updates.dtype, shape: [rowsOf(call), nth(updates.shape, 1)] }];
  },
  evaluate: ([updates, places, table], node) => {
    const [rows, at] = [present(updates), present(places)];
    const size = nth(rows.dims, 1);
    const dims = [rowsOf(node), size];
    const data = table ? Float64Array.from(table.data) : new Float64Array(rowsOf(node) * size);
    at.data.forEach((place, p) => {
      const to = (place < 0 ? place + rowsOf(node) : place) * size;
      for (let k = 0; k < size; k++) data[to + k] = (data[to + k] ?? 0) + (rows.data[p * size + k] ?? 0);
    });
    return [{ dims, data }];
  },
  differentiate: (node, [dy], build, wanted) => [
    wanted[0] ? build.gather(present(dy), inputOf(node, 1), 0) : null,
    null,
    ...(node.inputs[2] ? [present(dy)] : []),
  ],
  batch: (node, inputs, batched, build) => {
    const batch = nth(nth(inputs, batched.indexOf(true)).shape, 0);
    const whole = (input: Value, k: number) => (batched[k] ? input : build.expand(input, [batch, ...input.shape]));
    const [updates, places] = [whole(nth(inputs, 0), 0), whole(nth(inputs, 1), 1)];
    const table = inputs[2] ? whole(inputs[2], 2) : build.zeros([batch, ...outputOf(node, 0).shape], updates.dtype);
    const index = build.expand(build.unsqueeze(places, [2]), updates.shape);
    return [build.op("ScatterElements", [table, index, updates], { axis: 1, reduction: "add" })];
  },
  sampleAxis: (node, axes) => {
    const at = agree(node, axes);
    if (at?.axis === 0 || axes[1]) throw interaction(node, "adds rows of several samples to one table");
    return [at];
  },
  // A runtime scatters along a single axis nearly four times as fast as into rows.
  parts: (node, build) => {
    const { updates, places, table } = present(rowsAddedBy(node));
    const [count, size] = [nth(updates.shape, 0), fixedSize(updates.shape, 1)];
    const { dtype, shape } = outputOf(node, 0);
    const length = rowsOf(node) * size;
    const starts = build.reshape(build.mul(places, build.scalar(size, places)), [count, 1]);
    const within = build.cast(build.ints(Array.from({ length: size }, (_, k) => k)), places.dtype);
    const flat = present(multiply(count, size));
    const index = build.reshape(build.add(starts, within), [flat]);
    const base = table ? build.reshape(table, [length]) : build.zeros([length], dtype);
    const inputs = [base, index, build.reshape(updates, [flat])];
    return [build.reshape(build.op("ScatterElements", inputs, { axis: 0, reduction: "add" }), shape)];
  },
};

const rowsOf = (node: Node | Call): number => intAttribute(node, "rows", 0);

/** Rows that are added to a table; several may go to the same place. */
export interface AddedRows {
  /** What the rows are added to, `[rows, R]`; null for zeros. */
  readonly table: Value | null;
  /** The number of elements in a row of the table. */
  readonly size: number;
  /** Of any shape, int64; negative ones count from the end. */
  readonly places: Value;
  /** Rows in the order of their places; each is for `repeats` consecutive places. */
  readonly rows: Value;
  readonly repeats: number;
}

/** The rows that add up to a float32 value, which may be reshaped; null for other values. */
export function addedRows(value: Value): AddedRows | null {
  const found = value.dtype === "float32" ? rowsAddedBy(nodeOf(beforeReshape(value))) : null;
  if (!found) return null;
  const { updates, places, table } = found;
  const size = fixedSize(updates.shape, 1);
  return { table, size, places: beforeReshape(places), ...repeated(beforeReshape(updates), size) };
}

/** Rows `[N, T, R]` that repeat `[N, 1, R]`. */
function repeated(rows: Value, size: number): Pick<AddedRows, "rows" | "repeats"> {
  const once = beforeRepeated(rows);
  const [, positions, last] = rows.shape;
  if (once === rows || positions === undefined || isBatch(positions) || last !== size) return { rows, repeats: 1 };
  return { rows: once, repeats: positions };
}

/** The value `[N, 1, R]` that an Expand repeats along the positions of `[N, T, R]`; else the value itself. */
export function beforeRepeated(value: Value): Value {
  const node = nodeOf(value);
  const [once] = node?.op === "Expand" ? node.inputs : [];
  if (!once || value.shape.length !== 3) return value;
  const [samples, , size] = leadingOf(value.shape, 3);
  return sameShape(once.shape, [samples, 1, size]) ? once : value;
}
