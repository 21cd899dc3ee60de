/**
 * Limits the memory that a graph asks for, as a file of few bytes may ask for any amount. Values computed from
 * constants alone are computed once, when a runtime loads the graph, and all of them stay in memory, whatever the
 * batch.
 */
import { PergradError } from "../../errors.js";
import { factorOf, isBatch, type Shape, showShape } from "../../graph/dim.js";
import { describeNode, type Node, type Value } from "../../graph/value.js";
import { bytesOf } from "../../tensor/tensor.js";

/**
 * Allowed in addition to twice the size of the parameters; the latter covers the empty tensors, one in the shape of
 * each weight, to which gradients are added.
 */
const allowance = 2 ** 29;

/**
 * The most elements of one tensor per sample: 8 GB of float32, and the largest count that every part of the runtime can
 * hold.
 */
const mostElements = 2 ** 31 - 1;

/**
 * @throws PergradError TOO_LARGE if a single tensor, or the results of nodes that depend on no input, need more than any
 * program has use for.
 */
export function refuseHuge(nodes: readonly Node[]): void {
  refuseHugeTensors(nodes);
  refuseHugeConstants(nodes);
}

function refuseHugeTensors(nodes: readonly Node[]): void {
  for (const node of nodes) {
    const huge = node.outputs.find(({ shape }) => elementsOf(shape) > mostElements);
    if (!huge) continue;
    throw new PergradError(
      "TOO_LARGE",
      `${describeNode(node)} makes a tensor ${showShape(huge.shape)}, which fits in no memory; give the model ` +
        "smaller inputs, or remove the node.",
    );
  }
}

function refuseHugeConstants(nodes: readonly Node[]): void {
  const parameters = new Set<Value>();
  for (const { inputs } of nodes)
    for (const input of inputs) if (input?.source.kind === "parameter") parameters.add(input);
  let left = allowance + 2 * [...parameters].reduce((sum, value) => sum + memoryOf(value), 0);
  const fed = new Set<Value>();
  for (const node of nodes) {
    if (node.inputs.some((input) => input && (varies(input) || fed.has(input)))) {
      for (const output of node.outputs) fed.add(output);
      continue;
    }
    const bytes = node.outputs.reduce((sum, output) => sum + memoryOf(output), 0);
    left -= bytes;
    if (left >= 0) continue;
    throw new PergradError(
      "TOO_LARGE",
      `${describeNode(node)} computes ${Math.round(bytes / 2 ** 20)} MB from constants alone, which with the others of ` +
        "its sort would not fit in memory; give the model smaller inputs, or remove the node.",
    );
  }
}

function varies({ source, known }: Value): boolean {
  return source.kind === "input" || source.kind === "parameter" || (known?.some(isBatch) ?? false);
}

function memoryOf({ dtype, shape }: Value): number {
  return bytesOf(dtype) * elementsOf(shape);
}

/** The number of elements; those of one sample if the shape depends on the batch. */
function elementsOf(shape: Shape): number {
  return shape.reduce<number>((size, dim) => size * factorOf(dim), 1);
}
