/**
 * Compress, NonZero, Unique and NonMaxSuppression. The number of elements that they return depends on their data, so
 * the data must be constant.
 */

import type { Array64 } from "../../float64/array64.js";
import { array64, transpose64 } from "../../float64/array64.js";
import { type Dim, elementsOf, factorOf, isBatch, type Shape, showDim } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import type { Node, ValueType } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import { alike } from "../alike.js";
import type { Call } from "../call.js";
import { intAttribute, interaction, normalAxis, ownAxis, part, requireInput, shapeMismatch } from "../checks.js";
import { having, never, type OpDefinition } from "../definition.js";
import { lowered } from "../elementwise.js";
import { constantInput } from "../subgraphs/constant-input.js";
import { selectBoxes } from "../subgraphs/suppression.js";

/** The outputs for constant inputs. Other inputs are not supported. */
function ofConstants(
  op: string,
  evaluate: (inputs: readonly (Array64 | null)[], node: Call | Node) => Array64[],
  keepsDtype = 0,
): OpDefinition {
  return {
    op,
    infer: (call) => {
      const inputs = call.inputs.map((input, index) => (input ? constantInput(call, index) : null));
      const { dtype } = requireInput(call, 0);
      return evaluate(inputs, call)
        .slice(0, call.outputs)
        .map(({ dims }, k) => ({ dtype: k < keepsDtype ? dtype : "int64", shape: dims }));
    },
    evaluate: (inputs, node) => evaluate(inputs, node).slice(0, node.outputs.length),
    differentiate: "none",
  };
}

// Compress

const compressAxis = (call: Call | Node): number | null =>
  call.attributes.axis === undefined
    ? null
    : ownAxis(call, intAttribute(call, "axis", 0), requireInput(call, 0).shape.length);

function flattened(call: Call | Node): Dim {
  const size = elementsOf(requireInput(call, 0).shape);
  if (size === undefined) throw interaction(call, "pairs the samples with each other");
  return size;
}

/** The positions that the condition keeps. */
function keptPlaces(call: Call | Node): number[] {
  const condition = constantInput(call, 1);
  const axis = compressAxis(call);
  const size = axis === null ? flattened(call) : nth(requireInput(call, 0).shape, axis);
  const places = [...condition.data.keys()].filter((place) => condition.data[place] !== 0);
  const outside = isBatch(size) ? undefined : places.findLast((place) => place >= size);
  if (outside !== undefined)
    throw shapeMismatch(part(call, "the condition"), `keeps element ${outside} of ${showDim(size)}, counting from 0`);
  return places;
}

const compress = lowered({
  op: "Compress",
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    const axis = compressAxis(call);
    const count = keptPlaces(call).length;
    const kept: Shape = axis === null ? [count] : shape.map((dim, at) => (at === axis ? count : dim));
    return [{ dtype, shape: kept }];
  },
  decompose: (node, build) => {
    const x = inputOf(node, 0);
    const axis = compressAxis(node);
    const lines = axis === null ? build.reshape(x, [flattened(node)]) : x;
    return [build.gather(lines, build.ints(keptPlaces(node)), axis ?? 0)];
  },
});

// NonZero

/** `[rank, count]`; a scalar counts as a vector of one element. */
function nonZeroPlaces({ dims, data }: Array64): Array64 {
  const places = [...data.keys()].filter((place) => data[place] !== 0);
  const sizes = dims.length === 0 ? [1] : dims;
  const columns = sizes.map((size, axis) => {
    const stride = sizes.slice(axis + 1).reduce((product, dim) => product * dim, 1);
    return places.map((place) => Math.floor(place / stride) % size);
  });
  return array64([sizes.length, places.length], columns.flat());
}

/** For elements that are all alike and not 0, the positions are known for any batch size. */
function inferPlaces(call: Call): ValueType[] | null {
  const { shape } = requireInput(call, 0);
  const same = alike(call.inputs[0]);
  if (!shape.some(isBatch) || same === undefined || same === 0) return null;
  return [{ dtype: "int64", shape: [shape.length, flattened(call)] }];
}

