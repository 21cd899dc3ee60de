/** The tensors that a model stores in other files. */
import type { ModelProto, NodeProto, TensorProto } from "onnx-buf";
import { Place } from "../enumerations.js";
import { describeProto, storedTypeOf } from "../proto.js";

/** A tensor stored elsewhere; `what` names it in messages. */
export interface External {
  readonly proto: TensorProto;
  readonly what: string;
}

/** The tensors stored in other files that the model reads, also those in graphs inside nodes, in the model's order. */
export function storedElsewhere(model: ModelProto): External[] {
  const graphs = model.graph ? [model.graph] : [];
  const read = new Set<string>();
  const initializers: External[] = [];
  const attributes: External[] = [];
  const visit = (nodes: readonly NodeProto[]) => {
    for (const node of nodes) {
      for (const name of node.input) read.add(name);
      for (const { name, t, tensors, g, graphs: inner } of node.attribute) {
        const what = () => `attribute "${name}" of ${describeProto(node)}`;
        for (const proto of t ? [t, ...tensors] : tensors)
          if (isElsewhere(proto)) attributes.push({ proto, what: what() });
        graphs.push(...(g ? [g] : []), ...inner);
      }
    }
  };
  for (const { node } of model.functions) visit(node);
  // A work list that grows while it is processed, as graphs may be nested too deeply for recursion.
  for (const graph of graphs) {
    visit(graph.node);
    for (const { name } of graph.output) read.add(name);
    for (const proto of graph.initializer) {
      if (isElsewhere(proto)) initializers.push({ proto, what: `The initializer "${proto.name}"` });
    }
  }
  return [...initializers.filter(({ proto }) => read.has(proto.name)), ...attributes];
}

/** Types that pergrad does not read are left to the decoder, which reports them. */
function isElsewhere(proto: TensorProto): boolean {
  return proto.dataLocation === Place.EXTERNAL && storedTypeOf(proto.dataType) !== undefined;
}
