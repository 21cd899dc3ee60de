/** The parts of a program that are left to the CPU, for `explain`. */
import { describeNode, type Node, type Value } from "../../graph/value.js";
import { nodesBefore } from "../../graph/walk.js";
import { grouped } from "../../grouped.js";
import { listed } from "../../meant.js";
import { neededNodes } from "../../onnx/write/dimensions.js";
import { hasKernel } from "./kernels.js";

/** The nodes that the runtime computes on the CPU, copying their inputs and outputs. */
export function nodesOnCpu(outputs: readonly Value[]): Node[] {
  return neededNodes(nodesBefore(outputs), outputs).filter((node) => !hasKernel(node));
}

/** The most nodes that are named for an operator. */
const mostNamed = 3;

export function notesOn(outputs: readonly Value[]): string[] {
  const byOperator = grouped(nodesOnCpu(outputs).map((node) => [node.op, node]));
  return [...byOperator].map(([op, nodes]) => {
    return `On the CPU, since the GPU has no kernel for ${op}: ${listed(nodes.map(describeNode), mostNamed)}.`;
  });
}
