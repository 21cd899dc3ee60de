import type { Tensor } from "../tensor/tensor.js";
import type { Graph, Value } from "./value.js";

/** A tensor that a model's file holds beside the parameters, and that a file written from the model holds again. */
export interface StoredTensor {
  readonly name: string;
  /** What stands for it in the graph. */
  readonly value: Value;
  /** A parameter in the file it is, though not in the graph, where it repeats another one. */
  readonly role: "parameter" | "buffer";
  /** Its elements, given the values of the model's parameters. */
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
  /** Floating-point initializers of the file that are taken for constants, each with the reason. */
  readonly constants?: Readonly<Record<string, string>>;
  /** What a file written from the model holds besides: constants, and weights that repeat others. */
  readonly stored?: readonly StoredTensor[];
  /** What a user should know of how the model was read. */
  readonly notes: readonly string[];
}

/** What a program expects of one input. */
export interface Expected {
  readonly value: Value;
  /** The axis that holds the samples; null where all samples share the input. */
  readonly sampleAxis: number | null;
  /** Nothing reads it: it is checked where it is given. Default false. */
  readonly optional?: boolean | undefined;
  /** Where it holds lengths of sequences, the longest that there may be. */
  readonly atMost?: number | undefined;
  /** Where it holds class labels that the model itself looks up, which there are. */
  readonly labels?: readonly LabelLimit[] | undefined;
  /** Where it holds indices of rows that the model itself looks up in a table of parameters, which there are. */
  readonly rows?: readonly RowLimit[] | undefined;
}

/** What an input's elements must be where they are indices of a table's rows: 0..rows-1. */
export interface RowLimit {
  readonly rows: number;
  /** The node that looks them up. */
  readonly by: string;
}

/** What an input's elements must be where they are class labels. */
export interface LabelLimit {
  readonly classes: number;
  readonly ignored: number | undefined;
  /** Labels from `classes` up, and below `-classes`, stand for no class. Default false: they are refused. */
  readonly skipsOthers?: boolean;
  /** The node that looks them up. */
  readonly by: string;
}
