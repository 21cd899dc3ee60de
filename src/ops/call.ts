import type { Attributes, Value } from "../graph/value.js";

/** A node about to be made: what `infer` sees. */
export interface Call {
  readonly op: string;
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly (Value | null)[];
  readonly attributes: Attributes;
  /** How many outputs are asked for. */
  readonly outputs: number;
}
