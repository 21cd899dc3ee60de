/**
 * Weights that are stored as Constant nodes. Some exporters (PaddlePaddle's) write no initializers at all;
 * where a file has floating-point ones, its Constant nodes are the numbers of its formulas.
 */
import { type GraphProto, GraphProtoSchema, type NodeProto, type TensorProto, TensorProtoSchema } from "onnx-buf";
import { isFloat } from "../tensor.js";
import { changed, computedType, standardDomain, storedTypeOf } from "./proto.js";

/** Operators whose second input is their weight. */
const layers = new Set(["Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul", "RNN"]);

/** The same graph, its floating-point Constant nodes made initializers where its layers have no other weights. */
export function constantsAsInitializers(graph: GraphProto): GraphProto {
  const weights = new Set(graph.node.flatMap(({ opType, input }) => (layers.has(opType) ? input.slice(1, 2) : [])));
  const stored = graph.node.some((node) => floatsOf(node) && weights.has(node.output[0] ?? ""));
  if (!stored || graph.initializer.some(isFloating)) return graph;
  const initializer: TensorProto[] = [...graph.initializer];
  const node = graph.node.filter((each) => {
    const tensor = floatsOf(each);
    if (tensor) initializer.push(changed(TensorProtoSchema, tensor, { name: each.output[0] ?? "" }));
    return !tensor;
  });
  return changed(GraphProtoSchema, graph, { node, initializer });
}

function isFloating({ dataType }: TensorProto): boolean {
  const stored = storedTypeOf(dataType);
  return stored !== undefined && isFloat(computedType(stored));
}

function floatsOf({ opType, domain, attribute }: NodeProto): TensorProto | undefined {
  if (opType !== "Constant" || standardDomain(domain) !== "") return undefined;
  const tensor = attribute.find(({ name }) => name === "value")?.t;
  return tensor && isFloating(tensor) ? tensor : undefined;
}
