/**
 * Factored gradients times a whole tensor, element by element. Factors cannot hold such a product until it is summed.
 */

import { Dense } from "../gradients/dense.js";
import { addCosts, cheapest, type Factored, sizeOfGradient } from "../gradients/factored.js";
import { kind } from "../gradients/kinds.js";
import { Outer } from "../gradients/outer.js";
import { View } from "../gradients/view.js";
import { N, type Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { leadingOf } from "../present.js";

export interface Hadamard {
  readonly kind: "hadamard";
  readonly of: Factored;
  /** In the gradients' shape, shared by the samples. */
  readonly weight: Value;
  /** Emits the products. */
  emit(build: Build): Dense;
}

export function hadamard(of: Factored, weight: Value): Hadamard {
  return {
    kind: "hadamard",
    of,
    weight,
    emit: (build) => {
      const sum = cheapest(of.weightedSums());
      const own = { operations: 0, floats: sizeOfGradient(of) };
      return new Dense(build.mul(of.materialise(build), weight), undefined, {
        cost: addCosts([of.materialisation, own]),
        sum: {
          ...sum,
          name: "sum first",
          emit: (inner, weights) => inner.mul(sum.emit(inner, weights), weight),
        },
      });
    },
  };
}

/**
 * The sum of the products along `axes`, if these are all axes of one factor, or all axes: with rows a, columns d and
 * weight W, the sum over positions t of (a_t W) d_t. Null if it does not have that form.
 */
export function sumHadamard(
  build: Build,
  { of, weight }: Hadamard,
  axes: readonly number[],
  shape: Shape,
): Dense | null {
  return sumOuter(of, weight, build, axes, shape) ?? null;
}

const sumOuter = kind(Outer, (of, weight: Value, build: Build, axes: readonly number[], shape: Shape): Dense | null => {
  if (of.blocked) return null;
  const sides = of.viewed.sides;
  const spans = (side: number) =>
    sides?.every((own, axis) => own === -1 || (own === side) === axes.includes(axis)) ?? false;
  const all = sides?.every((own, axis) => own === -1 || axes.includes(axis)) ?? false;
  const [overRows, overColumns] = [spans(0), spans(1)];
  if (!all && !overRows && !overColumns) return null;
  const raw = of.viewed.undo(build, weight);
  const [given, kept] = overColumns && !all ? [of.columns, of.rows] : [of.rows, of.columns];
  const turned = overColumns && !all ? build.transposeLast(raw) : raw;
  const products = build.mul(build.matmul(given, turned), kept);
  const cost = { operations: sizeOfGradient(of) * of.positions, floats: of.held };
  const result = all ? build.sum(products, [1, 2]) : keptSide(build, of, products, overColumns ? 0 : 1);
  const value = build.reshape(result, [N, ...shape]);
  const sum = cheapest(new Dense(value).weightedSums());
  return new Dense(value, View.of(shape), { cost, sum: { ...sum, ...addCosts([cost, sum]) } });
});

/** Sums over positions; the elements are in the order of the axes that remain. */
function keptSide(build: Build, of: Outer, products: Value, side: 0 | 1): Value {
  const ordered = of.viewed.ordered(build, products, side);
  const [samples, , size] = leadingOf(ordered.shape, 3);
  return build.reshape(build.sum(ordered, [1]), [samples, size]);
}
