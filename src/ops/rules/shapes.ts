/** Ops that only rename or move elements: Identity, Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Expand, Tile. */

import { array64, broadcastDims, broadcastTo, transpose64 } from "../../float64/array64.js";
import {
  type Dim,
  divide,
  elementsOf,
  factorOf,
  isBatch,
  multiply,
  type Shape,
  sameDim,
  showShape,
} from "../../graph/dim.js";
import { inputOf, outputOf } from "../../graph/operands.js";
import type { SampleAxis } from "../../graph/sample-axis.js";
import { dimsValue, type Node, type Value, type ValueType } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import type { Call } from "../call.js";
import {
  broadcastShape,
  intAttribute,
  interaction,
  intsAttribute,
  knownDims,
  knownInt,
  knownInts,
  normalAxis,
  part,
  requireInput,
  shapeMismatch,
} from "../checks.js";
import { having, type OpDefinition } from "../definition.js";
import { moved } from "../range.js";
import { expandSteps } from "../subgraphs/steps.js";

/** The type of an output that holds the same elements in the same order, in another shape. */
function sameElements(call: Call, shape: Shape): ValueType {
  const { dtype, known } = requireInput(call, 0);
  return { dtype, shape, ...(known && shape.length <= 1 ? { known } : {}) };
}

/** The number of elements that one step along an axis spans: the product of the later dimensions. */
function spanBehind(shape: Shape, axis: number): number | undefined {
  const product = elementsOf(shape.slice(axis + 1));
  return product === undefined || isBatch(product) ? undefined : product;
}

/**
 * The sample axis after a reshape. In row-major order sample n owns blocks of `stride` consecutive
 * elements, repeated every N * stride; the output's axis that holds N must have blocks of the same size.
 */
function reshapedSampleAxis(node: Node, at: SampleAxis | null | undefined): SampleAxis | null {
  if (!at) return null;
  const [from, to] = [inputOf(node, 0).shape, outputOf(node, 0).shape];
  if (at.uniform && from.every((dim, k) => k === at.axis || dim === 1)) return uniformAlong(to);
  // A tensor without elements contains nothing that could be mixed.
  if (from.some((dim) => factorOf(dim) === 0)) return uniformAlong(to);
  const behind = spanBehind(from, at.axis);
  const axis = to.findIndex(isBatch);
  const after = axis < 0 ? undefined : spanBehind(to, axis);
  if (at.uniform && behind === after && sameDim(nth(from, at.axis), to[axis] ?? 0)) return { ...at, axis };
  const inner = behind === undefined || after === undefined ? Number.NaN : (at.inner * behind) / after;
  const outer = factorOf(to[axis] ?? 0) / inner;
  if (!Number.isInteger(inner) || !Number.isInteger(outer) || inner < 1) {
    throw interaction(node, `mixes the sample axis of ${showShape(from)} with others in ${showShape(to)}`);
  }
  return { axis, outer, inner };
}

/** The sample axis of a tensor whose elements are all alike. */
function uniformAlong(shape: Shape): SampleAxis | null {
  const axis = shape.findIndex(isBatch);
  return axis < 0 ? null : { axis, outer: 1, inner: factorOf(nth(shape, axis)), uniform: true };
}

/** An op that only changes the shape; `shapeAfter` returns the new one. */
function reshaping(op: string, shapeAfter: (call: Call, input: Value) => Shape): OpDefinition {
  return {
    op,
    infer: (call) => {
      const input = requireInput(call, 0);
      const shape = shapeAfter(call, input);
      const [before, after] = [elementsOf(input.shape), elementsOf(shape)];
      if (
        before === undefined ||
        after === undefined ||
        factorOf(before) !== factorOf(after) ||
        isBatch(before) !== isBatch(after)
      ) {
        throw shapeMismatch(call, `cannot turn ${showShape(input.shape)} into ${showShape(shape)}`);
      }
      return [sameElements(call, shape)];
    },
    evaluate: ([x], node) => {
      const input = present(x);
      const [from, shape] = [inputOf(node, 0).shape, outputOf(node, 0).shape];
      // Not derived from the number of elements, which may be 0.
      const at = from.findIndex(isBatch);
      const batch = at < 0 ? 1 : nth(input.dims, at) / factorOf(nth(from, at));
      return [
        array64(
          shape.map((dim) => (isBatch(dim) ? dim.perSample * batch : dim)),
          input.data,
        ),
      ];
    },
    differentiate: (node, [dy], build) => [build.reshape(present(dy), inputOf(node, 0).shape)],
    shapeInputs: [1],
    view: (node) => ({ kind: "reshape", shape: inputOf(node, 0).shape }),
    range: moved,
    batch: (node, [input], _batched, build) => {
      const leading = nth(present(input).shape, 0);
      return [build.reshape(present(input), [leading, ...outputOf(node, 0).shape])];
    },
    sampleAxis: (node, [at]) => [reshapedSampleAxis(node, at)],
  };
}

