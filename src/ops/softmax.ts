/** Softmax, LogSoftmax, Hardmax. */
import type { Node, Value } from "../graph/value.js";
import { zeros64 } from "./array64.js";
import { apartFrom, intAttribute, requireInput } from "./checks.js";
import type { Array64, Call, DerivativeRule, OpDefinition } from "./definition.js";
import { alongAxis, lineAxis } from "./reductions.js";

const axisOf = (node: Call | Node) => lineAxis(node, intAttribute(node, "axis", -1));

/** An op that turns each line of elements along its axis into another. */
function alongLines(
  op: string,
  transform: (line: Float64Array) => Float64Array,
  differentiate: DerivativeRule | "none",
): OpDefinition {
  return {
    op,
    infer: (call) => {
      const { dtype, shape } = requireInput(call, 0);
      axisOf(call);
      return [{ dtype, shape }];
    },
    evaluate: ([x], node) => [eachLine(x as Array64, axisOf(node), transform)],
    differentiate,
    batch: (node, [x], _batched, build) => [build.op(op, [x as Value], { axis: axisOf(node) + 1 })],
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

/** The line minus its maximum, and the sum of the exponentials of that. */
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

/** 1 at the first of the greatest elements. */
function hardmax64(line: Float64Array): Float64Array {
  const best = line.indexOf(line.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
  return line.map((_, k) => Number(k === best));
}

export const softmax: readonly OpDefinition[] = [
  alongLines("Softmax", softmax64, (node, [dy], build) => {
    const y = node.outputs[0] as Value;
    const scaled = build.mul(dy as Value, y);
    return [build.sub(scaled, build.mul(y, build.sum(scaled, [axisOf(node)], true)))];
  }),
  alongLines("LogSoftmax", logSoftmax64, (node, [dy], build) => {
    const total = build.sum(dy as Value, [axisOf(node)], true);
    return [build.sub(dy as Value, build.mul(build.exp(node.outputs[0] as Value), total))];
  }),
  alongLines("Hardmax", hardmax64, "none"),
];
