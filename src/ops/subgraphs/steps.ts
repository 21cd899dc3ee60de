/** Ops that are linear in one input, as steps along single axes: a factored gradient passes through these. */

import { type Dim, factorOf, isBatch, type Shape } from "../../graph/dim.js";
import { inputOf, outputOf } from "../../graph/operands.js";
import { type Node, nodeOf, type Value } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import type { Along, LinearStep } from "../definition.js";

/** The shape with leading axes of size 1, up to `rank`. */
function aligned(shape: Shape, rank: number): Dim[] {
  return [...Array<Dim>(rank - shape.length).fill(1), ...shape];
}

function ranked(x: Value, rank: number): LinearStep[] {
  return x.shape.length === rank ? [] : [{ kind: "reshape", shape: aligned(x.shape, rank) }];
}

/** The shape that an Expand repeats, if the result takes its shape from the other operand. */
function repeatedBy(y: Value, repeats: boolean): Value {
  const node = nodeOf(y);
  return repeats && node?.op === "Expand" ? inputOf(node, 0) : y;
}

/** Mul by, or Div by, a shared scalar or a vector along one axis. */
export function scalingSteps(node: Node, input: number): LinearStep[] | null {
  const [x, given] = [node.inputs[input], node.inputs[1 - input]];
  const { shape } = outputOf(node, 0);
  if (!x || !given || (node.op === "Div" && input !== 0)) return null;
  const rank = shape.length;
  const whole = aligned(x.shape, rank).every((dim, axis) => factorOf(dim) === factorOf(nth(shape, axis)));
  const y = repeatedBy(given, whole);
  const wide = aligned(y.shape, rank).flatMap((dim, axis) => (dim === 1 ? [] : [{ dim, axis }]));
  const [first, second] = wide;
  if (second || isBatch(first?.dim)) return null;
  if (!first) {
    const one = (build: Parameters<Along["apply"]>[0]) => build.reshape(y, []);
    return [
      ...ranked(x, rank),
      {
        kind: "scaling",
        factor: (build) => (node.op === "Div" ? build.div(build.scalar(1, y), one(build)) : one(build)),
      },
    ];
  }
  const { axis, dim } = first;
  const apply: Along["apply"] = (build, value, at) =>
    build.op(node.op, [value, build.reshape(y, [dim, ...Array<Dim>(value.shape.length - at - 1).fill(1)])]);
  return [...ranked(x, rank), { kind: "along", axis, size: dim, apply }];
}

/** Expand, axis by axis. */
export function expandSteps(node: Node, input: number): LinearStep[] | null {
  const x = inputOf(node, 0);
  const { shape } = outputOf(node, 0);
  if (input !== 0 || shape.some(isBatch)) return null;
  const from = aligned(x.shape, shape.length);
  const along = shape.flatMap((dim, axis): LinearStep[] => {
    if (from[axis] === dim) return [];
    const apply: Along["apply"] = (build, value, at) =>
      build.expand(
        value,
        value.shape.map((own, k) => (k === at ? dim : own)),
      );
    return [{ kind: "along", axis, size: factorOf(dim), apply }];
  });
  return [...ranked(x, shape.length), ...along];
}

/** MatMul with a shared vector or matrix. */
export function productSteps(node: Node, input: number): LinearStep[] | null {
  const [x, y] = [node.inputs[input], node.inputs[1 - input]];
  if (!x || !y || y.shape.length > 2 || y.shape.some(isBatch)) return null;
  // A batch of matrices times a matrix is summed over one axis; a vector is both rows and columns.
  const vector = y.shape.length === 1;
  const rank = Math.max(x.shape.length, 1);
  const axis = input === 0 || rank === 1 ? rank - 1 : rank - 2;
  const matrix = vector ? [factorOf(nth(y.shape, 0)), 1] : y.shape.map(factorOf);
  const size = present(input === 0 || vector ? matrix[1] : matrix[0]);
  const apply: Along["apply"] = (build, value, at) => {
    const last = value.shape.length - 1;
    const square = build.reshape(y, matrix);
    if (at === last - 1 && input === 1 && !vector) return build.matmul(square, value);
    const turned = input === 1 && !vector ? build.transposeLast(square) : square;
    return build.moveAxis(build.matmul(build.moveAxis(value, at, last), turned), last, at);
  };
  return [
    { kind: "along", axis, size, apply },
    { kind: "reshape", shape: outputOf(node, 0).shape },
  ];
}
