/**
 * Inner products, sample by sample, of the gradients from two uses of one parameter: the cross terms of the norm of a
 * parameter that is used several times.
 */

import { fixedSize } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { leadingOf, nth, present } from "../present.js";
import { addCosts, type Factored, type Method, sizeOfGradient, sumPerSample } from "./factored.js";
import { firstOf, kind, pair } from "./kinds.js";
import { Outer } from "./outer.js";
import { RowsGradient, rowProducts } from "./rows.js";

/** The methods for the inner products, `[N]`; at least one. */
export function innerProducts(a: Factored, b: Factored): Method[] {
  return [...(factored(a, b) ?? []), ...(halfDense(a, b) ?? []), ...(halfDense(b, a) ?? []), dense(a, b)];
}

function dense(a: Factored, b: Factored): Method {
  const own = { operations: 0, floats: 2 * sizeOfGradient(a) };
  return {
    name: "materialise",
    ...addCosts([a.materialisation, b.materialisation, own]),
    dense: true,
    emit: (build) => sumPerSample(build, build.mul(a.materialise(build), b.materialise(build))),
  };
}

const factored = firstOf([
  pair(Outer, Outer, outerOuter),
  pair(RowsGradient, Outer, rowsOuter),
  pair(Outer, RowsGradient, (a, b) => rowsOuter(b, a)),
  pair(RowsGradient, RowsGradient, rowsRows),
]);

/** One gradient is materialised and contracted with the factors of the other. */
const halfDense = firstOf([kind(RowsGradient, pickedRows), kind(Outer, contractedWith)]);

/**
 * The factor (0 or 1) of the second gradient that spans the axes of the first one's raw axis 0; null if neither does.
 */
function matching(a: Outer | RowsGradient, b: Outer): 0 | 1 | null {
  if (b.blocked || a.blocked) return null;
  const [left, right] = [a.viewed.sides, b.viewed.sides];
  if (!left || !right) return null;
  // If the first spans only axes of size 1, the other one decides.
  for (const side of [0, 1] as const) {
    if (left.every((own, axis) => own === -1 || own === (side === 0 ? right[axis] : 1 - nth(right, axis)))) return side;
  }
  return null;
}

/**
 * Each factor of the first paired with the factor of the second that spans the same axes, ordered alike; null if their
 * factors do not correspond.
 */
export function alignedFactors(a: Outer, b: Outer): ((build: Build) => [Value, Value][]) | null {
  if (a.viewed.equals(b.viewed)) {
    return () => [
      [a.rows, b.rows],
      [a.columns, b.columns],
    ];
  }
  const side = matching(a, b);
  if (side === null) return null;
  return (build) => {
    const own = leadingOf(
      [a.rows, a.columns].map((factor, raw) => a.viewed.ordered(build, factor, raw)),
      2,
    );
    const other = leadingOf(
      [b.rows, b.columns].map((factor, raw) => b.viewed.ordered(build, factor, raw)),
      2,
    );
    return own.map((factor, raw) => [factor, nth(other, side === 0 ? raw : 1 - raw)]);
  };
}

/** Products of rows with rows, of columns with columns, for each pair of positions. */
function outerOuter(a: Outer, b: Outer): Method[] {
  const factors = alignedFactors(a, b);
  if (!factors) return [];
  const pairs = a.positions * b.positions;
  const width = (a.held / a.positions) | 0;
  return [
    {
      name: "Gram",
      operations: pairs * width,
      floats: 3 * pairs,
      dense: false,
      emit: (build) => {
        const [first, second] = factors(build).map(([x, y]) => build.matmul(x, build.transposeLast(y)));
        return sumPerSample(build, build.mul(present(first), present(second)));
      },
    },
  ];
}

/**
 * The factor along the table's rows, the factor along its columns, and the cotangents, ordered alike; null if there is
 * no such factor.
 */
export function alignedRows(
  rows: RowsGradient,
  outer: Outer,
): ((build: Build) => { readonly table: Value; readonly other: Value; readonly cotangents: Value }) | null {
  const side = matching(rows, outer);
  if (side === null || !rows.viewed.inOrder(0)) return null;
  return (build) => {
    const ordered = (raw: 0 | 1) => outer.viewed.ordered(build, raw === 0 ? outer.rows : outer.columns, raw);
    const [table, other] = side === 0 ? [ordered(0), ordered(1)] : [ordered(1), ordered(0)];
    return { table, other, cotangents: rows.viewed.ordered(build, rows.cotangents, 1) };
  };
}

/**
 * The sum over t, s of A[n, s, places_t] times (cotangents_t . B[n, s]), where A is the factor along the table's rows.
 */
function rowsOuter(rows: RowsGradient, outer: Outer): Method[] {
  const factors = alignedRows(rows, outer);
  if (!factors) return [];
  const [t, s] = [rows.positions, outer.positions];
  const size = fixedSize(rows.viewed.raw, 1);
  return [
    {
      name: "Gram",
      operations: t * s * size,
      floats: 5 * t * s,
      dense: false,
      emit: (build) => {
        const { table, other, cotangents } = factors(build);
        const products = build.matmul(other, build.transposeLast(cotangents));
        const index = build.expand(build.unsqueeze(rows.places, [1]), products.shape);
        return sumPerSample(build, build.mul(build.op("GatherElements", [table, index], { axis: 2 }), products));
      },
    },
  ];
}

function rowsRows(a: RowsGradient, b: RowsGradient): Method[] {
  if (!a.viewed.equals(b.viewed)) return [];
  const pairs = a.positions * b.positions;
  return [
    {
      name: "Gram",
      operations: pairs * fixedSize(a.viewed.raw, 1),
      floats: 4 * pairs,
      dense: false,
      emit: (build) => rowProducts(build, a, b),
    },
  ];
}

/** The other gradient, materialised, is multiplied by the rows, and the result by the columns. */
function contractedWith(a: Outer, b: Factored): Method[] {
  const size = sizeOfGradient(a);
  const own = { operations: size * a.positions, floats: a.held + (a.viewed.moves ? 2 * size : 0) };
  return [
    {
      name: "contract",
      ...addCosts([b.materialisation, own]),
      dense: true,
      emit: (build) => {
        const whole = a.viewed.undo(build, b.materialise(build));
        return sumPerSample(build, build.mul(build.matmul(a.rows, whole), a.columns));
      },
    },
  ];
}

/** Picks rows of the other gradient and multiplies them with the cotangents that they receive. */
function pickedRows(a: RowsGradient, b: Factored): Method[] {
  if (a.positions === 0) return [];
  const own = { operations: 0, floats: 4 * a.held + (a.viewed.moves ? 2 * sizeOfGradient(a) : 0) };
  return [
    {
      name: "pick rows",
      ...addCosts([b.materialisation, own]),
      dense: true,
      emit: (build) => {
        const whole = a.viewed.undo(build, b.materialise(build));
        const index = build.expand(build.unsqueeze(a.places, [2]), a.cotangents.shape);
        return sumPerSample(build, build.mul(build.op("GatherElements", [whole, index], { axis: 1 }), a.cotangents));
      },
    },
  ];
}
