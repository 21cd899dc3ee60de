/** What of a program is left to the CPU, for `explain`. */
import { describeNode, type Node, type Value } from "../../graph/value.js";
import { nodesBefore } from "../../graph/walk.js";
import { grouped } from "../../grouped.js";
import { neededNodes } from "../../onnx/write/dimensions.js";
import { hasKernel } from "./kernels.js";

/** The nodes that the runtime computes on the CPU, with a copy of what they read and give. */
export function nodesOnCpu(outputs: readonly Value[]): Node[] {
  return neededNodes(nodesBefore(outputs), outputs).filter((node) => !hasKernel(node));
}

/** Of each operator the first few nodes are named. */
const named = 3;

export function notesOn(outputs: readonly Value[]): string[] {
  const byOperator = grouped(nodesOnCpu(outputs).map((node) => [node.op, node]));
  return [...byOperator].map(([op, nodes]) => {
    const names = nodes.slice(0, named).map(describeNode).join(", ");
    const all = nodes.length > named ? `${names} and ${nodes.length - named} more` : names;
    return `On the CPU, since the GPU has no kernel for ${op}: ${all}.`;
  });
}
