/** What second derivatives are taken of. */
import type { SampleAxes } from "../analysis/sample-axes.js";
import type { Value } from "../graph/value.js";
import type { BuildStrategy } from "../ops/build-strategy.js";
import { nth } from "../present.js";

/** A model with its loss, as a graph that can be differentiated. */
export interface Differentiable {
  /** `[N]` */
  readonly losses: Value;
  /** What the loss looks at, `[N, ...]`. */
  readonly output: Value;
  /** The parameters to differentiate with respect to, by name. */
  readonly parameters: ReadonlyMap<string, Value>;
  readonly axes: SampleAxes;
  /** The loss of another output of the same type, `[N]`. */
  lossOf(output: Value): Value;
  /** What the sum of a sample's own terms is divided by to give its loss. */
  readonly terms: number;
  /** How a square root of the loss's second derivative in the output is known; undefined: not at all. */
  readonly root?: "elementwise" | ((output: Value, vector: Value) => Value) | undefined;
  /** The axis of the output for whose last elements the root's columns are 0; undefined: not known. */
  readonly zeroColumns?: number | undefined;
  /** The second derivative of the loss in the output times a vector, where the loss says how. */
  readonly second?: ((output: Value, vector: Value) => Value) | undefined;
  /** Methods to be taken where several are equal. */
  readonly strategy: BuildStrategy;
  /** Whether inputs may hold NaN or infinity. */
  readonly notFiniteInputs: boolean;
}

/** By the names of parameters, a value each. */
export type ByName = ReadonlyMap<string, Value>;

export function perParameter({ parameters }: Differentiable, values: readonly Value[]): ByName {
  return new Map([...parameters.keys()].map((name, k) => [name, nth(values, k)]));
}
