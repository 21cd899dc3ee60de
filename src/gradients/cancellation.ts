/**
 * How far rounding may carry a sample's part of a weighted sum away from its norm. Where a gradient is a sum of terms
 * (over positions, over uses) that nearly cancel, a norm and a sum that are computed in different orders differ by
 * rounding errors of the terms' size, which may be far above the gradient's own.
 */
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { Dense } from "./dense.js";
import { cheapest, type Factored, sumPerSample } from "./factored.js";
import { firstOf, kind } from "./kinds.js";
import { Outer } from "./outer.js";
import { RowsGradient } from "./rows.js";
import { Sum } from "./sum.js";

/**
 * A bound on the square of the sum of the terms' norms, `[N]`: by Cauchy and Schwarz, the number of terms times the
 * sum of their squared norms. Null where there is one term.
 */
export function cancelling(build: Build, gradient: Factored): Value | null {
  if (gradient.kind !== "sum" && gradient.positions <= 1) return null;
  return bounds(gradient, build) ?? null;
}

const bounds = firstOf([kind(Sum, ofSum), kind(Outer, ofPositions), kind(RowsGradient, ofRows)]);

function ofPositions({ rows, columns, positions }: Outer, build: Build): Value {
  return build.scale(sumPerSample(build, build.mul(squares(build, rows), squares(build, columns))), positions);
}

function ofRows({ cotangents, positions }: RowsGradient, build: Build): Value {
  return build.scale(sumPerSample(build, squares(build, cotangents)), positions);
}

/** Squared norms along the last axis. */
function squares(build: Build, value: Value): Value {
  return build.reduce("ReduceSumSquare", value, [value.shape.length - 1]);
}

/** The terms' own squared norms count beside what cancels within them. */
function ofSum({ terms }: Sum, build: Build): Value {
  const parts = terms.flatMap((term) => {
    const within = cancelling(build, term);
    const norm = cheapest(term.squaredNorms()).emit(build);
    return within ? [norm, within] : [norm];
  });
  return build.scale(build.op("Sum", parts), terms.length);
}

/** Whether a sum may be computed from something else than the values whose norm is taken, and nothing bounds the difference. */
export function onlyDense(gradient: Factored): boolean {
  return gradient.terms.some((term) => hasOrigin(term) ?? false);
}

const hasOrigin = firstOf([kind(Dense, ({ origin }) => origin !== null)]);
