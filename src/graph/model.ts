import type { Tensor } from "../tensor/tensor.js";
import type { Graph, Value } from "./value.js";

/** A tensor that a model's file holds besides the parameters. A file written from the model holds it too. */
export interface StoredTensor {
  readonly name: string;
  /** The value that stands for it in the graph. */
  readonly value: Value;
  /** It is a "parameter" in the file, even if the graph drops it because it repeats another one. */
  readonly role: "parameter" | "buffer";
  /** Its elements, computed from the values of the model's parameters. */
  tensorOf(parameters: Readonly<Record<string, Tensor<"float32">>>): Tensor<"float32">;
}

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
  /** Floating-point initializers of the file that are treated as constants, each with the reason. */
  readonly constants?: Readonly<Record<string, string>>;
  /** Further contents of a file written from the model: constants, and weights that repeat others. */
  readonly stored?: readonly StoredTensor[];
  /** What a user should know about how the model was read. */
  readonly notes: readonly string[];
}

/** What a program expects for one input. */
export interface Expected {
  readonly value: Value;
  /** The axis that holds the samples; null where all samples share the input. */
  readonly sampleAxis: number | null;
  /** Nothing reads the input: it is checked if it is fed, but may be left out. Default false. */
  readonly optional?: boolean | undefined;
  /** The greatest length allowed, if the input holds lengths of sequences. */
  readonly atMost?: number | undefined;
  /** The labels allowed, if the input holds class labels that the model itself looks up. */
  readonly labels?: readonly LabelLimit[] | undefined;
  /** The rows allowed, if the input holds indices that the model itself looks up in a table of parameters. */
  readonly rows?: readonly RowLimit[] | undefined;
}

/** Restricts an input's elements to indices of a table's rows: 0..rows-1. */
export interface RowLimit {
  readonly rows: number;
  /** The node that looks them up. */
  readonly by: string;
}

/** Restricts an input's elements to class labels. */
export interface LabelLimit {
  readonly classes: number;
  readonly ignored: number | undefined;
  /** Labels of `classes` and above, and below `-classes`, stand for no class. Default false: they are refused. */
  readonly skipsOthers?: boolean;
  /** The node that looks them up. */
  readonly by: string;
}
