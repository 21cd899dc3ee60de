/** Sums, means, extrema and norms along axes; ArgMax and ArgMin. */

import { type Array64, array64, transpose64, zeros64 } from "../../float64/array64.js";
import { add, type Dim, factorOf, fixedSizes, isBatch, multiply, type Shape } from "../../graph/dim.js";
import { inputOf, outputOf } from "../../graph/operands.js";
import type { SampleAxis } from "../../graph/sample-axis.js";
import type { Node, Value, ValueType } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import { isFloat, sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { apartFrom, intAttribute, interaction, knownInts, normalAxis, requireInput } from "../checks.js";
import type { LinearStep, OpDefinition } from "../definition.js";
import { misses } from "../elementwise.js";
import { alwaysFinite, anything, magnitude, type Range, unbounded } from "../range.js";
import { cumSum, lineAxis } from "./lines.js";

// Shared by all reductions

/**
 * The axes that a Reduce* op reduces: those of its second input; without that input all axes, or none with
 * noop_with_empty_axes.
 */
export function reducedAxes(node: Call | Node): number[] {
  const rank = requireInput(node, 0).shape.length;
  const given = knownInts(node, 1) ?? [];
  if (rank === 0) return [];
  const all = Array.from({ length: rank }, (_, axis) => axis);
  if (given.length === 0) return intAttribute(node, "noop_with_empty_axes", 0) !== 0 ? [] : all;
  const axes = given.map((axis) => normalAxis(node, axis, rank));
  return all.filter((axis) => axes.includes(axis));
}

/** The shape with `axes` of size 1. */
export function keptShape(shape: Shape, axes: readonly number[]): Dim[] {
  return shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
}

function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): Dim[] {
  return keepDims ? keptShape(shape, axes) : shape.filter((_, axis) => !axes.includes(axis));
}

export const keepsDims = (node: Call | Node) => intAttribute(node, "keepdims", 1) !== 0;

/** The sample axis of the result when `axes` are reduced. */
function reducedSampleAxis(node: Node, at: SampleAxis | null | undefined, axes: readonly number[]): SampleAxis | null {
  const kept = apartFrom(node, at ?? null, axes, "reduces over the sample axis");
  if (!kept || keepsDims(node)) return kept;
  return { ...kept, axis: kept.axis - axes.filter((axis) => axis < kept.axis).length };
}

/** Applies `reduce` to each group of elements along `axes`. */
function reduce64(
  a: Array64,
  axes: readonly number[],
  keepDims: boolean,
  reduce: (elements: Float64Array) => number,
): Array64 {
  const others = a.dims.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const { data } = transpose64(a, [...others, ...axes]);
  const count = sizeOf(axes.map((axis) => nth(a.dims, axis)));
  const dims = keepDims ? fixedSizes(keptShape(a.dims, axes)) : others.map((axis) => nth(a.dims, axis));
  return array64(
    dims,
    zeros64(dims).data.map((_, k) => reduce(data.subarray(k * count, (k + 1) * count))),
  );
}

// Reduce*

/** A sum, one step for each axis. */
function summationSteps(node: Node): LinearStep[] {
  const along = (axis: number): LinearStep => ({
    kind: "along",
    axis,
    size: 1,
    apply: (build, value, at) => build.sum(value, [at], true),
  });
  return [...reducedAxes(node).map(along), { kind: "reshape", shape: outputOf(node, 0).shape }];
}

interface ReductionRule {
  readonly op: string;
  readonly reduce: (elements: Float64Array) => number;
  /** The cotangent of x, given dy and y with the reduced axes kept at size 1. */
  readonly rule: (dy: Value, x: Value, y: Value, axes: readonly number[], build: Build, node: Node) => Value;
  /** Follows shape arithmetic, two elements at a time. */
  readonly combine?: (a: Dim, b: Dim) => Dim | undefined;
  readonly linear?: NonNullable<OpDefinition["linear"]>;
  readonly range: (x: Range) => Range;
  readonly finiteSlope?: boolean;
  readonly stepSlope?: boolean;
  readonly hidesNaN?: boolean;
  readonly notNegative?: OpDefinition["notNegative"];
  readonly neutral?: number;
}

