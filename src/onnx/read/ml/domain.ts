/** The domain of the operators of classic machine learning. */
import type { GraphProto } from "onnx-buf";
import { subgraphsOf } from "../loops/subgraphs.js";

export const mlDomain = "ai.onnx.ml";

/** Whether the graph, or a graph inside its nodes, has such operators. */
export function usesMl({ node }: GraphProto): boolean {
  return node.some((each) => each.domain === mlDomain || subgraphsOf(each).some(usesMl));
}
