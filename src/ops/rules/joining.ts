/** Concat and Split. */

import type { Array64 } from "../../float64/array64.js";
import { zeros64 } from "../../float64/array64.js";
import {
  add,
  type Dim,
  divide,
  factorOf,
  isBatch,
  type Shape,
  sameDim,
  sameShape,
  showShape,
} from "../../graph/dim.js";
import { inputOf, outputOf } from "../../graph/operands.js";
import type { SampleAxis } from "../../graph/sample-axis.js";
import { dimsValue, type Node, type ValueType } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Call } from "../call.js";
import {
  agree,
  intAttribute,
  interaction,
  knownDims,
  normalAxis,
  part,
  requireInput,
  shapeMismatch,
} from "../checks.js";
import type { Along, OpDefinition } from "../definition.js";
import { joined, moved } from "../range.js";

function axisOf(node: Call | Node, fallback: number): number {
  return normalAxis(node, intAttribute(node, "axis", fallback), requireInput(node, 0).shape.length);
}

/** The sum of the sizes along an axis, which may be the sample axis. */
function total(call: Call, sizes: readonly Dim[]): Dim {
  return sizes.reduce((sum, size) => {
    const next = add(sum, size);
    if (next === undefined) throw interaction(call, "joins samples with something that is not one element per sample");
    return next;
  }, 0);
}

function replaced(shape: Shape, axis: number, dim: Dim): Dim[] {
  return shape.map((own, at) => (at === axis ? dim : own));
}

/** Copies the rows of a part, in blocks `[outer, rows, inner]`, to or from their place in the whole. */
function copyRows(part: Array64, whole: Array64, axis: number, start: number, toWhole: boolean): void {
  const inner = sizeOf(whole.dims.slice(axis + 1));
  const [rows, all] = [nth(part.dims, axis) * inner, nth(whole.dims, axis) * inner];
  for (let outer = 0; outer < sizeOf(whole.dims.slice(0, axis)); outer++) {
    const [from, to] = [outer * rows, outer * all + start * inner];
    if (toWhole) whole.data.set(part.data.subarray(from, from + rows), to);
    else part.data.set(whole.data.subarray(to, to + rows), from);
  }
}

/** Tensors joined along the sample axis: the result has as many rounds of samples as all the parts together. */
function joinedRounds(node: Node, axes: readonly (SampleAxis | null)[], axis: number): SampleAxis {
  const inner = axes.find((at) => at && !at.uniform)?.inner ?? 1;
  const fits = axes.every((at, k) => {
    const size = factorOf(node.inputs[k]?.shape[axis] ?? 0);
    return at?.axis === axis && (at.uniform ? size % inner === 0 : at.inner === inner);
  });
  if (!fits)
    throw interaction(node, "joins tensors along the sample axis whose samples do not follow each other alike");
  return { axis, outer: factorOf(nth(outputOf(node, 0).shape, axis)) / inner, inner };
}

/** Part of the rounds of the samples. If all elements are alike, any part will do. */
function partOfRounds(node: Node, at: SampleAxis, size: Dim): SampleAxis | null {
  if (!isBatch(size)) return null;
  if (at.uniform) return { ...at, outer: 1, inner: size.perSample };
  if (size.perSample % at.inner !== 0)
    throw interaction(node, "splits the sample axis", "split it into whole batches only");
  return { ...at, outer: size.perSample / at.inner };
}

const concat: OpDefinition = {
  op: "Concat",
  sameSamples: "all",
  range: joined,
  linear: (node, input) => {
    const axis = axisOf(node, 0);
    const sizes = node.inputs.map((part) => nth(present(part).shape, axis));
    if (sizes.some(isBatch)) return null;
    const total = (parts: readonly Dim[]) => parts.reduce<number>((sum, part) => sum + factorOf(part), 0);
    const [before, after] = [total(sizes.slice(0, input)), total(sizes.slice(input + 1))];
    const apply: Along["apply"] = (build, value, at) => {
      const amounts = (amount: number) => value.shape.map((_, own) => (own === at ? amount : 0));
      return build.pad(value, amounts(before), amounts(after));
    };
    return [{ kind: "along", axis, size: total(sizes), apply, shift: before }];
  },
  infer: (call) => {
    const inputs = call.inputs.map((_, index) => requireInput(call, index));
    const { dtype, shape } = requireInput(call, 0);
    const axis = axisOf(call, 0);
    if (shape.length === 0) throw shapeMismatch(call, "has inputs that are scalars, which cannot be joined");
    for (const input of inputs) {
      const fits =
        input.shape.length === shape.length && sameShape(replaced(input.shape, axis, 0), replaced(shape, axis, 0));
      if (!fits)
        throw shapeMismatch(
          call,
          `has inputs ${showShape(shape)} and ${showShape(input.shape)}, which differ in other axes than axis ${axis}`,
        );
    }
    const size = total(
      call,
      inputs.map((input) => nth(input.shape, axis)),
    );
    const known = inputs.flatMap((input) => input.known ?? []);
    const follow = shape.length === 1 && inputs.every((input) => input.known);
    return [{ dtype, shape: replaced(shape, axis, size), ...(follow ? { known } : {}) }];
  },
  evaluate: (inputs, node) => {
    const arrays = inputs.map((input) => present(input));
    const axis = axisOf(node, 0);
    const size = arrays.reduce((sum, array) => sum + nth(array.dims, axis), 0);
    const result = zeros64(nth(arrays, 0).dims.map((dim, at) => (at === axis ? size : dim)));
    let start = 0;
    for (const array of arrays) {
      copyRows(array, result, axis, start, true);
      start += nth(array.dims, axis);
    }
    return [result];
  },
  differentiate: (node, [dy], build, wanted) => {
    const axis = axisOf(node, 0);
    let end: Dim = 0;
    return node.inputs.map((input, k) => {
      const start: Dim = end;
      end = present(add(start, nth(present(input).shape, axis)));
      return wanted[k] ? build.slice(present(dy), axis, start, end) : null;
    });
  },
  batch: (node, inputs, batched, build) => {
    const batch = nth(nth(inputs, batched.indexOf(true)).shape, 0);
    const parts = inputs.map((input, k) =>
      batched[k] ? present(input) : build.expand(present(input), [batch, ...present(input).shape]),
    );
    return [build.op("Concat", parts, { axis: axisOf(node, 0) + 1 })];
  },
  sampleAxis: (node, axes) => {
    const axis = axisOf(node, 0);
    // With only one part, joining along the sample axis changes nothing.
    if (node.inputs.length === 1) return [axes[0] ?? null];
    return [axes.some((at) => at?.axis === axis) ? joinedRounds(node, axes, axis) : agree(node, axes)];
  },
};