/** Reads a Reshape target: 0 copies a dimension (unless allowzero is set), and -1 takes the remaining elements. */
function reshapeTarget(call: Call, input: Value): Shape {
  const target = knownDims(call, 1) ?? [];
  const copied = target.map((dim, axis) => {
    if (dim !== 0 || intAttribute(call, "allowzero", 0) === 1) return dim;
    const kept = input.shape[axis];
    if (kept === undefined)
      throw shapeMismatch(
        part(call, "the shape"),
        `copies axis ${axis}, which the input ${showShape(input.shape)} does not have`,
      );
    return kept;
  });
  const free = copied.indexOf(-1);
  if (free < 0) return copied;
  const others = elementsOf(copied.filter((_, axis) => axis !== free));
  const total = elementsOf(input.shape);
  const rest = total === undefined || others === undefined ? undefined : divide(total, others);
  if (rest === undefined) throw shapeMismatch(call, `cannot turn ${showShape(input.shape)} into ${showShape(copied)}`);
  return copied.map((dim, axis) => (axis === free ? rest : dim));
}

/** The axes that Squeeze or Unsqueeze names; ONNX Runtime takes a scalar for one of them. */
function namedAxes(call: Call): readonly number[] | undefined {
  const one = call.inputs[1]?.shape.length === 0 ? knownInt(call, 1) : undefined;
  return one === undefined ? knownInts(call, 1) : [one];
}

const reshapes: readonly OpDefinition[] = [
  having({ notNegative: "kept", writtenShape: 1 }, reshaping("Reshape", reshapeTarget)),
  having(
    { notNegative: "kept" },
    reshaping("Identity", (_, input) => input.shape),
  ),
  having(
    { notNegative: "kept" },
    reshaping("Flatten", (call, input) => {
      const axis = intAttribute(call, "axis", 1);
      const split = axis === input.shape.length ? axis : normalAxis(call, axis, input.shape.length);
      return [input.shape.slice(0, split), input.shape.slice(split)].map((part) => {
        const size = elementsOf(part);
        if (size === undefined) throw interaction(call, "flattens two axes that grow with the batch into one");
        return size;
      });
    }),
  ),
  {
    ...reshaping("Squeeze", (call, input) => {
      const rank = input.shape.length;
      const axes = namedAxes(call)?.map((axis) => normalAxis(call, axis, rank));
      axes?.forEach((axis) => {
        if (input.shape[axis] !== 1)
          throw shapeMismatch(part(call, `axis ${axis} of the input ${showShape(input.shape)}`), "is not of size 1");
      });
      return input.shape.filter((dim, axis) => (axes ? !axes.includes(axis) : dim !== 1));
    }),
    notNegative: "kept",
  },
  having(
    { notNegative: "kept" },
    reshaping("Unsqueeze", (call, input) => {
      const axes = namedAxes(call) ?? [];
      const rank = input.shape.length + axes.length;
      const places = axes.map((axis) => normalAxis(call, axis, rank));
      if (new Set(places).size < axes.length)
        throw shapeMismatch(part(call, `the list of axes [${axes.join(", ")}]`), "names an axis twice");
      const rest = [...input.shape];
      return Array.from({ length: rank }, (_, axis) => (places.includes(axis) ? 1 : present(rest.shift())));
    }),
  ),
];

export function permutationOf(node: Call | Node): readonly number[] {
  const rank = inputOf(node, 0).shape.length;
  return intsAttribute(node, "perm") ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
}

/** The inverse of a permutation. */
function inversePermutation(permutation: readonly number[]): number[] {
  return permutation.map((_, axis) => permutation.indexOf(axis));
}

const transpose: OpDefinition = {
  op: "Transpose",
  notNegative: "kept",
  infer: (call) => {
    const input = requireInput(call, 0);
    const permutation = permutationOf(call);
    if (
      [...permutation].sort((a, b) => a - b).some((axis, k) => axis !== k) ||
      permutation.length !== input.shape.length
    ) {
      throw shapeMismatch(
        call,
        `has perm [${permutation.join(", ")}], which is no permutation of the axes of ${showShape(input.shape)}`,
      );
    }
    return [{ dtype: input.dtype, shape: permutation.map((axis) => nth(input.shape, axis)) }];
  },
  evaluate: ([x], node) => [transpose64(present(x), permutationOf(node))],
  differentiate: (node, [dy], build) => [build.transpose(present(dy), inversePermutation(permutationOf(node)))],
  view: (node) => ({ kind: "transpose", permutation: inversePermutation(permutationOf(node)) }),
  range: moved,
  batch: (node, [input], _batched, build) => [
    build.transpose(present(input), [0, ...permutationOf(node).map((axis) => axis + 1)]),
  ],
  sampleAxis: (node, [at]) => [at ? { ...at, axis: permutationOf(node).indexOf(at.axis) } : null],
};

