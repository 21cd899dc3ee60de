/** Det and EyeLike. */

import { array64, zeros64 } from "../../float64/array64.js";
import { isBatch, sameDim, showShape } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import type { Node } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Call } from "../call.js";
import { apartFrom, intAttribute, interaction, part, requireInput, shapeMismatch, unsupported } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { requireConstant } from "../limits.js";
import { cofactors } from "../subgraphs/cofactors.js";
import { dtypeAttribute } from "./random.js";

// Det

/** The side of the matrices that lie along the last two axes. */
function matrixSide(call: Call | Node): number {
  const { shape } = requireInput(call, 0);
  const [rows, columns] = shape.slice(-2);
  if (rows === undefined || columns === undefined || !sameDim(rows, columns))
    throw shapeMismatch(part(call, `the input ${showShape(shape)}`), "holds no square matrices");
  if (isBatch(rows)) throw interaction(call, "takes determinants across the sample axis");
  return rows;
}

/** Gaussian elimination with the greatest pivot of each column. Overwrites `a`. */
function determinant(a: Float64Array, side: number): number {
  const at = (row: number, column: number) => a[row * side + column] as number;
  let result = 1;
  for (let k = 0; k < side; k++) {
    let best = k;
    for (let row = k + 1; row < side; row++) if (Math.abs(at(row, k)) > Math.abs(at(best, k))) best = row;
    const pivot = at(best, k);
    result *= best === k ? pivot : -pivot;
    if (pivot === 0) return result;
    for (let column = 0; column < side && best !== k; column++) {
      const moved = at(k, column);
      a[k * side + column] = at(best, column);
      a[best * side + column] = moved;
    }
    for (let row = k + 1; row < side; row++) {
      const factor = at(row, k) / pivot;
      for (let column = k; column < side; column++) a[row * side + column] = at(row, column) - factor * at(k, column);
    }
  }
  return result;
}

/** Expands by minors, for which the work grows as 2^side. */
const largestSide = 12;

const det: OpDefinition = {
  op: "Det",
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    matrixSide(call);
    return [{ dtype, shape: shape.slice(0, -2) }];
  },
  evaluate: ([x]) => {
    const { dims, data } = present(x);
    const side = nth(dims, dims.length - 1);
    const result = zeros64(dims.slice(0, -2));
    const size = side * side;
    result.data.forEach((_, k) => {
      result.data[k] = determinant(data.slice(k * size, (k + 1) * size), side);
    });
    return [result];
  },
  differentiate: (node, [dy], build) => {
    const [x, cotangent] = [inputOf(node, 0), present(dy)];
    const side = matrixSide(node);
    if (side > largestSide)
      throw unsupported(
        node,
        `takes a determinant of ${side} rows, and pergrad differentiates none of more than ${largestSide} rows`,
      );
    if (side === 0) return [build.zeros(x.shape, x.dtype)];
    const spread = build.reshape(cotangent, [...cotangent.shape, 1, 1]);
    return [build.mul(spread, cofactors(build, x, side))];
  },
  batch: (_node, [x], _batched, build) => [build.op("Det", [present(x)])],
  sampleAxis: (node, [at]) => {
    const rank = inputOf(node, 0).shape.length;
    return [apartFrom(node, at ?? null, [rank - 2, rank - 1], "takes determinants across the sample axis")];
  },
};

// EyeLike

function eyeShape(call: Call | Node): [number, number] {
  const { shape } = requireInput(call, 0);
  if (shape.length !== 2) throw shapeMismatch(part(call, `the input ${showShape(shape)}`), "is no matrix");
  const [rows, columns] = leadingOf(shape, 2);
  if (isBatch(rows) || isBatch(columns)) throw interaction(call, "numbers the samples");
  return [rows, columns];
}

/** Only the shape of the input matters. */
const eyeLike: OpDefinition = {
  op: "EyeLike",
  infer: (call) => {
    const { dtype } = requireInput(call, 0);
    return [{ dtype: dtypeAttribute(call, "dtype", dtype), shape: eyeShape(call) }];
  },
  evaluate: (_, node) => {
    const [rows, columns] = eyeShape(node);
    requireConstant(node, rows * columns, "a matrix");
    const diagonal = intAttribute(node, "k", 0);
    const ones = Float64Array.from({ length: rows * columns }, (_, at) =>
      Number((at % columns) - Math.floor(at / columns) === diagonal),
    );
    return [array64([rows, columns], ones)];
  },
  differentiate: "none",
  batch: () => [],
  sampleAxis: () => [null],
};

export const matrices: readonly OpDefinition[] = [det, eyeLike];
