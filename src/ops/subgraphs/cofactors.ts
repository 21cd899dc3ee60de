/**
 * The cofactors of matrices as a graph: sums of products of minors, without division, so that singular matrices work
 * too.
 */

import type { Value } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import type { Build } from "../build.js";

/** A sum of products left[i] * right[j], with signs; `terms` of them for each result. */
interface Products {
  readonly left: readonly number[];
  readonly right: readonly number[];
  readonly signs: readonly number[];
  readonly terms: number;
}

/** The sets of `count` of `side` columns, each ascending. */
function columnSets(side: number, count: number): number[][] {
  if (count === 0) return [[]];
  return columnSets(side, count - 1).flatMap((set) => {
    const next = (set.at(-1) ?? -1) + 1;
    return Array.from({ length: side - next }, (_, k) => [...set, next + k]);
  });
}

/** The place of each set among the sets of its size. */
function places(sets: readonly number[][]): (set: readonly number[]) => number {
  const found = new Map(sets.map((set, at) => [set.join(), at]));
  return (set) => present(found.get(set.join()));
}

/** 1 or -1: whether sorting takes an even number of swaps. */
function parity(order: readonly number[]): number {
  const swaps = order.flatMap((column, at) => order.slice(at + 1).filter((later) => later < column));
  return swaps.length % 2 === 0 ? 1 : -1;
}

/** Minors of `count` rows from one row and the minors of the other rows: those after it (downwards) or before it. */
function expansion(side: number, count: number, downwards: boolean): Products {
  const place = places(columnSets(side, count - 1));
  const terms = columnSets(side, count).flatMap((set) =>
    set.map((column) => {
      const others = set.filter((other) => other !== column);
      return { column, others, sign: parity(downwards ? [...others, column] : [column, ...others]) };
    }),
  );
  return {
    left: terms.map(({ column }) => column),
    right: terms.map(({ others }) => place(others)),
    signs: terms.map(({ sign }) => sign),
    terms: count,
  };
}

/** The cofactors of row `row`, from the minors of the rows before and after it. */
function joining(side: number, row: number): Products {
  const [before, behind] = [columnSets(side, row), columnSets(side, side - row - 1)];
  const place = places(behind);
  const terms = Array.from({ length: side }, (_, column) =>
    before.flatMap((set, at) => {
      if (set.includes(column)) return [];
      const rest = Array.from({ length: side }, (_, k) => k).filter((k) => k !== column && !set.includes(k));
      return [{ left: at, right: place(rest), sign: parity([...set, column, ...rest]) }];
    }),
  );
  const all = terms.flat();
  return {
    left: all.map(({ left }) => left),
    right: all.map(({ right }) => right),
    signs: all.map(({ sign }) => sign),
    terms: all.length / side,
  };
}

/** Along the last axis, `[..., results]`. */
function sumProducts(build: Build, left: Value, right: Value, { signs, terms, ...at }: Products): Value {
  const axis = left.shape.length - 1;
  const [a, b] = [build.gather(left, build.ints(at.left), axis), build.gather(right, build.ints(at.right), axis)];
  const products = build.mul(build.mul(a, b), build.floats(signs, [signs.length], left));
  const split = build.reshape(products, [...left.shape.slice(0, -1), signs.length / terms, terms]);
  return build.sum(split, [axis + 1]);
}

/** `[..., side, side]`: the derivative of each determinant by each element of its matrix. */
export function cofactors(build: Build, matrices: Value, side: number): Value {
  const axis = matrices.shape.length - 2;
  const row = (at: number) => build.gather(matrices, build.ints([at], []), axis);
  const one = build.expand(build.filled(1, [1], matrices.dtype), [...matrices.shape.slice(0, axis), 1]);
  // minors[k]: those of the first k rows, or of the last k, for all sets of k columns.
  const minors = (downwards: boolean) => {
    const found = [one];
    for (let count = 1; count < side; count++) {
      const next = row(downwards ? count - 1 : side - count);
      const rest = nth(found, count - 1);
      found.push(count === 1 ? next : sumProducts(build, next, rest, expansion(side, count, downwards)));
    }
    return found;
  };
  const [above, below] = [minors(true), minors(false)];
  const rows = Array.from({ length: side }, (_, at) => {
    const [before, behind] = [nth(above, at), nth(below, side - at - 1)];
    return build.unsqueeze(sumProducts(build, before, behind, joining(side, at)), [axis]);
  });
  return build.concat(rows, axis);
}
