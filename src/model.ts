import type { Graph } from "./graph/value.js";
import type { Tensor } from "./tensor.js";

/** A network and its parameters, as plain values: traced with `nn`, or loaded from a file. */
export interface Model {
  /** Named inputs, parameters and outputs; the nodes between are reached from the outputs. */
  readonly graph: Graph;
  /** The values of the graph's parameters, by name. */
  readonly parameters: Readonly<Record<string, Tensor<"float32">>>;
  /** The axis of each input that holds the samples; null for an input that all samples share. */
  readonly sampleAxes: Readonly<Record<string, number | null>>;
  /** Outputs of the file that pergrad cannot compute, each with the reason. */
  readonly leftOut: Readonly<Record<string, string>>;
  /** Floating-point initializers of the file that are taken for constants, each with the reason. */
  readonly constants?: Readonly<Record<string, string>>;
  /** What a user should know of how the model was read. */
  readonly notes: readonly string[];
}
