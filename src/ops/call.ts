/** A node about to be made, and the rule that states what it computes. */
import type { Attributes, Value, ValueType } from "../graph/value.js";

/** A node about to be made: what `infer` sees. */
export interface Call {
  readonly op: string;
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly (Value | null)[];
  readonly attributes: Attributes;
  /** How many outputs are requested. */
  readonly outputs: number;
}

/** dtypes and shapes of the outputs. Throws SHAPE_MISMATCH, DTYPE_MISMATCH, UNKNOWN_SHAPE, UNSUPPORTED_OP. */
export type ShapeRule = (call: Call) => ValueType[];
