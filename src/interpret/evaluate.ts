/**
 * The float64 reference: evaluates a graph op by op in plain TypeScript. It is an oracle for tests and checks, not a
 * fast way to compute.
 */

import { PergradError } from "../errors.js";
import type { Array64 } from "../float64/array64.js";
import { bindDim } from "../graph/dim.js";
import { describeNode, type Node, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import type { BodyEvaluate } from "../ops/body-rules.js";
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

/**
 * The values of `outputs` for a batch of `samples`. Intermediate values are released once nothing reads them any more.
 * @throws PergradError MISSING_TENSOR for a leaf that is not fed.
 */
export function evaluateGraph(outputs: readonly Value[], feeds: Feeds, samples: number): Array64[] {
  return new Evaluator().evaluate(outputs, feeds, samples);
}

/**
 * Evaluates graphs again and again, as bodies of loops are: it keeps the parts of composites, and, for a list of outputs
 * that it is given again, the order of the nodes.
 */
export class Evaluator {
  readonly #plans = new WeakMap<readonly Value[], readonly Step[]>();
  /** What composites consist of. */
  readonly #composites = new WeakMap<Node, readonly Value[]>();

  /** As `evaluateGraph`. With a list of outputs that was given before, the same values must be fed. */
  readonly evaluate: BodyEvaluate = (outputs, feeds, samples) => {
    const steps = this.#plans.get(outputs) ?? stepsTo(outputs, feeds);
    this.#plans.set(outputs, steps);
    const found = this.#run(steps, outputs, feeds, samples);
    return outputs.map((output) => present(found.get(output)));
  };

  /** The same, and every intermediate value. */
  all(outputs: readonly Value[], feeds: Feeds, samples: number): Map<Value, Array64> {
    const steps = nodesBefore(outputs, feeds).map((node) => ({ node, done: [] }));
    return this.#run(steps, outputs, feeds, samples);
  }

  #run(steps: readonly Step[], outputs: readonly Value[], feeds: Feeds, samples: number): Map<Value, Array64> {
    const found = new Map<Value, Array64>(feeds);
    const read = (value: Value): Array64 => {
      const known = found.get(value) ?? evaluateLeaf(value, samples);
      found.set(value, known);
      return known;
    };
    for (const { node, done } of steps) {
      const inputs = node.inputs.map((input) => (input ? read(input) : null));
      this.#resultsOf(node, inputs, samples).forEach((result, k) => {
        const output = node.outputs[k];
        if (output) found.set(output, result);
      });
      for (const value of done) found.delete(value);
    }
    outputs.forEach(read);
    return found;
  }

  #resultsOf(node: Node, inputs: readonly (Array64 | null)[], samples: number): Array64[] {
    const definition = definitionOf(node);
    if (definition?.body) return definition.body.evaluate(node, inputs, this.evaluate);
    if (definition?.evaluate) return definition.evaluate(inputs, node);
    const feeds = new Map<Value, Array64>();
    node.inputs.forEach((input, k) => {
      const array = inputs[k];
      if (input && array) feeds.set(input, array);
    });
    return this.evaluate(this.#partsOf(node), feeds, samples);
  }

  #partsOf(node: Node): readonly Value[] {
    const parts = this.#composites.get(node) ?? definitionOf(node)?.decompose?.(node, build.inside(node));
    if (!parts)
      throw new PergradError(
        "UNSUPPORTED_OP",
        `The reference cannot evaluate ${describeNode(node)}; remove the node from the model.`,
      );
    this.#composites.set(node, parts);
    return parts;
  }
}

interface Step {
  readonly node: Node;
  /** What nothing reads after this node. */
  readonly done: readonly Value[];
}

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

function evaluateLeaf(value: Value, samples: number): Array64 {
  const { source } = value;
  if (source.kind === "constant") return toArray64(source.tensor);
  if (source.kind === "dims") {
    const data = Float64Array.from(source.dims, (dim) => bindDim(dim, samples));
    return { dims: source.scalar ? [] : [data.length], data };
  }
  throw new PergradError("MISSING_TENSOR", `The ${source.kind} "${value.name}" was given no data; give its tensor.`);
}
