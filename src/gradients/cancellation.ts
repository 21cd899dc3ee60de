/**
 * Bounds how far rounding may carry a sample's part of a weighted sum away from its norm. If a gradient is a sum of
 * terms (over positions, over uses) that nearly cancel, a norm and a sum that add them in different orders differ by
 * rounding errors of the terms' size, which may far exceed the gradient itself. The same happens between a sum over
 * samples with one of them and without it. So the terms are added up for each sample first, and norm and sum are both
 * computed from the result.
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
 * Let g be a gradient and M at least the sum of its terms' norms. The error of its squared norm is at most r^2 M^2 / 4,
 * and that of its part of a sum is at most e M. If the part is scaled by the square root of |g|^2 + r^2 M^2, its norm
 * is at most (|g| + e M) / sqrt(|g|^2 + 3/4 r^2 M^2), which is at most sqrt(1 + 4/3 e^2 / r^2).
 *
 * With u = 2^-24, the error of a float32 sum is at most d u times the sum of its terms' magnitudes, if no term passes
 * through more than d additions. For squared norms that are computed from products, d is at most 512: a product's own
 * blocks, and then sums in blocks of 64, or 256 in a row. 512 u is r^2 / 4 for r^2 = 2^-13. Rows are scaled in float32
 * and added up in float64, so e is 4 u and the norm at most 1 + 10^-9. If T rows of about equal size do not cancel, M^2
 * is T |g|^2, and the gradient is clipped to 1 / sqrt(1 + T 2^-13) of the norm: 0.4 % less for 64 rows.
 */
const roundingSquare = 2 ** -13;

/** The number to add to a gradient's squared norm, `[N]`, for what rounding may hide of it. Null for 0. */
export function hidden(build: Build, gradient: Factored): Value | null {
  if (gradient.positions === 0) return null;
  return (gradient.positions > 1 ? ofTerms(gradient, build) : ofFactors(gradient, build)) ?? null;
}

const ofTerms = firstOf([
  kind(RowsGradient, (gradient, build: Build) => build.scale(squaredTerms(build, gradient), roundingSquare)),
]);

const ofFactors = firstOf([kind(Outer, (gradient, build: Build) => underflow(build, gradient))]);

/**
 * A bound on the square of the sum of the terms' norms, `[N]`: the number of terms times the sum of their squared norms
 * (Cauchy and Schwarz).
 */
function squaredTerms(build: Build, { cotangents, positions }: RowsGradient): Value {
  const squares = build.reduce("ReduceSumSquare", cotangents, [cotangents.shape.length - 1]);
  return build.scale(sumPerSample(build, squares), positions);
}

/** The smallest float32 above 0. */
const smallest = 2 ** -149;

/**
 * The norm is the product of the norms of two vectors. One may be so short that its square underflows in float32, and
 * the other so long that the product is far from 0. Underflow takes less than n times the smallest float32 from the sum
 * of n squares.
 */
function underflow(build: Build, gradient: Outer): Value {
  const [rows, columns] = gradient.squaredVectors(build);
  const lost = (of: Value, other: Value) => build.scale(other, sizeOfLast(of) * smallest);
  return sumPerSample(build, build.add(lost(gradient.rows, columns), lost(gradient.columns, rows)));
}

const sizeOfLast = ({ shape }: Value): number => factorOf(present(shape.at(-1)));

/**
 * Whether a sample's terms may cancel in a sum that is computed from other values than the norm. Rows of a table are
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
