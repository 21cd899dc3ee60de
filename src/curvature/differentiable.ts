/** A model with its loss, for taking second derivatives. */
import type { SampleAxes } from "../analysis/sample-axes.js";
import type { Value } from "../graph/value.js";
import type { BuildStrategy } from "../ops/build-strategy.js";
import { nth } from "../present.js";

/** A model with its loss, as a graph that can be differentiated. */
export interface Differentiable {
  /** `[N]` */
  readonly losses: Value;
  /** The output that the loss takes, `[N, ...]`. */
  readonly output: Value;
  /** The parameters to differentiate with respect to, by name. */
  readonly parameters: ReadonlyMap<string, Value>;
  readonly axes: SampleAxes;
  /** The losses, `[N]`, for another output of the same type. */
  lossOf(output: Value): Value;
  /** The number by which the sum of a sample's terms is divided to give its loss. */
  readonly terms: number;
  /** A square root of the loss's second derivative in the output, times a vector; undefined if none is known. */
  readonly root?: "elementwise" | ((output: Value, vector: Value) => Value) | undefined;
  /** The axis of the output for whose last elements the root's columns are 0; undefined if there is none. */
  readonly zeroColumns?: number | undefined;
  /** The second derivative of the loss in the output, times a vector, if the loss has a formula for it. */
  readonly second?: ((output: Value, vector: Value) => Value) | undefined;
  /** Which of several equivalent methods to take. */
  readonly strategy: BuildStrategy;
  /** Whether inputs may hold NaN or infinity. */
  readonly notFiniteInputs: boolean;
}

/** A value for each parameter, by name. */
export type ByName = ReadonlyMap<string, Value>;

export function perParameter({ parameters }: Differentiable, values: readonly Value[]): ByName {
  return new Map([...parameters.keys()].map((name, k) => [name, nth(values, k)]));
}
