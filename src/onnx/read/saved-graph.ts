/** The graph of a program that pergrad wrote, exactly as it was written: nothing about it is guessed. */
import type { ModelProto } from "onnx-buf";
import type { Expected } from "../../graph/model.js";
import type { Graph, Value } from "../../graph/value.js";
import { build, loadOperators } from "../../ops/registry.js";
import type { Tensor } from "../../tensor/tensor.js";
import { operatorsIn } from "../proto.js";
import { decodeModel } from "./decode.js";

/** What the file's metadata says about it. */
export interface SavedForm {
  readonly expected: ReadonlyMap<string, Expected>;
  /** Leaves for inputs that all samples share: those of wants. */
  readonly shared: readonly Value[];
  readonly results: readonly string[];
}

export interface SavedGraph extends Pick<Graph, "inputs" | "outputs"> {
  readonly parameters: Readonly<Record<string, Tensor>>;
}

/** Loads the code that `savedGraph` needs for the operators in a file. */
export async function readable(proto: ModelProto): Promise<void> {
  await loadOperators(operatorsIn(proto));
}

/** Throws INVALID_MODEL, and the errors of the shape rules, if the file is damaged. */
export function savedGraph(proto: ModelProto, fileName: string, { expected, shared, results }: SavedForm): SavedGraph {
  const axes = [...expected].map(([name, { sampleAxis }]) => [name, sampleAxis] as const);
  const sampleAxes = Object.fromEntries([...axes, ...shared.map(({ name }) => [name, null] as const)]);
  const { graph, parameters } = decodeModel(proto, { fileName, build, sampleAxes, outputs: results, tie: false });
  return { inputs: graph.inputs, outputs: graph.outputs, parameters };
}
