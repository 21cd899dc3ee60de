/** Comparisons and logic, which have no derivative, and Where and Cast, which have one. */

import { array64, broadcastDims, broadcastTo, map64 } from "../../float64/array64.js";
import { uniform } from "../../graph/behind.js";
import { type Dim, isBatch, sameDim } from "../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import { elementsOfConstant, type Node, nodeOf, type Value, type ValueType } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import { type DType, isFloat, numberArrayOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { broadcastShape, intAttribute, requireInput, stringAttribute, unsupported } from "../checks.js";
import { having, type OpDefinition } from "../definition.js";
import { binary, elementwise, unary } from "../elementwise.js";
import { between, type Range, union } from "../range.js";

// Elements known at compile time

/** The elements of a broadcast result, if those of every input are known and `combine` can compute each. */
function combineKnown(call: Call, combine: (elements: readonly Dim[]) => Dim | undefined): Dim[] | undefined {
  const operands = call.inputs.map((input) => input?.known);
  const lengths = operands.map((known) => known?.length ?? 0);
  const length = lengths.find((size) => size !== 1) ?? 1;
  const result: Dim[] = [];
  for (let i = 0; i < length; i++) {
    const elements = operands.map((known) => known?.[known.length === 1 ? 0 : i]);
    const present = elements.filter((element) => element !== undefined);
    const element = present.length === elements.length ? combine(present) : undefined;
    if (element === undefined) return undefined;
    result.push(element);
  }
  return operands.every((known) => known !== undefined) ? result : undefined;
}

function folding(definition: OpDefinition, combine: (elements: readonly Dim[]) => Dim | undefined): OpDefinition {
  return {
    ...definition,
    infer: (call) => definition.infer(call).map((type) => withKnown(type, combineKnown(call, combine))),
  };
}

function withKnown(type: ValueType, known: readonly Dim[] | undefined): ValueType {
  return known ? { ...type, known } : type;
}

/** A comparison or connective that returns 0 or 1 per element. Folded if both operands are plain integers. */
function predicate(op: string, f: (x: number, y: number) => boolean, batch?: typeof equalDims): OpDefinition {
  return folding(
    binary(op, (x, y) => Number(f(x, y)), "none", "bool"),
    ([a, b]) => {
      if (a === undefined || b === undefined) return undefined;
      return isBatch(a) || isBatch(b) ? batch?.(a, b) : Number(f(a, b));
    },
  );
}

/** Whether dimensions are equal at every batch size (1) or at none (0); undefined if that depends on the batch size. */
function equalDims(a: Dim, b: Dim): 0 | 1 | undefined {
  if (sameDim(a, b)) return 1;
  const negative = (dim: Dim) => !isBatch(dim) && dim < 0;
  return negative(a) || negative(b) ? 0 : undefined;
}

const toBool = (definition: OpDefinition): OpDefinition => ({
  ...definition,
  infer: (call) => [{ dtype: "bool", shape: requireInput(call, 0).shape }],
});

const isInfinite = (x: number, node: Node) =>
  (x === Number.POSITIVE_INFINITY && intAttribute(node, "detect_positive", 1) !== 0) ||
  (x === Number.NEGATIVE_INFINITY && intAttribute(node, "detect_negative", 1) !== 0);

// Where

/**
 * The range of a value where it is selected. The condition may be that the value is 0, NaN or infinite, or that it is
 * not.
 */
function selected(condition: Value, holds: boolean, value: Value, range: Range): Range {
  const test = nodeOf(condition);
  const [x, y] = test?.inputs ?? [];
  if (test?.op === "Not" && x) return selected(x, !holds, value, range);
  if (!test || x !== value) return range;
  if (test.op === "Equal" && y === value) return holds ? { ...range, nan: false } : range;
  if (holds) return range;
  if (test.op === "IsNaN") return { ...range, nan: false };
  if (test.op === "IsInf" && Object.keys(test.attributes).length === 0) return { ...range, infinite: false };
  return test.op === "Equal" && uniform(y) === 0 ? { ...range, zero: false } : range;
}

const where: OpDefinition = folding(
  {
    op: "Where",
    infer: (call) => {
      const [condition, a, b] = leadingOf(
        [0, 1, 2].map((index) => requireInput(call, index)),
        3,
      );
      return [{ dtype: a.dtype, shape: broadcastShape(call, [condition.shape, a.shape, b.shape]) }];
    },
    evaluate: (inputs) => {
      const arrays = inputs.map((input) => present(input));
      const dims = broadcastDims(arrays.map((array) => array.dims));
      const [condition, a, b] = leadingOf(
        arrays.map((array) => broadcastTo(array, dims)),
        3,
      );
      return [
        array64(
          dims,
          condition.map((test, i) => present(test !== 0 ? a[i] : b[i])),
        ),
      ];
    },
    differentiate: (node, [dy], build, wanted) => {
      const [condition, a, b] = inputsOf(node, 3);
      const cotangent = present(dy);
      return [
        null,
        wanted[1] ? build.unbroadcast(build.cotangentWhere(condition, cotangent), a.shape) : null,
        wanted[2] ? build.unbroadcast(build.cotangentUnless(condition, cotangent), b.shape) : null,
      ];
    },
    ...elementwise,
    range: (node, [, a, b]) => {
      const [, first, second] = inputsOf(node, 3);
      const holds = selected(inputOf(node, 0), true, first, present(a));
      return union(holds, selected(inputOf(node, 0), false, second, present(b)));
    },
  },
  ([condition, a, b]) => {
    if (condition === undefined || a === undefined || b === undefined) return undefined;
    if (sameDim(a, b)) return a;
    return isBatch(condition) ? undefined : condition !== 0 ? a : b;
  },
);

