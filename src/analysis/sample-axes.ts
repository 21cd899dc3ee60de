/**
 * Finds where each value carries the samples of a batch, and thereby proves that samples do not interact:
 * a node through which one sample could reach another's result is refused.
 */

import type { PergradError } from "../errors.js";
import { factorOf, isBatch, showShape } from "../graph/dim.js";
import type { SampleAxis } from "../graph/sample-axis.js";
import type { Node, Value } from "../graph/value.js";
import { nodesBefore, presentInputs } from "../graph/walk.js";
import { interaction } from "../ops/checks.js";
import { build, definitionOf } from "../ops/registry.js";
import { sortsAll, sortsSamples } from "../ops/rules/sorted-samples.js";
import { nth } from "../present.js";

/** The sample axis of every requested value; null for a value that is the same for all samples. */
export class SampleAxes {
  readonly #axes = new Map<Value, SampleAxis | null>();
  /** Values that depend on a sample's number in its batch or on its rank, and the node that counts or sorts. */
  readonly #numbered = new Map<Value, Node>();

  /** @param given the sample axis of each input that has one; a number stands for a plain axis. */
  constructor(given: ReadonlyMap<Value, number | SampleAxis>) {
    for (const [input, at] of given) {
      this.#axes.set(input, typeof at === "number" ? { axis: at, outer: 1, inner: 1 } : at);
    }
  }

  /** The sample axes of a graph's inputs, by name; null or missing for an input that all samples share. */
  static ofInputs(inputs: readonly Value[], sampleAxes: Readonly<Record<string, number | null>>): SampleAxes {
    const given = inputs.flatMap((value) => {
      const axis = sampleAxes[value.name] ?? null;
      return axis === null ? [] : [[value, axis] as const];
    });
    return new SampleAxes(new Map(given));
  }

