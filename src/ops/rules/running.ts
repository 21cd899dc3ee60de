/** ReverseSequence, CumProd and TensorScatter, which work along a time axis. */

import type { Array64 } from "../../float64/array64.js";
import { stridesOf, walk, zeros64 } from "../../float64/array64.js";
import { isBatch, multiply, sameDim, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  agree,
  intAttribute,
  interaction,
  knownInt,
  normalAxis,
  ownAxis,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { lowered } from "../elementwise.js";
import { requireConstant } from "../limits.js";

// ReverseSequence

interface Axes {
  readonly batch: number;
  readonly time: number;
}

function sequenceAxes(call: Call | Node): Axes {
  const [batch, time] = [intAttribute(call, "batch_axis", 1), intAttribute(call, "time_axis", 0)];
  const { shape } = requireInput(call, 0);
  if (shape.length < 2 || !((batch === 0 && time === 1) || (batch === 1 && time === 0)))
    throw shapeMismatch(
      call,
      `has batch_axis ${batch} and time_axis ${time}, which are not the first two of ${showShape(shape)}`,
    );
  return { batch, time };
}

/** Reverses the first elements of each sequence, as many as its length says. */
function evaluateReverse([x, lengths]: readonly (Array64 | null)[], node: Node): Array64[] {
  const { dims, data } = present(x);
  const { batch, time } = sequenceAxes(node);
  const [count, own] = [nth(dims, time), lengths?.data ?? []];
  if ([...own].some((length) => length < 0 || length > count))
    throw shapeMismatch(node, `has a sequence longer than the ${count} elements there are`);
  const result = zeros64(dims);
  const strides = stridesOf(dims);
  walk(dims, strides, (position) => {
    const along = (axis: number) => Math.floor(position / nth(strides, axis)) % nth(dims, axis);
    const [t, length] = [along(time), own[along(batch)] as number];
    const from = t < length ? length - 1 - t : t;
    result.data[position] = data[position + (from - t) * nth(strides, time)] as number;
  });
  return [result];
}

/**
 * The new axis moves behind the others. If each of its entries has lengths of its own, it is merged with the axis of
 * the sequences.
 */
function batchReverse(node: Node, inputs: readonly (Value | null)[], batched: readonly boolean[], build: Build): Value {
  const [x, lengths] = leadingOf(inputs, 2);
  if (!batched[1]) {
    const last = build.moveAxis(x, 0, x.shape.length - 1);
    return build.moveAxis(build.op("ReverseSequence", [last, lengths], node.attributes), x.shape.length - 1, 0);
  }
  const [leading, own] = leadingOf(lengths.shape, 2);
  const { batch } = sequenceAxes(node);
  const front = build.moveAxis(batched[0] ? x : build.expand(x, [leading, ...x.shape]), batch + 1, 1);
  const merged = multiply(leading, own);
  if (merged === undefined)
    throw unsupported(node, "cannot be computed for a batch of sequences that hold the samples already");
  const folded = build.reshape(front, [merged, ...front.shape.slice(2)]);
  const axes = { batch_axis: 0, time_axis: 1 };
  const reversed = build.op("ReverseSequence", [folded, build.reshape(lengths, [merged])], axes);
  return build.moveAxis(build.reshape(reversed, front.shape), 1, batch + 1);
}

const reverseSequence: OpDefinition = {
  op: "ReverseSequence",
  infer: (call) => {
    const [x, lengths] = [requireInput(call, 0), requireInput(call, 1)];
    const size = nth(x.shape, sequenceAxes(call).batch);
    if (lengths.shape.length !== 1 || !sameDim(nth(lengths.shape, 0), size))
      throw shapeMismatch(part(call, `the lengths ${showShape(lengths.shape)}`), `do not fit ${showShape(x.shape)}`);
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  evaluate: evaluateReverse,
  // The reversal is a permutation that is its own inverse.
  differentiate: (node, [dy], build) => {
    return [build.op("ReverseSequence", [present(dy), inputOf(node, 1)], node.attributes), null];
  },
  batch: (node, inputs, batched, build) => [batchReverse(node, inputs, batched, build)],
  sampleAxis: (node, [x, lengths]) => {
    const { batch, time } = sequenceAxes(node);
    if (x?.axis === time) throw interaction(node, "reverses the samples");
    return [agree(node, [x ?? null, lengths ? { ...lengths, axis: batch } : null])];
  },
};

// CumProd (opset 26)

/** Shifts the elements along the axis by `by` places (forwards if positive), and fills with 1. */
function delayed(build: Build, x: Value, axis: number, by: number): Value {
  const pads = build.ints([by, -by]);
  return build.op("Pad", [x, pads, build.scalar(1, x), build.ints([axis])], { mode: "constant" });
}

function productAxis(call: Call | Node): number {
  const { shape } = requireInput(call, 0);
  const axis = knownInt(call, 1);
  if (axis === undefined || shape.length === 0) throw shapeMismatch(call, "has no axis to multiply along");
  return ownAxis(call, axis, shape.length);
}

/**
 * Works by doubling: after step k each element is the product of the 2^k elements up to it. As nothing is divided, the
 * derivative is correct at zeros too.
 */
const cumProd = lowered({
  op: "CumProd",
  since: 26,
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    productAxis(call);
    return [{ dtype, shape }];
  },
  decompose: (node, build) => {
    const x = inputOf(node, 0);
    const axis = productAxis(node);
    const size = nth(x.shape, axis);
    if (isBatch(size)) throw interaction(node, "multiplies along the sample axis");
    const direction = intAttribute(node, "reverse", 0) !== 0 ? -1 : 1;
    const exclusive = intAttribute(node, "exclusive", 0) !== 0 && size > 0;
    let product = exclusive ? delayed(build, x, axis, direction) : build.op("Identity", [x]);
    for (let reach = 1; reach < size; reach *= 2)
      product = build.mul(product, delayed(build, product, axis, direction * reach));
    return [product];
  },
});

// TensorScatter (opset 24)

interface Scatter {
  readonly axis: number;
  readonly size: number;
  readonly count: number;
}

function scatterOf(call: Call | Node): Scatter {
  const [cache, update] = [requireInput(call, 0).shape, requireInput(call, 1).shape];
  const axis = normalAxis(call, intAttribute(call, "axis", -2), cache.length);
  const [size, count] = [cache[axis], update[axis]];
  const fits = cache.length === update.length && cache.every((dim, k) => k === axis || sameDim(dim, nth(update, k)));
  if (isBatch(size) || isBatch(count)) throw interaction(call, "writes along the sample axis");
  if (axis === 0 || size === undefined || count === undefined || !fits || count > size)
    throw shapeMismatch(part(call, `the update ${showShape(update)}`), `does not fit its cache ${showShape(cache)}`);
  requireConstant(call, count, "a list of places");
  return { axis, size, count };
}

/** `[n, 1, ..., count, ..., 1]`: the place along the axis to which each element of the update goes. */
function scatterPlaces(node: Node, build: Build): Value {
  const { axis, size, count } = scatterOf(node);
  const [cache, , start] = inputsOf(node, 2);
  const behind = cache.shape.map((_, k) => (k === axis ? count : 1));
  const steps = build.ints(
    Array.from({ length: count }, (_, k) => k),
    behind,
  );
  if (!start) return steps;
  const first = build.reshape(build.cast(start, "int64"), [nth(cache.shape, 0), ...behind.slice(1).map(() => 1)]);
  const places = build.add(first, steps);
  return stringAttribute(node, "mode", "linear") === "circular"
    ? build.op("Mod", [places, build.ints([size], [])])
    : places;
}

const tensorScatter = lowered({
  op: "TensorScatter",
  since: 24,
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    scatterOf(call);
    const mode = stringAttribute(call, "mode", "linear");
    if (mode !== "linear" && mode !== "circular")
      throw unsupported(call, `has the mode "${mode}", which pergrad does not know`, 'give "linear" or "circular"');
    const start = call.inputs[2]?.shape;
    if (start && !(start.length === 1 && sameDim(nth(start, 0), nth(shape, 0))))
      throw shapeMismatch(
        part(call, `the write_indices ${showShape(start)}`),
        `are not one for each of ${showShape(shape)}`,
      );
    return [{ dtype, shape }];
  },
  decompose: (node, build) => {
    const [cache, update] = inputsOf(node, 2);
    const places = build.expand(scatterPlaces(node, build), update.shape);
    return [build.op("ScatterElements", [cache, places, update], { axis: scatterOf(node).axis })];
  },
});

export const running: readonly OpDefinition[] = [reverseSequence, cumProd, tensorScatter];