function reduction({
  op,
  reduce,
  rule,
  combine,
  linear,
  range,
  finiteSlope = false,
  stepSlope = false,
  hidesNaN = false,
  notNegative,
  neutral,
}: ReductionRule): OpDefinition {
  return {
    op,
    mixes: reducedAxes,
    finiteSlope,
    stepSlope,
    hidesNaN,
    ...(notNegative ? { notNegative } : {}),
    ...(neutral === undefined ? {} : { neutral }),
    range: (_node, [x]) => range(present(x)),
    ...(linear ? { linear } : {}),
    infer: (call) => inferReduction(call, combine),
    evaluate: ([x], node) => {
      const integer = !isFloat(outputOf(node, 0).dtype);
      const result = reduce64(present(x), reducedAxes(node), keepsDims(node), reduce);
      return [integer ? array64(result.dims, result.data.map(Math.trunc)) : result];
    },
    differentiate: (node, [dy], build) => {
      const x = inputOf(node, 0);
      const axes = reducedAxes(node);
      const keep = (value: Value) => build.reshape(value, keptShape(x.shape, axes));
      return [rule(keep(present(dy)), x, keep(outputOf(node, 0)), axes, build, node), null];
    },
    batch: batchReduction,
    sampleAxis: (node, [at]) => [reducedSampleAxis(node, at, reducedAxes(node))],
  };
}

function inferReduction(call: Call, combine?: ReductionRule["combine"]): ValueType[] {
  const { dtype, shape, known } = requireInput(call, 0);
  const axes = reducedAxes(call);
  const type = { dtype, shape: reducedShape(shape, axes, keepsDims(call)) };
  if (!known || !combine || isFloat(dtype)) return [type];
  if (axes.length === 0) return [{ ...type, known }];
  const [first, ...rest] = known;
  const total = rest.reduce<Dim | undefined>((sum, dim) => (sum === undefined ? undefined : combine(sum, dim)), first);
  return [total === undefined ? type : { ...type, known: [total] }];
}

const batchReduction: NonNullable<OpDefinition["batch"]> = (node, [x], _batched, build) => {
  const axes = reducedAxes(node).map((axis) => axis + 1);
  const attributes = { keepdims: keepsDims(node) ? 1 : 0, noop_with_empty_axes: axes.length === 0 ? 1 : 0 };
  return [build.op(node.op, [present(x), build.ints(axes)], attributes)];
};

/** How many elements each mean is taken over. */
function countOf(node: Node, x: Value, axes: readonly number[]): number {
  const dims = axes.map((axis) => nth(x.shape, axis));
  if (dims.some(isBatch)) throw interaction(node, "averages over the sample axis");
  return sizeOf(dims.map(factorOf));
}

function total(elements: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < elements.length; i++) sum += elements[i] as number;
  return sum;
}

const greatest = (elements: Float64Array) => elements.reduce((most, x) => Math.max(most, x), Number.NEGATIVE_INFINITY);
const least = (elements: Float64Array) => elements.reduce((most, x) => Math.min(most, x), Number.POSITIVE_INFINITY);

function squares(elements: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < elements.length; i++) sum += (elements[i] as number) ** 2;
  return sum;
}

function logSumExp(elements: Float64Array): number {
  const most = greatest(elements);
  if (!Number.isFinite(most)) return most;
  return most + Math.log(elements.reduce((sum, x) => sum + Math.exp(x - most), 0));
}

/** The elements that attain the extremum share its cotangent equally. */
const extremumRule: ReductionRule["rule"] = (dy, x, y, axes, build, node) => {
  const missed = misses(node.op === "ReduceMax", x, y, build);
  const count = build.sum(build.cast(build.not(missed), dy.dtype), axes, true);
  return build.cotangentUnless(missed, build.div(dy, count));
};

/**
 * dy times the product of the other elements: y / x computed without the zeros, and 0 where another element is zero.
 */
const productRule: ReductionRule["rule"] = (dy, x, _y, axes, build) => {
  const zero = build.equal(x, build.scalar(0, x));
  const zeros = build.cast(zero, x.dtype);
  const others = build.where(zero, build.scalar(1, x), x);
  const rest = build.div(build.reduce("ReduceProd", others, axes, true), others);
  const alone = build.equal(build.sum(zeros, axes, true), zeros);
  return build.mul(dy, build.mask(alone, rest));
};

/** x / y, and 0 at the origin. */
const lengthRule: ReductionRule["rule"] = (dy, x, y, _axes, build) => {
  const safe = build.where(build.equal(y, build.scalar(0, y)), build.scalar(1, y), y);
  return build.mul(build.div(dy, safe), x);
};

/** The softmax of x. An infinite y, as for a row that is all -inf, is replaced by 0 to avoid inf - inf. */
const logSumExpRule: ReductionRule["rule"] = (dy, x, y, _axes, build) => {
  const finite = build.where(build.op("IsInf", [y]), build.scalar(0, y), y);
  return build.mul(dy, build.exp(build.sub(x, finite)));
};

const plain = (choose: (a: number, b: number) => number) => (a: Dim, b: Dim) =>
  isBatch(a) || isBatch(b) ? undefined : choose(a, b);

