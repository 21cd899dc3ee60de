/**
 * Weights that are stored as Constant nodes. Some exporters (PaddlePaddle's) write no initializers at all; in a graph
 * that has floating-point initializers, Constant nodes are the numbers of its formulas. The same holds for branches,
 * bodies and functions, each by itself: functions cannot have initializers.
 */

import type { GraphProto, NodeProto, TensorProto } from "onnx-buf";
import { multiplies } from "../../../ops/definition.js";
import { standardDefinition } from "../../../ops/registry.js";
import { isFloat } from "../../../tensor/tensor.js";
import { graphProto, tensorProto } from "../../messages.js";
import { computedType, standardDomain, storedTypeOf } from "../../proto.js";
import type { Inlined } from "../functions.js";
import { subgraphsOf, withSubgraphs } from "../loops/subgraphs.js";

/**
 * The same graph, with its floating-point Constant nodes turned into initializers if its layers have no other weights.
 */
export function constantsAsInitializers({ graph, opsets }: Inlined): Inlined {
  const kept = new Map(opsets);
  return { graph: converted(graph, opsets, kept), opsets: kept };
}

/** @param kept receives the opsets of nodes that are rebuilt */
function converted(graph: GraphProto, opsets: Inlined["opsets"], kept: Map<NodeProto, number>): GraphProto {
  const inner = graph.node.map((node) => withInner(node, opsets, kept));
  // A function had no initializers for its nodes; nodes of the graph itself had the graph's.
  const fromFunctions = weightConstants(inner.filter((node) => kept.has(node)));
  const own = graph.initializer.some(isFloating) ? [] : weightConstants(inner.filter((node) => !kept.has(node)));
  const weights = new Set([...fromFunctions, ...own]);
  if (weights.size === 0) {
    return inner.every((node, k) => node === graph.node[k]) ? graph : graphProto.changed(graph, { node: inner });
  }
  const initializer: TensorProto[] = [...graph.initializer];
  const node = inner.filter((each) => {
    const tensor = weights.has(each) ? floatsOf(each) : undefined;
    if (tensor) initializer.push(tensorProto.changed(tensor, { name: each.output[0] ?? "" }));
    return !tensor;
  });
  return graphProto.changed(graph, { node, initializer });
}

/** Whether its second input is a weight that it multiplies by. */
function hasWeight({ opType }: NodeProto): boolean {
  const layer = standardDefinition(opType)?.layer;
  return layer?.names[1] !== undefined && (multiplies(layer) || layer.kind === "recurrent");
}

/** All floating-point Constant nodes, if one of them is the weight of a layer; else none. */
function weightConstants(nodes: readonly NodeProto[]): NodeProto[] {
  const weights = new Set<string>();
  const left = [...nodes];
  for (const node of left) {
    if (hasWeight(node)) for (const name of node.input.slice(1, 2)) weights.add(name);
    for (const graph of subgraphsOf(node)) left.push(...graph.node);
  }
  const constants = nodes.filter((node) => floatsOf(node));
  return constants.some(({ output }) => weights.has(output[0] ?? "")) ? constants : [];
}

function withInner(node: NodeProto, opsets: Inlined["opsets"], kept: Map<NodeProto, number>): NodeProto {
  const result = withSubgraphs(node, (graph) => converted(graph, opsets, kept));
  const opset = opsets.get(node);
  if (opset !== undefined) kept.set(result, opset);
  return result;
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