const places = having(
  { counts: true },
  ofConstants("NonZero", ([x]) => [nonZeroPlaces(present(x))]),
);
const nonZero: OpDefinition = {
  ...places,
  infer: (call) => inferPlaces(call) ?? places.infer(call),
  // For elements that are all alike, the result is in row-major order, as after a reshape to one axis.
  sampleAxis: (node, [at]) => {
    const { shape } = inputOf(node, 0);
    const product = (dims: Shape) => dims.reduce<number>((size, dim) => size * factorOf(dim), 1);
    if (!at) return [null];
    const [before, behind] = [product(shape.slice(0, at.axis)), product(shape.slice(at.axis + 1))];
    return [{ axis: 1, outer: before * at.outer, inner: at.inner * behind }];
  },
};

// Unique

function comparing(a: Float64Array, b: Float64Array): number {
  for (let k = 0; k < a.length; k++) {
    const difference = (a[k] as number) - (b[k] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

interface Group {
  readonly row: Float64Array;
  readonly members: number[];
}

/** Groups equal rows, ordered by the first member of each group. */
function groupRows(rows: readonly Float64Array[]): Group[] {
  const groups = new Map<string, Group>();
  rows.forEach((row, at) => {
    const key = row.join();
    const found = groups.get(key);
    if (found) found.members.push(at);
    else groups.set(key, { row, members: [at] });
  });
  return [...groups.values()];
}

function inverseOf(groups: readonly Group[], count: number): number[] {
  const inverse = Array<number>(count).fill(0);
  groups.forEach(({ members }, k) => {
    for (const member of members) inverse[member] = k;
  });
  return inverse;
}

/**
 * The distinct elements (or, with an axis, the distinct slices), followed by their first positions, the inverse and the
 * counts.
 */
function evaluateUnique([x]: readonly (Array64 | null)[], node: Call | Node): Array64[] {
  const input = present(x);
  const whole = node.attributes.axis === undefined;
  const lines = whole ? array64([input.data.length], input.data) : input;
  const axis = whole ? 0 : normalAxis(node, intAttribute(node, "axis", 0), input.dims.length);
  const order = [axis, ...lines.dims.map((_, at) => at).filter((at) => at !== axis)];
  const front = transpose64(lines, order);
  const count = nth(front.dims, 0);
  const size = front.dims.slice(1).reduce((product, dim) => product * dim, 1);
  const groups = groupRows(Array.from({ length: count }, (_, at) => front.data.subarray(at * size, (at + 1) * size)));
  if (intAttribute(node, "sorted", 1) !== 0) groups.sort((a, b) => comparing(a.row, b.row));
  const rows = array64(
    [groups.length, ...front.dims.slice(1)],
    groups.flatMap(({ row }) => [...row]),
  );
  const back = order.map((_, at) => order.indexOf(at));
  const vector = (numbers: number[]) => array64([numbers.length], numbers);
  return [
    transpose64(rows, back),
    vector(groups.map(({ members }) => nth(members, 0))),
    vector(inverseOf(groups, count)),
    vector(groups.map(({ members }) => members.length)),
  ];
}

// NonMaxSuppression

function evaluateSuppression(inputs: readonly (Array64 | null)[], node: Call | Node): Array64[] {
  const [boxes, scores, most, overlap, threshold] = inputs;
  if (!boxes || !scores || boxes.dims.length !== 3 || scores.dims.length !== 3 || boxes.dims[2] !== 4)
    throw shapeMismatch(node, "needs boxes [batch, boxes, 4] and scores [batch, classes, boxes]");
  if (boxes.dims[0] !== scores.dims[0] || boxes.dims[1] !== scores.dims[2])
    throw shapeMismatch(part(node, "the boxes and scores"), "differ in number");
  const selected = selectBoxes(boxes, scores, {
    most: most?.data[0] ?? 0,
    overlap: overlap?.data[0] ?? 0,
    threshold: threshold?.data[0] ?? Number.NEGATIVE_INFINITY,
    centred: intAttribute(node, "center_point_box", 0) !== 0,
  });
  return [array64([selected.length, 3], selected.flat())];
}

export const selection: readonly OpDefinition[] = [
  compress,
  nonZero,
  ofConstants("Unique", evaluateUnique, 1),
  having(
    { settings: { 3: never("a threshold"), 4: never("a threshold") } },
    ofConstants("NonMaxSuppression", evaluateSuppression),
  ),
];