/** The sizes of the parts: those stated, or num_outputs equal ones; in the latter case the last may be smaller. */
function partSizes(call: Call, size: Dim): readonly Dim[] {
  const stated = knownDims(call, 1);
  if (stated) {
    if (stated.length !== call.outputs || !sameDim(total(call, stated), size)) {
      throw shapeMismatch(part(call, "the parts"), `do not add up to ${showShape([size])}`);
    }
    return stated;
  }
  const count = intAttribute(call, "num_outputs", 0);
  if (count !== call.outputs) {
    throw shapeMismatch(call, `has ${call.outputs} outputs, but states neither their sizes nor num_outputs of them`);
  }
  const even = divide(size, count);
  if (even !== undefined) return Array<Dim>(count).fill(even);
  if (isBatch(size)) throw interaction(call, "splits the sample axis");
  const chunk = Math.ceil(size / count);
  return Array.from({ length: count }, (_, k) => Math.max(0, Math.min(chunk, size - k * chunk)));
}

const split: OpDefinition = {
  op: "Split",
  range: moved,
  shapeInputs: [1],
  linear: (node, _input, output) => {
    const axis = axisOf(node, 0);
    const sizes = node.outputs.map(({ shape }) => nth(shape, axis));
    const size = nth(sizes, output);
    if (sizes.some(isBatch)) return null;
    const start = sizes.slice(0, output).reduce<number>((sum, part) => sum + factorOf(part), 0);
    const end = start + factorOf(size);
    const apply: Along["apply"] = (build, value, at) => build.slice(value, at, start, end);
    return [{ kind: "along", axis, size: factorOf(size), apply, shift: -start }];
  },
  infer: (call) => {
    const { dtype, shape, known } = requireInput(call, 0);
    const axis = axisOf(call, 0);
    if (shape.length === 0) throw shapeMismatch(part(call, "the input"), "is a scalar, which cannot be split");
    let end = 0;
    return partSizes(call, nth(shape, axis)).map((size): ValueType => {
      const start = end;
      end += factorOf(size);
      const type = { dtype, shape: replaced(shape, axis, size) };
      return known && shape.length === 1 ? { ...type, known: known.slice(start, end) } : type;
    });
  },
  evaluate: ([x], node) => {
    const input = present(x);
    const axis = axisOf(node, 0);
    const sizes = node.outputs.map((output) => nth(output.shape, axis));
    // Along an axis that grows with N, the parts grow too.
    const samples = nth(input.dims, axis) / sizes.reduce<number>((sum, size) => sum + factorOf(size), 0);
    let start = 0;
    return sizes.map((size) => {
      const rows = isBatch(size) ? size.perSample * samples : size;
      const part = zeros64(input.dims.map((dim, at) => (at === axis ? rows : dim)));
      copyRows(part, input, axis, start, false);
      start += rows;
      return part;
    });
  },
  differentiate: (node, cotangents, build) => {
    const x = inputOf(node, 0);
    const parts = node.outputs.map((output, k) => cotangents[k] ?? build.zeros(output.shape, x.dtype));
    return [build.concat(parts, axisOf(node, 0)), null];
  },
  batch: (node, [x], _batched, build) => {
    const axis = axisOf(node, 0);
    const sizes = node.outputs.map((output) => nth(output.shape, axis));
    return [...build.node("Split", [present(x), dimsValue(sizes)], { axis: axis + 1 }, sizes.length).outputs];
  },
  sampleAxis: (node, [at]) => {
    if (node.outputs.length === 1) return [at ?? null];
    const axis = axisOf(node, 0);
    return node.outputs.map(({ shape }) =>
      at?.axis === axis ? partOfRounds(node, at, nth(shape, axis)) : (at ?? null),
    );
  },
};

export const joining: readonly OpDefinition[] = [concat, split];
