/** Random projections of one parameter's gradients, `[N, dims]`, from their factors if that is cheaper. */

import { elementsOf, fixedSize, multiply } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { leadingOf, nth, present } from "../present.js";
import { addCosts, cheapest, type Factored, type Method, sizeOfGradient, termByTerm } from "./factored.js";
import { firstOf, kind } from "./kinds.js";
import { Outer } from "./outer.js";
import { RowsGradient } from "./rows.js";
import {
  type Coordinates,
  coordinatesOf,
  pickSigns,
  type SignMatrix,
  type Signs,
  signBytes,
  signsValue,
} from "./signs.js";
import { Sum } from "./sum.js";
import type { View } from "./view.js";

/** The methods for the projections, `[N, dims]`; at least one. */
export function projections(gradient: Factored, signs: Signs): Method[] {
  return [...(factored(gradient, signs) ?? []), dense(gradient, signs)];
}

const factored = firstOf([kind(Sum, bySum), kind(Outer, outer), kind(RowsGradient, rows)]);

function bySum({ terms }: Sum, signs: Signs): Method[] {
  return [termByTerm(terms.map((term) => cheapest(projections(term, signs))))];
}

/** Contracts the longer side of the matrix first. */
function dense(gradient: Factored, { dims, rows, columns }: Signs): Method {
  const size = sizeOfGradient(gradient);
  const short = Math.min(rows.size, columns.size);
  const moved = rows.size >= columns.size && columns.size > 1 ? 2 * size : 0;
  return {
    name: "materialise",
    ...addCosts([gradient.materialisation, { operations: size * dims, floats: size + moved + 2 * short * dims }]),
    dense: true,
    emit: (build) => {
      const whole = gradient.materialise(build);
      const [samples] = leadingOf(whole.shape, 1);
      if (size === 0) return build.zeros([samples, dims], whole.dtype);
      const matrix = build.reshape(whole, [samples, rows.size, columns.size]);
      const turn = rows.size >= columns.size;
      const [first, second] = turn ? [rows, columns] : [columns, rows];
      // As one matrix: the runtime accepts that for an empty batch, but not a transposition fused with the product.
      const lines = build.reshape(turn ? build.transposeLast(matrix) : matrix, [
        present(multiply(samples, second.size)),
        first.size,
      ]);
      const product = build.matmul(lines, signsValue(build, first, [first.size], dims, whole));
      const projected = build.reshape(product, [samples, second.size, dims]);
      return build.sum(build.mul(projected, signsValue(build, second, [second.size], dims, whole)), [1]);
    },
  };
}

/**
 * The signs along the two raw axes of a view, first and second. The view decides which of them signs rows and which
 * columns. Null if an axis is made of both.
 */
function alongRaw(view: View, { dims, rows, columns }: Signs): [SignsAlong, SignsAlong] | null {
  const parts = view.separation;
  if (!parts) return null;
  const along = coordinatesOf(parts);
  const [first, second] = leadingOf(along.slice(-2), 2);
  const blocks = along.length === 3 ? nth(along, 0) : { rows: [0], columns: [0] };
  const still = (places: readonly number[]) => places.every((place) => place === 0);
  const side = (matrix: SignMatrix, block: readonly number[], places: readonly number[]): SignsAlong => {
    // Blocks share these signs if only the other side tells them apart.
    const starts = still(block) ? [0] : block;
    const all = starts.flatMap((start) => places.map((place) => start + place));
    return { matrix: pickSigns(matrix, all, dims), blocks: starts.length, size: places.length };
  };
  const asRows = (at: Coordinates) => side(rows, blocks.rows, at.rows);
  const asColumns = (at: Coordinates) => side(columns, blocks.columns, at.columns);
  if (still(first.columns) && still(second.rows)) return [asRows(first), asColumns(second)];
  if (still(first.rows) && still(second.columns)) return [asColumns(first), asRows(second)];
  return null;
}

interface SignsAlong {
  readonly matrix: SignMatrix;
  /** 1 if all blocks share the signs. */
  readonly blocks: number;
  readonly size: number;
}

const leadingOfSigns = ({ blocks, size }: SignsAlong) => (blocks === 1 ? [size] : [blocks, size]);

/** `[size, dims]`, or `[blocks, size, dims]`. */
function signsFor(build: Build, side: SignsAlong, dims: number, like: Value): Value {
  return signsValue(build, side.matrix, leadingOfSigns(side), dims, like);
}

/** A factor's last axis projected to `dims`. */
function projectFactor(build: Build, factor: Value, side: SignsAlong, dims: number): Value {
  const signs = signsFor(build, side, dims, factor);
  if (side.blocks > 1) return build.matmul(factor, signs);
  const others = factor.shape.slice(0, -1);
  const lines = build.reshape(factor, [present(elementsOf(others)), side.size]);
  return build.reshape(build.matmul(lines, signs), [...others, dims]);
}

/** The sum, over positions, of products of the projected factors. */
function outer(gradient: Outer, signs: Signs): Method[] {
  const sides = alongRaw(gradient.viewed, signs);
  if (!sides) return [];
  const { dims } = signs;
  const positions = gradient.positions * (gradient.blocked ? fixedSize(gradient.rows.shape, 1) : 1);
  return [
    {
      name: "project factors",
      operations: gradient.held * dims,
      floats: 3 * positions * dims,
      dense: false,
      emit: (build) => {
        const [left, right] = leadingOf(
          [gradient.rows, gradient.columns].map((factor, k) => projectFactor(build, factor, nth(sides, k), dims)),
          2,
        );
        const product = build.mul(left, right);
        return build.sum(product, [...product.shape.keys()].slice(1, -1));
      },
    },
  ];
}

/** The signs of the picked rows, times their projected cotangents. */
function rows(gradient: RowsGradient, signs: Signs): Method[] {
  const sides = alongRaw(gradient.viewed, signs);
  if (!sides) return [];
  const { dims } = signs;
  const { places, cotangents, positions, held } = gradient;
  return [
    {
      name: "project factors",
      operations: (held - positions) * dims,
      floats: 4 * positions * dims,
      dense: false,
      emit: (build) => {
        const [table, along] = leadingOf(sides, 2);
        const received = build.matmul(cotangents, signsFor(build, along, dims, cotangents));
        const picked = build.gather(signBytes(build, table.matrix, leadingOfSigns(table), dims), places, 0);
        return build.sum(build.mul(build.cast(picked, cotangents.dtype), received), [1]);
      },
    },
  ];
}
