/**
 * Samples that are sorted and put back: `pack_padded_sequence(enforce_sorted=False)` sorts them by length, runs the
 * network, and undoes the order. For operations on each sample alone, f(x[order])[inverse] is f(x), so they run
 * unsorted.
 */

import type { SampleAxes } from "../../../analysis/sample-axes.js";
import { PergradError } from "../../../errors.js";
import { substitute } from "../../../graph/body.js";
import { factorOf, isBatch, sameShape } from "../../../graph/dim.js";
import { inputOf } from "../../../graph/operands.js";
import { type Node, nodeOf, type Value } from "../../../graph/value.js";
import { nodesBefore, presentInputs } from "../../../graph/walk.js";
import type { Call } from "../../../ops/call.js";
import { intAttribute, normalAxis, stringAttribute } from "../../../ops/checks.js";
import { build, definitionOf } from "../../../ops/registry.js";
import { nth } from "../../../present.js";
import type { Numbers } from "./numbers.js";
import type { Reading } from "./own-rows.js";

/** A permutation of the samples: the one that a TopK sorts them by, or its inverse. */
interface Order {
  readonly sorter: Node;
  readonly inverse: boolean;
}

const inverseOf = ({ sorter, inverse }: Order): Order => ({ sorter, inverse: !inverse });
const sameOrder = (a: Order | null, b: Order) =>
  a !== null && sameSorter(a.sorter, b.sorter) && a.inverse === b.inverse;

/** Exporters sort the same values twice, once for the sorted lengths and once for their places. */
function sameSorter(a: Node, b: Node): boolean {
  const options = ({ attributes }: Node) =>
    ["axis", "largest", "sorted"].map((name) => attributes[name] ?? null).join();
  return a === b || (a.inputs[0] === b.inputs[0] && options(a) === options(b));
}

/** One element for each sample, in any shape. */
function onePerSample({ shape }: Value): boolean {
  return shape.some(isBatch) && shape.every((dim) => factorOf(dim) === 1);
}

/** Null if the value is not known to be such a permutation. */
function orderOf(value: Value, numbers: Numbers): Order | null {
  const node = nodeOf(value);
  const [first, second] = node?.inputs ?? [];
  if (node?.domain !== "" || !first || !onePerSample(value)) return null;
  if (keepsElements(node)) return orderOf(first, numbers);
  if (node.op === "TopK") return sortedBy(node, value, numbers);
  if (!second || !isInversion(node, numbers)) return null;
  const order = orderOf(second, numbers);
  return order && inverseOf(order);
}

/**
 * Whether a node with one element per sample returns the elements of its first input, in their order. Exporters expand
 * an index to its own shape, and join it with nothing.
 */
function keepsElements(node: Node): boolean {
  const { op, inputs } = node;
  if (op === "Concat" || op === "Max" || op === "Min") return inputs.length === 1;
  const definition = definitionOf(node);
  return op === "Identity" || op === "Cast" || definition?.view !== undefined || definition?.repeats === true;
}

/** The order along `axis` that a tensor holds in each of its lines; null if it holds none. */
function orderAlong(value: Value, axis: number, numbers: Numbers): Order | null {
  const node = nodeOf(value);
  const first = node?.inputs[0];
  if (onePerSample(value)) return isBatch(value.shape[axis]) ? orderOf(value, numbers) : null;
  if (node?.domain !== "" || !first) return null;
  if (node.op === "Identity" || node.op === "Cast") return orderAlong(first, axis, numbers);
  return node.op === "Expand" ? orderAlong(first, axis - value.shape.length + first.shape.length, numbers) : null;
}

/** The places of the sorted elements; sorting a permutation in ascending order gives its inverse. */
function sortedBy(node: Node, value: Value, numbers: Numbers): Order | null {
  if (node.outputs[1] !== value) return null;
  const keys = inputOf(node, 0);
  const before = nodeOf(keys);
  const [up, from] = [intAttribute(node, "largest", 1) === 0, before?.op === "Neg" ? before.inputs[0] : null];
  const order = orderOf(from ?? keys, numbers);
  // Sorting negated values downwards sorts the values upwards.
  const upwards = from ? !up : up;
  return order && upwards ? inverseOf(order) : { sorter: node, inverse: false };
}

/** Whether a node writes the number j to the place that its indices name at j, so that each place gets one. */
function isInversion(node: Node, numbers: Numbers): boolean {
  const updates = node.inputs[2];
  const scatters = node.op === "ScatterElements" || node.op === "ScatterND";
  if (!scatters || !updates || stringAttribute(node, "reduction", "none") !== "none") return false;
  const form = numbers.of(updates);
  return form?.factor === 1 && form.rest === null && onePerSample(updates);
}

/** Values that a walk finds in sorted order, each with its unsorted form. */
class Unsorted {
  readonly #found = new Map<Value, Value>();

