/**
 * Weights that are stored as Constant nodes. Some exporters (PaddlePaddle's) write no initializers at all;
 * where a file has floating-point ones, its Constant nodes are the numbers of its formulas.
 */
import { type GraphProto, GraphProtoSchema, type NodeProto, type TensorProto, TensorProtoSchema } from "onnx-buf";
import { isFloat } from "../tensor.js";
import { standardDomain } from "./functions.js";
import { changed, computedType, storedTypeOf } from "./proto.js";

/** Operators with weights, and which of their inputs those are. */
const layers: ReadonlyMap<string, number> = new Map([
  ["Conv", 1],
  ["ConvTranspose", 1],
  ["GRU", 1],
  ["Gemm", 1],
  ["LSTM", 1],
  ["MatMul", 1],
  ["RNN", 1],
]);

/** The same graph, its floating-point Constant nodes made initializers where its layers have no other weights. */
export function constantsAsInitializers(graph: GraphProto): GraphProto {
  const weights = new Set(graph.node.map(({ opType, input }) => input[layers.get(opType) ?? input.length]));
  const stored = graph.node.some((node) => floatsOf(node) && weights.has(node.output[0]));
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
