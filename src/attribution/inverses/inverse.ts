/** What influence requires of (C + damping I)^-1. */
import type { Dataset } from "../../program/given-data.js";
import type { Table } from "../table.js";

/** The inverse of a damped curvature matrix, as products between gradients of training samples and of queries. */
export interface Inverse {
  /** g_m' (C + d I)^-1 g_n: `[M, N]`, queries by training samples. */
  scores(queries: Dataset): Promise<Table>;
  /** g_n' (C + d I)^-1 g_n for each training sample, `[N]`. */
  self(): Promise<Float64Array>;
  /** The norm of (C + d I)^-1 g_n for each training sample, `[N]`. */
  lengths(): Promise<Float64Array>;
}

/** Multiplies vectors over all parameters by a matrix: `[count, P]` to `[count, P]`. */
export type Apply = (rows: Float32Array) => Promise<Float32Array>;

/** Applies to one vector after another, in float64. */
export function rowByRow(size: number, apply: (row: Float64Array) => Promise<Float64Array>): Apply {
  return async (rows) => {
    const found = new Float32Array(rows.length);
    for (let at = 0; at < rows.length; at += size)
      found.set(await apply(Float64Array.from(rows.subarray(at, at + size))), at);
    return found;
  };
}
