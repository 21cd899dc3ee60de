/**
 * The float64 reference: evaluates a graph op by op in plain TypeScript. It is an oracle for tests and checks, not a
 * fast way to compute.
 */

import { PergradError } from "../errors.js";
import type { Array64 } from "../float64/array64.js";
import { bindDim } from "../graph/dim.js";
import { describeNode, type Node, type Value } from "../graph/value.js";
import { nodesBefore, presentInputs } from "../graph/walk.js";
import { build, definitionOf } from "../ops/registry.js";
import { present } from "../present.js";
import type { Tensor } from "../tensor/tensor.js";
import { elementsIn } from "../tensor/tensor.js";

export function toArray64(tensor: Tensor): Array64 {
  const data = tensor.data instanceof Float64Array ? tensor.data : Float64Array.from(elementsIn(tensor), Number);
  return { dims: tensor.dims, data };
}

/** The values fed to inputs and parameters. */
export type Feeds = ReadonlyMap<Value, Array64>;

/**
 * The values of `outputs` for a batch of `samples`. Intermediate values are released once nothing reads them any more.
 * @throws PergradError MISSING_TENSOR for a leaf that is not fed.
 */
export function evaluateGraph(outputs: readonly Value[], feeds: Feeds, samples: number): Array64[] {
  const nodes = nodesBefore(outputs, feeds);
  const lastReader = new Map<Value, Node>();
  for (const node of nodes) for (const input of presentInputs(node)) lastReader.set(input, node);
  for (const output of outputs) lastReader.delete(output);
  const found = evaluateNodes(nodes, outputs, feeds, samples, (node, values) => {
    for (const input of presentInputs(node)) if (lastReader.get(input) === node) values.delete(input);
    for (const output of node.outputs) {
      if (!lastReader.has(output) && !outputs.includes(output)) values.delete(output);
    }
  });
  return outputs.map((output) => present(found.get(output)));
}

/** The same, and every intermediate value. */
export function evaluateAll(outputs: readonly Value[], feeds: Feeds, samples: number): Map<Value, Array64> {
  return evaluateNodes(nodesBefore(outputs, feeds), outputs, feeds, samples, () => {});
}

function evaluateNodes(
  nodes: readonly Node[],
  outputs: readonly Value[],
  feeds: Feeds,
  samples: number,
  done: (node: Node, values: Map<Value, Array64>) => void,
): Map<Value, Array64> {
  const found = new Map<Value, Array64>(feeds);
  const read = (value: Value): Array64 => {
    const known = found.get(value) ?? evaluateLeaf(value, samples);
    found.set(value, known);
    return known;
  };
  for (const node of nodes) {
    const inputs = node.inputs.map((input) => (input ? read(input) : null));
    evaluateNode(node, inputs, samples).forEach((result, k) => {
      const output = node.outputs[k];
      if (output) found.set(output, result);
    });
    done(node, found);
  }
  outputs.forEach(read);
  return found;
}

function evaluateLeaf(value: Value, samples: number): Array64 {
  const { source } = value;
  if (source.kind === "constant") return toArray64(source.tensor);
  if (source.kind === "dims") {
    const data = Float64Array.from(source.dims, (dim) => bindDim(dim, samples));
    return { dims: source.scalar ? [] : [data.length], data };
  }
  throw new PergradError("MISSING_TENSOR", `The ${source.kind} "${value.name}" was given no data; give its tensor.`);
}

function evaluateNode(node: Node, inputs: readonly (Array64 | null)[], samples: number): Array64[] {
  const definition = definitionOf(node);
  if (definition?.body) return definition.body.evaluate(node, inputs, evaluateGraph);
  if (definition?.evaluate) return definition.evaluate(inputs, node);
  const outputs = definition?.decompose?.(node, build.inside(node));
  if (!outputs)
    throw new PergradError(
      "UNSUPPORTED_OP",
      `The reference cannot evaluate ${describeNode(node)}; remove the node from the model.`,
    );
  const feeds = new Map(
    node.inputs.flatMap((input, k) => {
      const array = inputs[k];
      return input && array ? [[input, array] as const] : [];
    }),
  );
  return evaluateGraph(outputs, feeds, samples);
}