const expand: OpDefinition = {
  op: "Expand",
  repeats: true,
  notNegative: "kept",
  writtenShape: 1,
  range: moved,
  linear: expandSteps,
  shapeInputs: [1],
  infer: (call) => {
    const [input] = [requireInput(call, 0), requireInput(call, 1)];
    const shape = broadcastShape(call, [input.shape, knownDims(call, 1) ?? []]);
    const known = input.known?.length === 1 && shape.length <= 1 ? expandKnown(nth(input.known, 0), shape) : undefined;
    return [{ dtype: input.dtype, shape, ...(known ? { known } : {}) }];
  },
  evaluate: ([x, shape]) => {
    const input = present(x);
    const dims = broadcastDims([input.dims, [...present(shape).data]]);
    return [array64(dims, broadcastTo(input, dims))];
  },
  differentiate: (node, [dy], build) => [build.unbroadcast(present(dy), inputOf(node, 0).shape), null],
  batch: (node, [input], _batched, build) => {
    const shape = outputOf(node, 0).shape;
    const [leading, ...rest] = present(input).shape;
    const aligned = build.reshape(present(input), [
      present(leading),
      ...Array<Dim>(shape.length - rest.length).fill(1),
      ...rest,
    ]);
    return [build.expand(aligned, [present(leading), ...shape])];
  },
  sampleAxis: (node, axes) => {
    const input = inputOf(node, 0);
    const rank = outputOf(node, 0).shape.length;
    const at = axes[0];
    return [at ? { ...at, axis: at.axis + rank - input.shape.length } : null];
  },
};

function expandKnown(dim: Dim, shape: Shape): Dim[] | undefined {
  const length = shape[0] ?? 1;
  return isBatch(length) || length > 64 ? undefined : Array<Dim>(length).fill(dim);
}

const tile: OpDefinition = {
  op: "Tile",
  repeats: true,
  range: moved,
  shapeInputs: [1],
  infer: (call) => {
    const input = requireInput(call, 0);
    const repeats = knownDims(call, 1) ?? [];
    const given = requireInput(call, 1).shape;
    if (given.length !== 1 || given[0] !== input.shape.length) {
      throw shapeMismatch(
        call,
        `has repeats ${showShape(given)}, which do not fit its input ${showShape(input.shape)}`,
      );
    }
    const shape = input.shape.map((dim, axis) => {
      const size = multiply(dim, repeats[axis] ?? 1);
      if (size === undefined) throw interaction(call, "repeats the sample axis once per sample");
      return size;
    });
    return [{ dtype: input.dtype, shape }];
  },
  evaluate: ([x, repeats]) => {
    const input = present(x);
    const counts = [...present(repeats).data];
    // Each axis becomes the two axes (repeat, size), which is a broadcast.
    const [split, full] = [
      input.dims.flatMap((dim) => [1, dim]),
      input.dims.flatMap((dim, axis) => [nth(counts, axis), dim]),
    ];
    return [
      array64(
        input.dims.map((dim, axis) => dim * nth(counts, axis)),
        broadcastTo(array64(split, input.data), full),
      ),
    ];
  },
  differentiate: (node, [dy], build) => {
    const [input, output] = [inputOf(node, 0), outputOf(node, 0)];
    // Views dy as (repeat, size) along each axis, and sums over the repeats.
    const split = input.shape.flatMap((dim, axis) => [divide(nth(output.shape, axis), dim) ?? 1, dim]);
    const axes = input.shape.flatMap((_, axis) => (split[2 * axis] === 1 ? [] : [2 * axis]));
    return [{ kind: "reduction", value: build.reshape(present(dy), split), axes, shape: input.shape }, null];
  },
  batch: (node, [input], _batched, build) => {
    const repeats = inputOf(node, 1).known ?? [];
    return [build.op("Tile", [present(input), dimsValue([1, ...repeats])])];
  },
  sampleAxis: (node, axes) => {
    const at = axes[0];
    if (!at) return [null];
    const repeats = factorOf((inputOf(node, 1).known ?? [])[at.axis] ?? 1);
    return [{ ...at, outer: at.outer * repeats }];
  },
};

export const shapes: readonly OpDefinition[] = [...reshapes, transpose, expand, tile];