// A sum over no elements is 0, but then there is nothing that it could be differentiated by.
const totals = (x: Range): Range => ({
  ...x,
  low: x.low >= 0 ? x.low : Number.NEGATIVE_INFINITY,
  high: x.high <= 0 ? x.high : Number.POSITIVE_INFINITY,
  zero: x.low >= 0 || x.high <= 0 ? x.zero : true,
  nan: x.nan || (x.infinite && x.low < 0 && x.high > 0),
});
const length = (x: Range): Range => ({ ...magnitude(x), low: 0, high: Number.POSITIVE_INFINITY });
const own = (x: Range): Range => x;

const reduceRules: readonly ReductionRule[] = [
  {
    op: "ReduceSum",
    neutral: 0,
    notNegative: "kept",
    linear: summationSteps,
    reduce: total,
    rule: (dy, x, _y, _axes, build) => build.expand(dy, x.shape),
    combine: add,
    range: totals,
  },
  {
    op: "ReduceMean",
    notNegative: "kept",
    reduce: (elements) => total(elements) / elements.length,
    rule: (dy, x, _y, axes, build, node) => {
      const count = countOf(node, x, axes);
      return build.expand(count === 1 ? dy : build.div(dy, build.scalar(count, dy)), x.shape);
    },
    range: (x) => ({ ...x, nan: x.nan || x.infinite }),
  },
  {
    op: "ReduceMax",
    neutral: Number.NEGATIVE_INFINITY,
    notNegative: "kept",
    reduce: greatest,
    rule: extremumRule,
    combine: plain(Math.max),
    stepSlope: true,
    range: own,
    finiteSlope: true,
    hidesNaN: true,
  },
  {
    op: "ReduceMin",
    neutral: Number.POSITIVE_INFINITY,
    notNegative: "kept",
    reduce: least,
    rule: extremumRule,
    combine: plain(Math.min),
    stepSlope: true,
    range: own,
    finiteSlope: true,
    hidesNaN: true,
  },
  {
    op: "ReduceProd",
    neutral: 1,
    reduce: (elements) => elements.reduce((product, x) => product * x, 1),
    rule: productRule,
    combine: multiply,
    // The product of a few elements of moderate size is finite.
    range: (x) => (alwaysFinite(x) ? unbounded : anything),
    finiteSlope: true,
  },
  {
    op: "ReduceL1",
    stepSlope: true,
    notNegative: "always",
    reduce: (elements) => total(elements.map(Math.abs)),
    rule: (dy, x, _y, _axes, build) => build.mul(dy, build.sign(x)),
    range: length,
  },
  {
    op: "ReduceL2",
    notNegative: "always",
    reduce: (elements) => Math.sqrt(squares(elements)),
    rule: lengthRule,
    range: length,
  },
  {
    op: "ReduceSumSquare",
    notNegative: "always",
    reduce: squares,
    rule: (dy, x, _y, _axes, build) => build.mul(build.scale(dy, 2), x),
    range: length,
  },
  {
    op: "ReduceLogSumExp",
    reduce: logSumExp,
    rule: logSumExpRule,
    range: (x) => (alwaysFinite(x) ? unbounded : anything),
    // The slope is the softmax, which is finite.
    finiteSlope: true,
  },
];

const reduceLogSum: OpDefinition = {
  op: "ReduceLogSum",
  infer: (call) => inferReduction(call),
  decompose: (node, build) => [build.log(build.op("ReduceSum", node.inputs, node.attributes))],
};

// ArgMax, ArgMin

const argAxis = (node: Call | Node) => lineAxis(node, intAttribute(node, "axis", 0));

function argExtremum(op: string, beats: (x: number, best: number) => boolean): OpDefinition {
  return {
    op,
    infer: (call) => {
      const { shape } = requireInput(call, 0);
      return [{ dtype: "int64", shape: reducedShape(shape, [argAxis(call)], keepsDims(call)) }];
    },
    evaluate: ([x], node) => {
      const last = intAttribute(node, "select_last_index", 0) !== 0;
      const find = (elements: Float64Array) => {
        let best = 0;
        elements.forEach((element, k) => {
          const current = elements[best] as number;
          if (beats(element, current) || (last && element === current)) best = k;
        });
        return best;
      };
      return [reduce64(present(x), [argAxis(node)], keepsDims(node), find)];
    },
    differentiate: "none",
    batch: (node, [x], _batched, build) => [
      build.op(op, [present(x)], { ...node.attributes, axis: argAxis(node) + 1 }),
    ],
    sampleAxis: (node, [at]) => [reducedSampleAxis(node, at, [argAxis(node)])],
  };
}

export const reductions: readonly OpDefinition[] = [
  ...reduceRules.map(reduction),
  reduceLogSum,
  { ...argExtremum("ArgMax", (x, best) => x > best), hidesNaN: true },
  { ...argExtremum("ArgMin", (x, best) => x < best), hidesNaN: true },
  cumSum,
];
