/** Adds rows to a table in JavaScript. */

import { PergradError } from "../../errors.js";
import { sumOfMagnitudes } from "../../tensor/finite.js";

export interface RowsToAdd {
  /** The row of the table for each row; negative ones count from the end. */
  readonly places: Int32Array;
  /** Row p / repeats is added at place p. */
  readonly rows: Float32Array;
  /** The number of elements in a row. */
  readonly size: number;
  readonly repeats: number;
}

/**
 * The table, to which the rows were added. Rows that receive several are added up in float64 and rounded at the end, so
 * that the result does not depend on the order.
 * @param isZero whether the table holds only zeros
 * @throws PergradError RUNTIME for a place outside the table, as the runtime does.
 */
export function withRows(table: Float32Array, isZero: boolean, added: RowsToAdd): Float32Array {
  const { places, rows, size, repeats } = added;
  const length = table.length / size;
  const { slots, count } = severalTimes(places, length);
  const sums = new Float64Array(count * size);
  for (let row = 0; row < length && count > 0 && !isZero; row++) {
    const slot = slots[row] as number;
    if (slot > 0) sums.set(table.subarray(row * size, (row + 1) * size), (slot - 1) * size);
  }
  const isCopied = isZero && size >= copiedFrom;
  for (let first = 0; first < places.length; first += repeats) {
    const from = (first / repeats) * size;
    // One view for all places of a row: it takes as long to make as the row to copy.
    const own = isCopied ? rows.subarray(from, from + size) : rows;
    for (let p = first; p < first + repeats; p++) {
      const row = rowAt(places[p] as number, length);
      const slot = slots[row] as number;
      if (slot > 0) addRow(sums, (slot - 1) * size, rows, from, size);
      else if (isCopied) table.set(own, row * size);
      else addRow(table, row * size, rows, from, size);
    }
  }
  for (let row = 0; row < length && count > 0; row++) {
    const slot = slots[row] as number;
    if (slot > 0) setRow(table, row * size, sums, (slot - 1) * size, size);
  }
  return table;
}

/** The size from which the engine copies a row faster than a loop adds it to zeros. */
const copiedFrom = 16;

const rowAt = (place: number, rows: number): number => (place < 0 ? place + rows : place);

function addRow(sum: Float32Array | Float64Array, to: number, rows: Float32Array, from: number, size: number): void {
  for (let k = 0; k < size; k++) sum[to + k] = (sum[to + k] as number) + (rows[from + k] as number);
}

/** A loop converts from float64 faster than `set` of the engine. */
function setRow(table: Float32Array, to: number, sums: Float64Array, from: number, size: number): void {
  for (let k = 0; k < size; k++) table[to + k] = sums[from + k] as number;
}

/**
 * Whether the rows, added to zeros, give finite numbers in any order and for any places: whether the sum of all
 * magnitudes is finite in float32.
 */
export function areFiniteTogether({ rows, repeats }: Pick<RowsToAdd, "rows" | "repeats">): boolean {
  return repeats * sumOfMagnitudes(rows) <= largestSum;
}

/** Rounding in float32 adds less than the rest to the largest number, which is nearly 2 ** 128. */
const largestSum = 2 ** 127;

/** Numbers, from 1, for rows that occur several times among the places; 0 or -1 for others. Throws RUNTIME. */
function severalTimes(places: Int32Array, rows: number): { readonly slots: Int32Array; readonly count: number } {
  const slots = new Int32Array(rows);
  let count = 0;
  for (const place of places) {
    const row = rowAt(place, rows);
    if (row < 0 || row >= rows)
      throw new PergradError("RUNTIME", `A row is added at place ${place}, outside a table of ${rows} rows.`);
    if (slots[row] === 0) slots[row] = -1;
    else if (slots[row] === -1) slots[row] = ++count;
  }
  return { slots, count };
}