  /** The same, with one more input whose first axis holds the samples. */
  and(input: Value): SampleAxes {
    const more = new SampleAxes(new Map([[input, 0]]));
    for (const [value, at] of this.#axes) more.#axes.set(value, at);
    for (const [value, node] of this.#numbered) more.#numbered.set(value, node);
    return more;
  }

  /** Throws SAMPLES_INTERACT if samples of the batch meet on the way to `value`. */
  of(value: Value): SampleAxis | null {
    const at = this.along(value);
    const counter = this.#numbered.get(value);
    if (counter) throw counter.op === "TopK" ? sortsSamples(counter) : numbersSamples(counter);
    return at;
  }

  /**
   * The same, but also allows values that depend on a sample's number in its batch or on its rank, and sorted samples.
   */
  along(value: Value): SampleAxis | null {
    const found = this.#axes.get(value);
    if (found !== undefined) return found;
    // Values known at compile time are the same for all samples, whatever their shapes were taken from.
    const settled = { has: (each: Value) => this.#axes.has(each) || each.known !== undefined };
    for (const node of nodesBefore([value], settled)) this.#visit(node);
    return this.#axes.get(value) ?? null;
  }

  #visit(node: Node): void {
    const rules = this.#rules(node);
    const counter = this.#counterOf(node);
    node.outputs.forEach((output, k) => {
      const at = rules[k] ?? null;
      checkAxis(node, output, at);
      this.#axes.set(output, at);
      if (counter && !output.known) this.#numbered.set(output, counter);
    });
  }

  /** The node (this one or an earlier one) that makes its outputs depend on the samples' numbers. */
  #counterOf(node: Node): Node | undefined {
    if (node.op === "TopK" && node.outputs[0]?.shape.some(isBatch) && sortsAll(node)) return node;
    if (definitionOf(node)?.counts && node.outputs.some((output) => output.shape.some(isBatch))) return node;
    return presentInputs(node)
      .map((input) => this.#numbered.get(input))
      .find((counter) => counter !== undefined);
  }

  #rules(node: Node): readonly (SampleAxis | null)[] {
    const definition = definitionOf(node);
    const inputs = node.inputs.map((input) => (input ? this.along(input) : null));
    refuseBatchSize(node);
    const shared = inputs.every((at) => at === null);
    if (shared && node.outputs.some((output) => output.shape.some(isBatch))) {
      return node.outputs.map((output) => repeated(node, output));
    }
    if (shared) return [];
    const sorted = sortedAxes(node, inputs, (value) => this.#numbered.get(value)?.op === "TopK");
    if (sorted) return sorted;
    if (definition?.body) return definition.body.sampleAxis(node, inputs, axesInBody);
    // A composite may have its own rule, to give its own message.
    if (definition?.decompose && !definition.sampleAxis) {
      return definition.decompose(node, build).map((output) => this.along(output));
    }
    return definition?.sampleAxis?.(node, inputs) ?? [];
  }
}

function numbersSamples(node: Node): PergradError {
  return interaction(
    node,
    "numbers the samples of the batch, and these numbers do more than pick each sample's own row",
    "select the elements of a sample in another way",
  );
}

/**
 * The sample axis of samples that are sorted, gathered in sorted order, or of their inverted places: it is known where
 * samples lie, but not which samples they are.
 */
function sortedAxes(
  node: Node,
  axes: readonly (SampleAxis | null)[],
  isSorted: (value: Value) => boolean,
): readonly (SampleAxis | null)[] | null {
  if (node.domain !== "") return null;
  const [data, indices] = axes;
  if (node.op === "TopK") return data && sortsAll(node) ? [data, data] : null;
  const places = node.inputs[1];
  if (!data || !indices || !places || !isSorted(places)) return null;
  if (node.op === "Gather" && places.shape.length === 1) return [data];
  return node.op === "ScatterElements" || node.op === "ScatterND" ? [data] : null;
}

function axesInBody(outputs: readonly Value[], given: ReadonlyMap<Value, SampleAxis>): (SampleAxis | null)[] {
  const axes = new SampleAxes(given);
  return outputs.map((output) => axes.of(output));
}

/**
 * A number that depends on the batch size may be used in a tensor's shape, and followed through shape arithmetic.
 * Anywhere else, the number of other samples in the batch would change a sample's result.
 */
function refuseBatchSize(node: Node): void {
  const followed = node.outputs.every((output) => output.known);
  const shapes = definitionOf(node)?.shapeInputs ?? [];
  const computes = node.inputs.some((input, k) => input?.known?.some(isBatch) && !shapes.includes(k));
  if (computes && !followed) throw interaction(node, "computes with the batch size");
}

/**
 * A shared value that is repeated for every sample (Expand, ConstantOfShape, Tile): its sample axis is the one that
 * holds N.
 */
function repeated(node: Node, output: Value): SampleAxis | null {
  const holding = output.shape.flatMap((dim, axis) => (isBatch(dim) ? [axis] : []));
  if (holding.length === 0) return null;
  if (holding.length > 1) {
    throw interaction(node, `makes a tensor ${showShape(output.shape)} that pairs the samples with each other`);
  }
  const axis = nth(holding, 0);
  const inner = factorOf(nth(output.shape, axis));
  // The repeated elements lie inside N; if there is only one, all elements along the axis are alike.
  const repeats = definitionOf(node)?.counts || (node.op === "Tile" && node.inputs[0]?.shape[axis] !== 1);
  return { axis, outer: 1, inner, ...(repeats ? {} : { uniform: true }) };
}

/** Refuses a rule's result that disagrees with the shapes. */
function checkAxis(node: Node, output: Value, at: SampleAxis | null): void {
  const dim = at ? output.shape[at.axis] : undefined;
  const fits = at ? isBatch(dim) && dim.perSample === at.outer * at.inner : !output.shape.some(isBatch);
  if (!fits || output.shape.filter(isBatch).length > 1) {
    throw interaction(node, `gives a tensor ${showShape(output.shape)} in which the samples cannot be told apart`);
  }
}
