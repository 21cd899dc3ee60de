/** Numbers from shapes, and tensors from numbers: Shape, Size, ConstantOfShape, Range. */

import { array64, zeros64 } from "../../float64/array64.js";
import { type Dim, divide, elementsOf, factorOf, isBatch, showShape } from "../../graph/dim.js";
import { outputOf } from "../../graph/operands.js";
import { constantOf } from "../../graph/value.js";
import { leadingOf, present } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { Call } from "../call.js";
import {
  intAttribute,
  knownDims,
  knownScalar,
  part,
  requireInput,
  shapeMismatch,
  tensorAttribute,
  unsupported,
} from "../checks.js";
import { never, type OpDefinition } from "../definition.js";
import { between, constantRange } from "../range.js";

const shape: OpDefinition = {
  op: "Shape",
  ofShape: true,
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
  ofShape: true,
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

/**
 * How many numbers a Range has. Of limits that depend on N, only multiples of N counted from 0 are supported, as no
 * other dimensions exist.
 */
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
  settings: {
    0: never("it says how long a range is"),
    1: never("it says how long a range is"),
    2: never("it says how long a range is"),
  },
  counts: true,
  shapeInputs: [0, 1, 2],
  // The precision in which float16 is added up (opset 27); here it is float32 at least.
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

export const sizes: readonly OpDefinition[] = [shape, size, constantOfShape, range];
