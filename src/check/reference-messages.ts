/** The messages between a check and the threads of its reference. */
import type { ErrorCode } from "../errors.js";
import type { Array64 } from "../float64/array64.js";
import type { FlatGraph } from "../graph/flat.js";
import type { Try } from "./differences.js";
import type { InputData } from "./oracle.js";

/** See `ReferenceParts`. */
export interface SentParts {
  readonly samples: number;
  readonly names: readonly string[];
  readonly productNames: readonly string[];
  /** Its values: losses, gradients, products, trained parameters, all parameters, inputs. */
  readonly graph: FlatGraph;
  readonly parameters: readonly Array64[];
  readonly inputs: readonly Omit<InputData, "value">[];
}

/** With tries, it asks for their errors; with `products`, for products; else for gradients. */
export interface Question {
  readonly sample: number;
  readonly products?: boolean;
  readonly tries?: readonly Try[];
}

export interface Answer {
  readonly products?: readonly (readonly [string, Float64Array])[];
  readonly gradients?: readonly (readonly [string, Float64Array])[];
  readonly errors?: readonly (number | null)[];
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}