  constructor(
    readonly order: Order,
    readonly reading: Reading,
  ) {}

  has(value: Value): boolean {
    const known = this.#found.has(value);
    const source = known ? null : this.#source(value);
    if (source) this.#found.set(value, source);
    return known || source !== null;
  }

  #source(value: Value): Value | null {
    const node = nodeOf(value);
    const [first] = node?.inputs ?? [];
    if (node?.domain !== "" || !first) return null;
    if (node.op === "TopK")
      return node.outputs[0] === value && sameOrder({ sorter: node, inverse: false }, this.order) ? first : null;
    const found = reordered(node, this.reading.numbers);
    if (!found || !sameOrder(found.order, this.order)) return null;
    return isPlain(this.reading.axes, found.data, found.axis) ? found.data : null;
  }

  /** `value` for unsorted samples; null if some of them reach it in another order. */
  of(value: Value): Value | null {
    const nodes = nodesBefore([value], this);
    const own = nodes.every(
      (node) =>
        !definitionOf(node)?.random &&
        presentInputs(node).every((input) => input.source.kind === "node" || !input.shape.some(isBatch)),
    );
    const isLeaf = value.source.kind !== "node";
    return own && (!isLeaf || this.has(value)) ? nth(substitute([value], this.#found), 0) : null;
  }
}

/** Whether the samples lie along `axis`, alone, and have not met before. */
function isPlain(axes: SampleAxes, value: Value, axis: number): boolean {
  try {
    const at = axes.of(value);
    return at?.axis === axis && (at.uniform || (at.outer === 1 && at.inner === 1));
  } catch (error) {
    if (error instanceof PergradError) return false;
    throw error;
  }
}

/** A tensor whose samples a node puts into an order, and its axis. */
interface Reordered {
  readonly data: Value;
  readonly axis: number;
  readonly order: Order;
}

/** Null for a node that puts no samples into an order, or not all of them. */
function reordered(call: Reordering, numbers: Numbers): Reordered | null {
  const [data, indices, updates] = call.inputs;
  if (!data || !indices || data.shape.length === 0) return null;
  const axis = () => normalAxis(call, intAttribute(call, "axis", 0), data.shape.length);
  switch (call.op) {
    case "Gather":
      return indices.shape.length === 1 ? inOrder(data, axis(), orderOf(indices, numbers)) : null;
    case "GatherND": {
      const wholeRows = intAttribute(call, "batch_dims", 0) === 0 && isPlaces(indices, data);
      return wholeRows ? inOrder(data, 0, orderOf(indices, numbers)) : null;
    }
    case "GatherElements":
      return sameShape(indices.shape, data.shape) ? inOrder(data, axis(), orderAlong(indices, axis(), numbers)) : null;
    case "ScatterND":
      return updates && overwrites(call) && isPlaces(indices, data)
        ? inOrder(updates, 0, inverted(orderOf(indices, numbers)))
        : null;
    case "ScatterElements": {
      // All elements are written, each to the place that the index names.
      const all = updates && sameShape(indices.shape, data.shape) && sameShape(updates.shape, data.shape);
      return all && overwrites(call) ? inOrder(updates, axis(), inverted(orderAlong(indices, axis(), numbers))) : null;
    }
    default:
      return null;
  }
}

type Reordering = Call | Node;

const overwrites = (call: Reordering) => stringAttribute(call, "reduction", "none") === "none";
const inverted = (order: Order | null) => order && inverseOf(order);
const inOrder = (data: Value, axis: number, order: Order | null): Reordered | null => order && { data, axis, order };

/** One place along the first axis for each sample of it. */
function isPlaces({ shape: [, depth, ...more] }: Value, { shape: [samples] }: Value): boolean {
  return (
    more.length === 0 && depth !== undefined && factorOf(depth) === 1 && isBatch(samples) && factorOf(samples) === 1
  );
}

/** The outputs of a node that puts sorted samples back, computed without sorting; null for any other node. */
export function withoutSorting(call: Call, reading: Reading): readonly Value[] | null {
  if (call.domain !== "") return null;
  if (call.op === "TopK") return reading.ofOne ? ofOneSorted(call, reading) : null;
  const found = reordered(call, reading.numbers);
  if (!found) return null;
  const unsorted = new Unsorted(inverseOf(found.order), reading).of(found.data);
  return unsorted && isPlain(reading.axes, unsorted, found.axis) ? [unsorted] : null;
}

/** A batch of one has nothing to sort. */
function ofOneSorted({ inputs: [keys], attributes }: Call, { axes }: Reading): readonly Value[] | null {
  if (!keys) return null;
  const axis = Number(attributes.axis ?? -1);
  const along = axis < 0 ? axis + keys.shape.length : axis;
  return isPlain(axes, keys, along) ? [keys, build.expand(build.ints([0], []), keys.shape)] : null;
}
