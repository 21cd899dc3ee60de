import type { Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";

/** `value`, summed over `axes` (along which the input was broadcast), then reshaped to the input's `shape`. */
export interface Reduction {
  readonly kind: "reduction";
  readonly value: Value;
  readonly axes: readonly number[];
  readonly shape: Shape;
}
