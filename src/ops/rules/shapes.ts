/** Ops that only rename or move elements: Identity, Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Expand, Tile; and Shape, Size, Range, ConstantOfShape. */

import { array64, broadcastDims, broadcastTo, transpose64, zeros64 } from "../../float64/array64.js";
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
import { constantOf, dimsValue, type Node, type Value, type ValueType } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { Call } from "../call.js";
import {
  broadcastShape,
  intAttribute,
  interaction,
  intsAttribute,
  knownDims,
  knownInt,
  knownInts,
  knownScalar,
  normalAxis,
  part,
  requireInput,
  shapeMismatch,
  tensorAttribute,
  unsupported,
} from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { between, constantRange, moved } from "../range.js";
import { expandSteps } from "../subgraphs/steps.js";

/** The output of an op that keeps the elements in order, in another shape. */
function sameElements(call: Call, shape: Shape): ValueType {
  const { dtype, known } = requireInput(call, 0);
  return { dtype, shape, ...(known && shape.length <= 1 ? { known } : {}) };
}

/** The number of elements that one step along an axis spans: the product of the dimensions behind it. */
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
  // No elements: there is nothing that could be mixed.
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

/** An op that changes the shape only: `shapeAfter` says to what. */
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
      // Not from the number of elements: there may be none.
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

/** Reads a Reshape target: 0 copies a dimension (unless allowzero), -1 takes what is left. */
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
  reshaping("Reshape", reshapeTarget),
  reshaping("Identity", (_, input) => input.shape),
  reshaping("Flatten", (call, input) => {
    const axis = intAttribute(call, "axis", 1);
    const split = axis === input.shape.length ? axis : normalAxis(call, axis, input.shape.length);
    return [input.shape.slice(0, split), input.shape.slice(split)].map((part) => {
      const size = elementsOf(part);
      if (size === undefined) throw interaction(call, "flattens two axes that grow with the batch into one");
      return size;
    });
  }),
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
    // ONNX Runtime takes an empty list of axes for none given, and drops them all.
    lower: (node) => (node.inputs[1]?.known?.length === 0 ? [inputOf(node, 0)] : null),
  },
  reshaping("Unsqueeze", (call, input) => {
    const axes = namedAxes(call) ?? [];
    const rank = input.shape.length + axes.length;
    const places = axes.map((axis) => normalAxis(call, axis, rank));
    const rest = [...input.shape];
    return Array.from({ length: rank }, (_, axis) => (places.includes(axis) ? 1 : present(rest.shift())));
  }),
];

export function permutationOf(node: Call | Node): readonly number[] {
  const rank = inputOf(node, 0).shape.length;
  return intsAttribute(node, "perm") ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
}

/** The permutation that undoes another. */
export function inversePermutation(permutation: readonly number[]): number[] {
  return permutation.map((_, axis) => permutation.indexOf(axis));
}