// Cast

/** The dtype of the result; every floating-point target is computed in float32. */
function castTarget(call: Call, to: string): DType {
  if (["float32", "float64", "float16", "bfloat16"].includes(to)) return "float32";
  const integers = ["int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"] as const;
  const target = integers.find((dtype) => dtype === to);
  if (!target)
    throw unsupported(call, `casts to ${to}, which pergrad does not compute with`, "cast to float32 or int64");
  return target;
}

function inferCast(call: Call, to: string): ValueType[] {
  const input = requireInput(call, 0);
  const dtype = castTarget(call, to);
  const known = input.known ?? (input.shape.length <= 1 ? elementsOfConstant(input) : undefined);
  return [withKnown({ dtype, shape: input.shape }, castKnown(known, dtype))];
}

function castKnown(known: readonly Dim[] | undefined, dtype: DType): readonly Dim[] | undefined {
  if (!known) return undefined;
  const [counts, float] = [known.filter(isBatch), isFloat(dtype)];
  // For floats, only shape arithmetic that passes through them is followed; anything else is a constant or data.
  if (float && counts.length === 0) return undefined;
  // Casting N to bool gives true except for an empty batch, so the result is unknown. The same holds for 1.5 N cast to
  // an integer, as its rounding depends on N.
  if (dtype === "bool" ? counts.length > 0 : !float && !counts.every(({ perSample }) => Number.isInteger(perSample)))
    return undefined;
  const elements = known.map((dim) => (isBatch(dim) ? dim : castNumber(dim, dtype)));
  return elements.every((element) => isBatch(element) || Number.isFinite(element)) ? elements : undefined;
}

/** Rounds towards zero, and reduces modulo the width for integers narrower than 2^53. */
function castNumber(x: number, dtype: DType): number {
  if (isFloat(dtype)) return x;
  if (dtype === "bool") return Number(x !== 0);
  if (dtype === "int64" || dtype === "uint64") return Math.trunc(x);
  return new (numberArrayOf(dtype))([x])[0] as number;
}

/** A cast between floats is the identity, whose cotangent is cast back; no other cast has a derivative. */
function castBack(node: Node, dy: Value, build: Build): Value | null {
  const [from, to] = [inputOf(node, 0).dtype, outputOf(node, 0).dtype];
  return isFloat(from) && isFloat(to) ? build.cast(dy, from) : null;
}

const evaluateCast: OpDefinition["evaluate"] = ([x], node) => {
  const { dtype } = outputOf(node, 0);
  return [map64(present(x), (element) => castNumber(element, dtype))];
};

const cast: OpDefinition = {
  op: "Cast",
  notNegative: "kept",
  infer: (call) => inferCast(call, stringAttribute(call, "to", "")),
  range: (node, [x]) => (node.inputs[0]?.dtype === "bool" ? between(0, 1) : present(x)),
  evaluate: evaluateCast,
  differentiate: (node, [dy], build) => [castBack(node, present(dy), build)],
  ...elementwise,
};

/** Only the dtype of the second input matters. */
const castLike: OpDefinition = {
  op: "CastLike",
  infer: (call) => inferCast(call, requireInput(call, 1).dtype),
  evaluate: evaluateCast,
  differentiate: (node, [dy], build) => [castBack(node, present(dy), build), null],
  batch: (node, inputs, batched, build) => {
    const [x, like] = leadingOf(inputs, 2);
    const full = batched[0] ? x : build.expand(x, [nth(like.shape, 0), ...x.shape]);
    return [build.cast(full, outputOf(node, 0).dtype)];
  },
  sampleAxis: (_node, axes) => [axes[0] ?? null],
};

export const logic: readonly OpDefinition[] = [
  having(
    { ofDifference: (x) => x === 0 },
    predicate("Equal", (x, y) => x === y, equalDims),
  ),
  having(
    { ofDifference: (x) => x < 0 },
    predicate("Less", (x, y) => x < y),
  ),
  having(
    { ofDifference: (x) => x > 0 },
    predicate("Greater", (x, y) => x > y),
  ),
  having(
    { ofDifference: (x) => x <= 0 },
    predicate("LessOrEqual", (x, y) => x <= y),
  ),
  having(
    { ofDifference: (x) => x >= 0 },
    predicate("GreaterOrEqual", (x, y) => x >= y),
  ),
  predicate("And", (x, y) => x !== 0 && y !== 0),
  predicate("Or", (x, y) => x !== 0 || y !== 0),
  predicate("Xor", (x, y) => (x !== 0) !== (y !== 0)),
  folding(toBool(unary("Not", (x) => Number(x === 0), "none")), ([x]) =>
    x === undefined || isBatch(x) ? undefined : Number(x === 0),
  ),
  having({ testsFinite: true }, toBool(unary("IsNaN", (x) => Number(Number.isNaN(x)), "none"))),
  having({ testsFinite: true }, toBool(unary("IsInf", (x, node) => Number(isInfinite(x, node)), "none"))),
  where,
  cast,
  castLike,
];
