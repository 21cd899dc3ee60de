/**
 * The float64 reference: evaluates a graph op by op in plain TypeScript. It is an oracle for tests and checks, not a
 * fast way to compute.
 */

import { PergradError } from "../errors.js";
import type { Array64 } from "../float64/array64.js";
import { bindDim } from "../graph/dim.js";
import { describeNode, type Node, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { build, definitionOf } from "../ops/registry.js";
import { present } from "../present.js";
import type { Tensor } from "../tensor/tensor.js";
import { elementsIn } from "../tensor/tensor.js";

export function toArray64(tensor: Tensor): Array64 {
  const { dims, data } = tensor;
  if (data instanceof Float64Array) return { dims, data };
  const elements = elementsIn(tensor);
  // Not `from`, which would go through an iterator.
  return { dims, data: new Float64Array(elements.length).map((_, i) => Number(elements[i])) };
}

/** The values fed to inputs and parameters. */
export type Feeds = ReadonlyMap<Value, Array64>;

export type Evaluate = (outputs: readonly Value[], feeds: Feeds, samples: number) => Array64[];

/**
 * The values of `outputs` for a batch of `samples`. Intermediate values are released once nothing reads them any more.
 * @throws PergradError MISSING_TENSOR for a leaf that is not fed.
 */
export function evaluateGraph(outputs: readonly Value[], feeds: Feeds, samples: number): Array64[] {
  return evaluator()(outputs, feeds, samples);
}

/**
 * `evaluateGraph` for graphs that are evaluated again and again, as bodies of loops are: it keeps the parts of
 * composites, and, for a list of outputs that it is given again, the order of the nodes. With such a list the same
 * values must be fed.
 */
export function evaluator(): Evaluate {
  const plans = new WeakMap<readonly Value[], readonly Step[]>();
  const composites: Composites = new WeakMap();
  const evaluate: Evaluate = (outputs, feeds, samples) => {
    const steps = plans.get(outputs) ?? stepsTo(outputs, feeds);
    plans.set(outputs, steps);
    const found = evaluateSteps(steps, outputs, feeds, samples, evaluate, composites);
    return outputs.map((output) => present(found.get(output)));
  };
  return evaluate;
}

/** The same, and every intermediate value. */
export function evaluateAll(outputs: readonly Value[], feeds: Feeds, samples: number): Map<Value, Array64> {
  const steps = nodesBefore(outputs, feeds).map((node) => ({ node, done: [] }));
  return evaluateSteps(steps, outputs, feeds, samples, evaluator(), new WeakMap());
}

interface Step {
  readonly node: Node;
  /** What nothing reads after this node. */
  readonly done: readonly Value[];
}

/** What composites consist of. */
type Composites = WeakMap<Node, readonly Value[]>;

function stepsTo(outputs: readonly Value[], feeds: Feeds): Step[] {
  const read = new Set(outputs);
  const done = (value: Value | null): value is Value => {
    const isLast = value !== null && !read.has(value);
    if (isLast) read.add(value);
    return isLast;
  };
  // From the last node on: what no later one reads is done.
  return nodesBefore(outputs, feeds)
    .reverse()
    .map((node) => ({ node, done: [...node.outputs, ...node.inputs].filter(done) }))
    .reverse();
}

function evaluateSteps(
  steps: readonly Step[],
  outputs: readonly Value[],
  feeds: Feeds,
  samples: number,
  evaluate: Evaluate,
  composites: Composites,
): Map<Value, Array64> {
  const found = new Map<Value, Array64>(feeds);
  const read = (value: Value): Array64 => {
    const known = found.get(value) ?? evaluateLeaf(value, samples);
    found.set(value, known);
    return known;
  };
  for (const { node, done } of steps) {
    const inputs = node.inputs.map((input) => (input ? read(input) : null));
    evaluateNode(node, inputs, samples, evaluate, composites).forEach((result, k) => {
      const output = node.outputs[k];
      if (output) found.set(output, result);
    });
    for (const value of done) found.delete(value);
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

function evaluateNode(
  node: Node,
  inputs: readonly (Array64 | null)[],
  samples: number,
  evaluate: Evaluate,
  composites: Composites,
): Array64[] {
  const definition = definitionOf(node);
  if (definition?.body) return definition.body.evaluate(node, inputs, evaluate);
  if (definition?.evaluate) return definition.evaluate(inputs, node);
  const outputs = composites.get(node) ?? definition?.decompose?.(node, build.inside(node));
  if (!outputs)
    throw new PergradError(
      "UNSUPPORTED_OP",
      `The reference cannot evaluate ${describeNode(node)}; remove the node from the model.`,
    );
  composites.set(node, outputs);
  const feeds = new Map<Value, Array64>();
  node.inputs.forEach((input, k) => {
    const array = inputs[k];
    if (input && array) feeds.set(input, array);
  });
  return evaluate(outputs, feeds, samples);
}