const transpose: OpDefinition = {
  op: "Transpose",
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
  range: moved,
  linear: expandSteps,
  shapeInputs: [1],
  infer: (call) => {
    const input = requireInput(call, 0);
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
    // Each axis becomes (repeat, size): a broadcast.
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
    // Sum over the repeats, axis by axis, of dy seen as (repeat, size).
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

const shape: OpDefinition = {
  op: "Shape",
  infer: (call) => {
    const dims = requireInput(call, 0).shape;
    const rank = dims.length;
    const clamp = (at: number) => Math.min(Math.max(at < 0 ? at + rank : at, 0), rank);
    const known = dims.slice(clamp(intAttribute(call, "start", 0)), clamp(intAttribute(call, "end", rank)));
    return [{ dtype: "int64", shape: [known.length], known }];
  },
  evaluate: ([x], node) => {
    const dims = present(x).dims;
    return [
      array64(
        [outputOf(node, 0).shape[0] as number],
        dims.slice(intAttribute(node, "start", 0), intAttribute(node, "end", dims.length)),
      ),
    ];
  },
  differentiate: "none",
  sampleAxis: () => [null],
};

const size: OpDefinition = {
  op: "Size",
  infer: (call) => {
    const elements = elementsOf(requireInput(call, 0).shape);
    return [{ dtype: "int64", shape: [], ...(elements === undefined ? {} : { known: [elements] }) }];
  },
  evaluate: ([x]) => [array64([], [present(x).data.length])],
  differentiate: "none",
  sampleAxis: () => [null],
};

const constantOfShape: OpDefinition = {
  op: "ConstantOfShape",
  range: (node) => {
    const value = tensorAttribute(node, "value");
    return value ? constantRange(value) : between(0, 0);
  },
  shapeInputs: [0],
  infer: (call) => {
    const dims = knownDims(call, 0) ?? [];
    if (dims.some((dim) => factorOf(dim) < 0))
      throw shapeMismatch(part(call, `the shape ${showShape(dims)}`), "has a negative size");
    const value = tensorAttribute(call, "value");
    if (value && (value.dims.length !== 1 || value.dims[0] !== 1))
      throw shapeMismatch(part(call, "the value"), `is ${showShape(value.dims)}, not of one element`);
    const dtype = value?.dtype ?? "float32";
    const count = dims[0];
    const vector = !isFloat(dtype) && dims.length === 1 && count !== undefined && !isBatch(count) && count <= 64;
    return [{ dtype, shape: dims, ...(vector ? { known: Array<Dim>(count).fill(Number(value?.data[0] ?? 0)) } : {}) }];
  },
  evaluate: ([dims], node) => {
    const result = zeros64([...present(dims).data]);
    result.data.fill(Number(tensorAttribute(node, "value")?.data[0] ?? 0));
    return [result];
  },
  differentiate: "none",
};

/** How far a Range counts: up to a multiple of N from 0 only, since there are no other dimensions. */
function rangeCount(call: Call, [start, limit, step]: readonly [Dim, Dim, Dim]): Dim {
  if (![start, limit, step].some(isBatch))
    return Math.max(0, Math.ceil((factorOf(limit) - factorOf(start)) / factorOf(step)));
  const count = start === 0 && !isBatch(step) && step > 0 ? divide(limit, step) : undefined;
  if (count !== undefined) return count;
  throw unsupported(
    call,
    "counts over the batch in a way that pergrad does not follow",
    "let it count from 0 up to the batch size",
  );
}

const range: OpDefinition = {
  op: "Range",
  shapeInputs: [0, 1, 2],
  // How float16 is added up (opset 27): here in float32 at the least.
  lower: (node, build) => (node.attributes.stash_type === undefined ? null : [build.op("Range", node.inputs)]),
  infer: (call) => {
    const dtype = requireInput(call, 0).dtype;
    const [start, limit, step] = [scalarConstant(call, 0), scalarConstant(call, 1), scalarConstant(call, 2)];
    const count = rangeCount(call, [start, limit, step]);
    if (isFloat(dtype) || isBatch(count) || count > 64) return [{ dtype, shape: [count] }];
    const known = Array.from({ length: count }, (_, k) => factorOf(start) + k * factorOf(step));
    return [{ dtype, shape: [count], known }];
  },
  evaluate: ([start, limit, step]) => {
    const [from, to, by] = leadingOf(
      [start, limit, step].map((x) => present(x).data[0]),
      3,
    );
    const count = Math.max(0, Math.ceil((to - from) / by));
    return [
      array64(
        [count],
        Array.from({ length: count }, (_, k) => from + k * by),
      ),
    ];
  },
  differentiate: "none",
};

function scalarConstant(call: Call, index: number): Dim {
  const constant = constantOf(requireInput(call, index));
  return constant ? Number(constant.data[0]) : (knownScalar(call, index) ?? 0);
}

export const shapes: readonly OpDefinition[] = [
  ...reshapes,
  transpose,
  expand,
  tile,
  shape,
  size,
  constantOfShape,
  range,
];
