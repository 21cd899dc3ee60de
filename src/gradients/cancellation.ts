/**
 * How far rounding may carry a sample's part of a weighted sum away from its norm. Where a gradient is a sum of terms
 * (over positions, over uses) that nearly cancel, a norm and a sum that are computed in different orders differ by
 * rounding errors of the terms' size, which may be far above the gradient's own; and so may a sum over samples with one
 * of them and without. Hence the terms are added up for each sample first, and norm and sum are taken of what comes out.
 */
import { factorOf } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { present } from "../present.js";
import { Dense } from "./dense.js";
import { type Factored, sumPerSample } from "./factored.js";
import { firstOf, kind } from "./kinds.js";
import { Outer } from "./outer.js";
import { RowsGradient } from "./rows.js";
import { Sum } from "./sum.js";

/**
 * Let g be a gradient and M at least the sum of its terms' norms. Its squared norm is computed with an error of at
 * most r^2 M^2 / 4, and its part of a sum with one of e M. So a part scaled by the square root of |g|^2 + r^2 M^2 has a
 * norm of at most (|g| + e M) / sqrt(|g|^2 + 3/4 r^2 M^2), which is at most sqrt(1 + 4/3 e^2 / r^2).
 *
 * With u = 2^-24, a float32 sum errs by at most d u times the sum of its terms' magnitudes, where no term goes
 * through more than d additions. In squared norms that are put together from products d is 512 at most: a product's own
 * blocks and then sums in blocks of 64, or 256 in a row. 512 u is r^2 / 4 for r^2 = 2^-13. Rows are scaled in float32 and
 * added up in float64, so that e is 4 u: the norm is at most 1 + 10^-9. Where T rows of about one size do not
 * cancel, M^2 is T |g|^2, and the gradient is clipped to 1 / sqrt(1 + T 2^-13) of the norm: 0.4 % less for 64.
 */
const roundingSquare = 2 ** -13;

/** What rounding may hide of a gradient's squared norm, `[N]`: to be added to it. Null for nothing. */
export function hidden(build: Build, gradient: Factored): Value | null {
  if (gradient.positions === 0) return null;
  return (gradient.positions > 1 ? ofTerms(gradient, build) : ofFactors(gradient, build)) ?? null;
}

const ofTerms = firstOf([
  kind(RowsGradient, (gradient, build: Build) => build.scale(squaredTerms(build, gradient), roundingSquare)),
]);

const ofFactors = firstOf([kind(Outer, (gradient, build: Build) => underflow(build, gradient))]);

/**
 * A bound on the square of the sum of the terms' norms, `[N]`: by Cauchy and Schwarz, the number of terms times the
 * sum of their squared norms.
 */
function squaredTerms(build: Build, { cotangents, positions }: RowsGradient): Value {
  const squares = build.reduce("ReduceSumSquare", cotangents, [cotangents.shape.length - 1]);
  return build.scale(sumPerSample(build, squares), positions);
}

/** The smallest float32 above 0. */
const smallest = 2 ** -149;

/**
 * The norm is the product of those of two vectors, of which one may be so short that its square is no float32, and the
 * other so long that the product is far from 0. Of the squares of n elements less than n times the smallest float32 is lost.
 */
function underflow(build: Build, gradient: Outer): Value {
  const [rows, columns] = gradient.squaredVectors(build);
  const lost = (of: Value, other: Value) => build.scale(other, sizeOfLast(of) * smallest);
  return sumPerSample(build, build.add(lost(gradient.rows, columns), lost(gradient.columns, rows)));
}

const sizeOfLast = ({ shape }: Value): number => factorOf(present(shape.at(-1)));

/**
 * Whether a sample's terms may cancel in a sum that is not of the values whose norm is taken. Rows of a table are
 * exempt: they are added up in float64.
 */
export function mustMultiplyOut(gradient: Factored): boolean {
  return mayCancel(gradient) ?? false;
}

const mayCancel = firstOf([
  kind(Sum, () => true),
  kind(Outer, ({ positions }) => positions > 1),
  kind(Dense, ({ origin }) => origin !== null),
]);
