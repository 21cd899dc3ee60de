/** A model as plain data, to send to another thread. */
import type { Tensor } from "../tensor/tensor.js";
import type { Model } from "./model.js";
import { Received, Sending, type Sent, type SentGraph } from "./sent.js";

export interface SentModel extends Pick<Model, "sampleAxes" | "leftOut" | "constants" | "notes"> {
  readonly graph: SentGraph;
  readonly inputs: readonly Sent[];
  readonly parameters: readonly Sent[];
  readonly outputs: readonly { readonly name: string; readonly value: Sent }[];
  readonly values: Readonly<Record<string, Tensor<"float32">>>;
}

/** The part of a model that programs are compiled from: without what only a file written from it holds. */
export function sentModel({ graph, parameters, sampleAxes, leftOut, constants, notes }: Model): SentModel {
  const sending = new Sending();
  return {
    inputs: sending.values(graph.inputs),
    parameters: sending.values(graph.parameters),
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: sending.value(value) })),
    graph: sending.graph,
    values: parameters,
    sampleAxes,
    leftOut,
    ...(constants ? { constants } : {}),
    notes,
  };
}

export function receivedModel(sent: SentModel): Model {
  const { sampleAxes, leftOut, constants, notes, values } = sent;
  const received = new Received(sent.graph);
  const graph = {
    inputs: received.values(sent.inputs),
    parameters: received.values(sent.parameters),
    outputs: sent.outputs.map(({ name, value }) => ({ name, value: received.value(value) })),
  };
  return { graph, parameters: values, sampleAxes, leftOut, ...(constants ? { constants } : {}), notes };
}

/** The names of all operators in a model that was sent. */
export function operatorsSent({ graph }: SentModel): string[] {
  return graph.flatMap((entry) => ("op" in entry ? [entry.op] : []));
}
