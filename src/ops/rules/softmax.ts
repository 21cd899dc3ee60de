/** Softmax, LogSoftmax, Hardmax. */

import type { Array64 } from "../../float64/array64.js";
import { zeros64 } from "../../float64/array64.js";
import { isZero } from "../../graph/behind.js";
import { sameShape } from "../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { apartFrom, intAttribute, requireInput } from "../checks.js";
import { type DerivativeRule, having, type OpDefinition } from "../definition.js";
import { alwaysFinite, between, type RangeRule } from "../range.js";
import { holdsFinite } from "../subgraphs/masks.js";
import { alongAxis, lineAxis } from "./lines.js";

const axisOf = (node: Call | Node) => lineAxis(node, intAttribute(node, "axis", -1));

/** An op that maps each line of elements along its axis to another line. */
function alongLines(
  op: string,
  transform: (line: Float64Array) => Float64Array,
  differentiate: DerivativeRule | "none",
  range: RangeRule,
): OpDefinition {
  return {
    op,
    range,
    mixes: (node) => [axisOf(node)],
    infer: (call) => {
      const { dtype, shape } = requireInput(call, 0);
      axisOf(call);
      return [{ dtype, shape }];
    },
    evaluate: ([x], node) => [eachLine(present(x), axisOf(node), transform)],
    differentiate,
    batch: (node, [x], _batched, build) => [build.op(op, [present(x)], { axis: axisOf(node) + 1 })],
    sampleAxis: (node, [at]) => [apartFrom(node, at ?? null, [axisOf(node)], "normalises along the sample axis")],
  };
}

function eachLine(x: Array64, axis: number, transform: (line: Float64Array) => Float64Array): Array64 {
  const result = zeros64(x.dims);
  alongAxis(x.dims, axis, (start, stride, count) => {
    const line = Float64Array.from({ length: count }, (_, k) => x.data[start + k * stride] as number);
    transform(line).forEach((y, k) => {
      result.data[start + k * stride] = y;
    });
  });
  return result;
}

/** The line minus its maximum, and the sum of the exponentials of the result. */
function shifted(line: Float64Array): { line: Float64Array; sum: number } {
  const most = line.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const moved = line.map((x) => x - most);
  return { line: moved, sum: moved.reduce((sum, x) => sum + Math.exp(x), 0) };
}

function softmax64(x: Float64Array): Float64Array {
  const { line, sum } = shifted(x);
  return line.map((element) => Math.exp(element) / sum);
}

function logSoftmax64(x: Float64Array): Float64Array {
  const { line, sum } = shifted(x);
  return line.map((element) => element - Math.log(sum));
}

/** 1 at the first of the greatest elements, and 0 elsewhere. */
function hardmax64(line: Float64Array): Float64Array {
  const best = line.indexOf(line.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
  return line.map((_, k) => Number(k === best));
}

/**
 * y (dy - s), where s is the sum of y dy. At an element that holds nearly all of its line, dy - s cancels. The error of
 * s there is the sum of y (dy - s), which is computed accurately and subtracted too.
 */
const softmaxRule: DerivativeRule = (node, [dy], build) => {
  const y = outputOf(node, 0);
  const axis = axisOf(node);
  const centred = (value: Value) => build.sub(value, build.sum(build.mul(y, value), [axis], true));
  return [build.mul(y, centred(centred(present(dy))))];
};

/**
 * dy - softmax(x) times the sum of dy. The results of a line should add up to 0, so the rest left by rounding is
 * subtracted.
 */
const logSoftmaxRule: DerivativeRule = (node, [dy], build) => {
  const y = outputOf(node, 0);
  const axis = axisOf(node);
  const cotangent = present(dy);
  const likelihood = onePlaceOf(node, cotangent, build);
  if (likelihood) return [likelihoodRule(build, build.exp(y), likelihood, axis)];
  const centred = (value: Value) => build.sub(value, build.mul(build.exp(y), build.sum(value, [axis], true)));
  return [centred(centred(cotangent))];
};

/** A cotangent that is zero except at one place of each line. */
interface OnePlace {
  readonly places: Value;
  readonly updates: Value;
}

function onePlaceOf(node: Node, cotangent: Value, build: Build): OnePlace | null {
  const scatter = build.origin(cotangent);
  const axis = axisOf(node);
  if (
    scatter?.op !== "ScatterElements" ||
    !isZero(scatter.inputs[0]) ||
    lineAxis(scatter, intAttribute(scatter, "axis", 0)) !== axis
  )
    return null;
  const [, places, updates] = inputsOf(scatter, 3);
  const whole = places.shape.map((dim, k) => (k === axis ? dim : nth(cotangent.shape, k)));
  return places.shape[axis] === 1 && sameShape(places.shape, whole) ? { places, updates } : null;
}

/**
 * The cotangent of a likelihood. At the label it is 1 minus the label's probability, computed as the sum of all other
 * probabilities. It therefore keeps its digits where the label is nearly certain.
 */
function likelihoodRule(build: Build, probabilities: Value, { places, updates }: OnePlace, axis: number): Value {
  const put = (into: Value, value: Value) => build.op("ScatterElements", [into, places, value], { axis });
  const others = put(probabilities, build.zeros(updates.shape, updates.dtype));
  // Computed from the scaled value, so that nothing reads the unscaled one, and each step can reuse the memory of the last.
  const scaled = build.mul(others, build.neg(updates));
  return put(scaled, build.neg(build.sum(scaled, [axis], true)));
}

/** A line that is -inf throughout has no softmax; a line with a finite element has one. */
const softmaxRange: RangeRule = (node, [x], of) => {
  const { infinite, nan, high } = present(x);
  const defined =
    !nan && (!infinite || (high !== Number.POSITIVE_INFINITY && holdsFinite(inputOf(node, 0), axisOf(node), of)));
  return { ...between(0, 1), nan: !defined };
};

const logSoftmaxRange: RangeRule = (node, inputs, of) => {
  const { nan } = softmaxRange(node, inputs, of);
  return { ...between(Number.NEGATIVE_INFINITY, 0), infinite: !alwaysFinite(nth(inputs, 0)), nan };
};

export const softmax: readonly OpDefinition[] = [
  having({ overwrites: true, notNegative: "always" }, alongLines("Softmax", softmax64, softmaxRule, softmaxRange)),
  having({ overwrites: true }, alongLines("LogSoftmax", logSoftmax64, logSoftmaxRule, logSoftmaxRange)),
  { ...alongLines("Hardmax", hardmax64, "none", () => between(0, 1)), hidesNaN: true },
];
