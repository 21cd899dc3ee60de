/** What influence needs of (C + damping I)^-1. */
import type { Dataset } from "../../program/dataset.js";
import type { Table } from "../table.js";

/** The inverse of a damped curvature matrix, between the gradients of training samples and those of queries. */
export interface Inverse {
  /** g_m' (C + d I)^-1 g_n: `[M, N]`, queries by training samples. */
  scores(queries: Dataset): Promise<Table>;
  /** g_n' (C + d I)^-1 g_n of each training sample, `[N]`. */
  self(): Promise<Float64Array>;
  /** The norm of (C + d I)^-1 g_n of each training sample, `[N]`. */
  lengths(): Promise<Float64Array>;
}

/** A matrix that multiplies vectors over all parameters. */
export type Apply = (row: Float64Array) => Promise<Float64Array>;
