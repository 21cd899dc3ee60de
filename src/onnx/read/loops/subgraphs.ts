/** Graphs inside nodes: the branches of If, the bodies of Loop and Scan. */
import type { AttributeProto, GraphProto, NodeProto } from "onnx-buf";
import { attributeProto, nodeProto } from "../../messages.js";
import { describeProto, invalidModel } from "../../proto.js";

/** Deeper nesting than anyone writes. */
const deepest = 64;

/** The graphs in a node's attributes. */
export function subgraphsOf(node: NodeProto): GraphProto[] {
  return node.attribute.flatMap(({ g, graphs }) => (g ? [g, ...graphs] : graphs));
}

/** The same node with each of its graphs transformed; the node itself if it has no graphs. */
export function withSubgraphs(node: NodeProto, change: (graph: GraphProto) => GraphProto): NodeProto {
  if (subgraphsOf(node).length === 0) return node;
  const attribute = node.attribute.map((each): AttributeProto => {
    const { g, graphs } = each;
    if (!g && graphs.length === 0) return each;
    return attributeProto.changed(each, { ...(g ? { g: change(g) } : {}), graphs: graphs.map(change) });
  });
  return nodeProto.changed(node, { attribute });
}

/** The graph in one attribute. Throws INVALID_MODEL if there is none. */
export function subgraph(node: NodeProto, name: string): GraphProto {
  const found = node.attribute.find((attribute) => attribute.name === name)?.g;
  if (found) return found;
  throw invalidModel(`${describeProto(node)} has no graph "${name}"`);
}

/** The names that a node reads: its inputs, and those that its graphs take from outside. */
export function namesRead(node: NodeProto): string[] {
  return [...node.input, ...subgraphsOf(node).flatMap((graph) => [...freeNames(graph)])];
}

/** The names that a graph reads and does not define. Throws INVALID_MODEL if the nesting is absurdly deep. */
function freeNames(graph: GraphProto, depth = 0): Set<string> {
  if (depth > deepest) throw invalidModel(`Graphs are nested more than ${deepest} deep`);
  const free = new Set(graph.output.map(({ name }) => name));
  for (const node of graph.node) {
    for (const name of node.input) free.add(name);
    for (const inner of subgraphsOf(node)) for (const name of freeNames(inner, depth + 1)) free.add(name);
  }
  for (const name of definedNames(graph)) free.delete(name);
  free.delete("");
  return free;
}

/** The names that a graph defines: its inputs, its initializers, and the outputs of its nodes. */
export function definedNames(graph: GraphProto): string[] {
  return [...graph.input, ...graph.initializer]
    .map(({ name }) => name)
    .concat(graph.node.flatMap((node) => node.output));
}
