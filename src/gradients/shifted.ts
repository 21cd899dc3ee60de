/**
 * Projections of one parameter's gradients by random signs and shifts, `[N, dims]`, from their factors if that is
 * cheaper.
 */

import { factorOf, fixedSize, greatestCommonDivisor, multiply } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { leadingOf, nth, present } from "../present.js";
import {
  addCosts,
  type Cost,
  cheapest,
  costOfScatter,
  type Factored,
  type Method,
  sizeOfGradient,
  termByTerm,
} from "./factored.js";
import { firstOf, kind } from "./kinds.js";
import { Outer } from "./outer.js";
import { RowsGradient } from "./rows.js";
import {
  type Fold,
  foldAlong,
  foldOnce,
  placesAlong,
  rotations,
  type ShiftedSide,
  type Shifts,
  widthOf,
} from "./shifts.js";
import { type Coordinates, coordinatesOf } from "./signs.js";
import { Sum } from "./sum.js";
import type { View } from "./view.js";

/** Floats moved for each float that is folded: split off, reordered, and added. */
const movedByFold = 5;
/** Floats moved to compute the place of one element. */
const movedByPlace = 12;

/** Signs of up to this many elements are multiplied at once. */
const mostSigns = 2 ** 16;

/** The number of a product's elements that exist at a time, per sample, and the most parts it is split into. */
const partSize = 2 ** 16;
const mostParts = 16;

/** The methods for the projections, `[N, dims]`; at least one. */
export function shifted(gradient: Factored, shifts: Shifts): Method[] {
  return [...(factored(gradient, shifts) ?? []), dense(gradient, shifts)];
}

const factored = firstOf([kind(Sum, bySum), kind(Outer, outer), kind(RowsGradient, rows)]);

function bySum({ terms }: Sum, shifts: Shifts): Method[] {
  return [termByTerm(terms.map((term) => cheapest(shifted(term, shifts))))];
}

function dense(gradient: Factored, { rows, columns, all, dims }: Shifts): Method {
  const size = sizeOfGradient(gradient);
  const folds = 1 + Number(rows.fold !== null) + Number(columns.fold !== null);
  const own: Cost = { operations: 0, floats: (2 + folds * movedByFold) * size };
  return {
    name: "materialise",
    ...addCosts([gradient.materialisation, own]),
    dense: true,
    emit: (build) => {
      const whole = gradient.materialise(build);
      const [samples] = leadingOf(whole.shape, 1);
      if (size === 0) return build.zeros([samples, dims], whole.dtype);
      const matrix = build.reshape(whole, [samples, rows.size, columns.size]);
      const lines = sideFolded(build, sideFolded(build, signed(build, matrix, rows, columns), 1, rows), 2, columns);
      return foldAlong(build, build.reshape(lines, [samples, all.size]), 1, all);
    },
  };
}

/** The matrix times the signs of its rows and of its columns. */
function signed(build: Build, matrix: Value, rows: ShiftedSide, columns: ShiftedSide): Value {
  const [height, width] = [rows.size, columns.size];
  if (height * width > mostSigns) {
    const byRow = build.mul(matrix, build.floats(rows.signs, [height, 1], matrix));
    return build.mul(byRow, build.floats(columns.signs, [width], matrix));
  }
  const signs = Float64Array.from(
    { length: height * width },
    (_, i) => (rows.signs[Math.floor(i / width)] ?? 0) * (columns.signs[i % width] ?? 0),
  );
  return build.mul(matrix, build.floats(signs, [height, width], matrix));
}

function sideFolded(build: Build, value: Value, axis: number, { fold }: ShiftedSide): Value {
  return fold ? foldAlong(build, value, axis, fold) : value;
}

/** The factors that hold the parameter's rows and columns, in whatever order; null if some factor holds parts of both. */
function sidesOf(view: View): { readonly rows: 0 | 1; readonly columns: 0 | 1 } | null {
  const parts = view.separation;
  if (parts?.raw.length !== 2) return null;
  const [first, second] = leadingOf(coordinatesOf(parts), 2);
  if (isAlong(first, "rows") && isAlong(second, "columns")) return { rows: 0, columns: 1 };
  return isAlong(first, "columns") && isAlong(second, "rows") ? { rows: 1, columns: 0 } : null;
}

/** Whether a factor's places make up the parameter's rows, or columns, and nothing else. */
function isAlong(at: Coordinates, along: keyof Coordinates): boolean {
  const across = along === "rows" ? at.columns : at.rows;
  return new Set(at[along]).size === at[along].length && across.every((place) => place === 0);
}

/** The product of the factors, each folded first: nothing is larger than `dims` by `dims`. */
function outer(gradient: Outer, { rows, columns, all }: Shifts): Method[] {
  const sides = gradient.blocked ? null : sidesOf(gradient.viewed);
  if (!sides || sizeOfGradient(gradient) === 0 || gradient.positions === 0) return [];
  const { positions } = gradient;
  const moved = (number: 0 | 1, { fold }: ShiftedSide) =>
    1 + (fold ? movedByFold : 0) + (gradient.viewed.inOrder(number) ? 0 : 2);
  const held = positions * (rows.size * moved(sides.rows, rows) + columns.size * moved(sides.columns, columns));
  const ordered = positions === 1 ? 0 : 2 * positions * (widthOf(rows) + widthOf(columns));
  const { factors, viewed } = gradient;
  const folded = (build: Build): readonly [Value, Value] => {
    const side = (number: 0 | 1, own: ShiftedSide) => {
      const lines = viewed.ordered(build, factors[number], number);
      return sideFolded(build, signedLines(build, lines, own), 2, own);
    };
    return [side(sides.rows, rows), side(sides.columns, columns)];
  };
  return [
    ...whileMultiplied(all, widthOf(columns)).map(({ emit, ...own }) => ({
      name: "project factors",
      operations: positions * own.operations,
      floats: held + positions * own.floats + all.dims,
      dense: false,
      emit: (build: Build) => emit(build, ...folded(build)),
    })),
    {
      name: "project factors",
      operations: all.size * positions,
      floats: held + ordered + (1 + movedByFold) * all.size,
      dense: false,
      emit: (build) => productFolded(build, ...folded(build), all),
    },
  ];
}

/** The cost of a product of factors per position, and how it is emitted. */
interface FoldedProduct extends Cost {
  emit(build: Build, left: Value, right: Value): Value;
}

/**
 * Folds the product while it is multiplied, if a run consists of whole rows. A rotated run is the product of some rows
 * of the left factor with the shifted right factor, plus that of the rows after them with the part that was shifted
 * beyond the end. The sum over some runs is one product over twice as many positions as there are runs, and no tensor
 * larger than `dims`, or than the lines of these runs, arises.
 */
function whileMultiplied(all: Fold, width: number): FoldedProduct[] {
  const turned = rotations(all);
  const { dims } = all;
  if (width === 0 || dims % width !== 0 || turned.length === 1) return [];
  const height = dims / width;
  const lines = 2 * turned.length * (height + width);
  return [
    {
      operations: 2 * turned.length * dims,
      floats: 2 * lines,
      emit: (build, left, right) => {
        const missing = turned.length * height - fixedSize(left.shape, 2);
        const filled = missing === 0 ? left : build.pad(left, [0, 0, 0], [0, 0, missing]);
        const parts = partsOfRuns(turned.length, 2 * width * factorOf(nth(right.shape, 1)));
        return parts
          .map(([from, to]) => runsFolded(build, { filled, right }, turned, { height, width }, [from, to]))
          .reduce((sum, part) => build.add(sum, part));
      },
    },
  ];
}

/** Runs from the first of each pair to the second (not included), so that a part's lines are few. */
function partsOfRuns(runs: number, elements: number): (readonly [from: number, to: number])[] {
  const parts = Math.min(mostParts, runs, Math.ceil((runs * elements) / partSize));
  return Array.from({ length: parts }, (_, k) => [
    Math.floor((k * runs) / parts),
    Math.floor(((k + 1) * runs) / parts),
  ]);
}

/** The sum of some of the rotated runs, `[N, height * width]`. */
function runsFolded(
  build: Build,
  { filled, right }: { readonly filled: Value; readonly right: Value },
  turned: readonly number[],
  { height, width }: { readonly height: number; readonly width: number },
  [from, to]: readonly [from: number, to: number],
): Value {
  const [samples, positions] = leadingOf(right.shape, 2);
  const inner = present(multiply(positions, 2 * (to - from)));
  const picked = build.gather(filled, build.ints(rowsTurned(turned, height, width, [from, to])), 2);
  const shiftedLines = shiftedBy(
    build,
    right,
    turned.slice(from, to).map((rotation) => rotation % width),
  );
  const a = build.reshape(picked, [samples, inner, height]);
  const b = build.reshape(shiftedLines, [samples, inner, width]);
  return build.reshape(build.matmul(build.transposeLast(a), b), [samples, height * width]);
}

/**
 * For each of some runs, and for both parts (shifted within a row, and into the next): the factor's row that stands in
 * each row of `dims`.
 */
function rowsTurned(
  turned: readonly number[],
  height: number,
  width: number,
  [from, to]: readonly [from: number, to: number],
): number[] {
  return turned.slice(from, to).flatMap((rotation, k) =>
    [0, 1].flatMap((next) =>
      Array.from({ length: height }, (_, row) => {
        const before = row - Math.floor(rotation / width) - next;
        return (from + k) * height + (((before % height) + height) % height);
      }),
    ),
  );
}

/** For each shift, a line of twice the length along the last axis: the original, moved by the shift, between zeros. */
function shiftedBy(build: Build, lines: Value, shifts: readonly number[]): Value {
  const [samples, positions] = leadingOf(lines.shape, 2);
  const width = fixedSize(lines.shape, 2);
  const zeros = (length: number) => (length === 0 ? [] : [build.zeros([samples, positions, length], lines.dtype)]);
  const parts = shifts.flatMap((shift, k) => {
    const before = k === 0 ? shift : width - nth(shifts, k - 1) + shift;
    return [...zeros(before), lines];
  });
  return build.concat([...parts, ...zeros(width - nth(shifts, shifts.length - 1))], 2);
}

/** The product of factors `[N, T, R]` and `[N, T, C]`, folded a few rows at a time: it never exists as a whole. */
function productFolded(build: Build, left: Value, right: Value, { size, dims, levels }: Fold): Value {
  const [samples] = leadingOf(left.shape, 1);
  const [height, width] = [fixedSize(left.shape, 2), fixedSize(right.shape, 2)];
  const [offsets, ...others] = leadingOf(levels, 1);
  const step = rowsOfPart(dims * offsets.length, size, width);
  const parts = Array.from({ length: Math.ceil(height / step) }, (_, k) => {
    const [from, to] = [k * step, Math.min(height, (k + 1) * step)];
    const lines = step >= height ? left : build.slice(left, 2, from, to);
    const product = build.matmul(build.transposeLast(lines), right);
    return foldOnce(build, build.reshape(product, [samples, (to - from) * width]), 1, dims, offsets);
  });
  return foldAlong(build, build.concat(parts, 1), 1, { dims, levels: others });
}

/** The number of rows in a part, such that each part but the last consists of whole groups of runs. */
function rowsOfPart(group: number, size: number, width: number): number {
  const least = group / greatestCommonDivisor(group, width);
  const wanted = Math.max(partSize, size / mostParts) / width;
  return least * Math.max(1, Math.round(wanted / least));
}

/** A factor times the signs along its last axis. */
function signedLines(build: Build, factor: Value, { size, signs }: ShiftedSide): Value {
  return build.mul(factor, build.floats(signs, [size], factor));
}

/** Adds each element of the picked rows' cotangents to its place. */
function rows(gradient: RowsGradient, shifts: Shifts): Method[] {
  const sides = sidesOf(gradient.viewed);
  const inOrder = gradient.viewed.inOrder(0) && gradient.viewed.inOrder(1);
  if (sides?.rows !== 0 || !inOrder || sizeOfGradient(gradient) === 0 || gradient.positions === 0) return [];
  const { positions, held } = gradient;
  const { rows: table, columns, dims } = shifts;
  const [along, folded] = [positions * widthOf(columns), columns.fold ? movedByFold : 0];
  return [
    {
      name: "project factors",
      operations: 0,
      floats: (2 + folded) * held + (movedByPlace + costOfScatter) * along,
      dense: false,
      emit: (build) => {
        const { places, cotangents } = gradient;
        const signsOfRows = build.constant({ dtype: "int8", dims: [table.size], data: table.signs });
        const signs = build.cast(build.gather(signsOfRows, places, 0), cotangents.dtype);
        const received = build.mul(signedLines(build, cotangents, columns), build.unsqueeze(signs, [2]));
        const lines = sideFolded(build, received, 2, columns);
        return scattered(build, elementPlaces(build, places, shifts), lines, dims);
      },
    },
  ];
}

/** The most positions whose elements are added one after another, in float32. */
const mostInARow = 128;

/** Elements `[N, T, R]` added to their places among `dims`: `[N, dims]`. */
function scattered(build: Build, places: Value, elements: Value, dims: number): Value {
  const [samples, positions, width] = leadingOf(elements.shape, 3);
  const tables = Math.ceil(factorOf(positions) / mostInARow);
  const missing = tables === 1 ? 0 : tables * mostInARow - factorOf(positions);
  const lines = present(multiply(samples, tables));
  const apart = (value: Value) =>
    build.reshape(build.pad(value, [0, 0, 0], [0, missing, 0]), [
      lines,
      ((factorOf(positions) + missing) / tables) * factorOf(width),
    ]);
  const zeros = build.zeros([lines, dims], elements.dtype);
  const sums = build.op("ScatterElements", [zeros, apart(places), apart(elements)], { axis: 1, reduction: "add" });
  return build.sum(build.reshape(sums, [samples, tables, dims]), [1]);
}

/** Which of the `dims` numbers each element of the picked rows is added to: `[N, T, columns]`, int64. */
function elementPlaces(build: Build, places: Value, { rows, columns, all, dims }: Shifts): Value {
  const width = widthOf(columns);
  const row = [...placesAlong(rows)];
  const turned = rotations(all);
  const across = build.ints([...Array(width).keys()]);
  const picked = (starts: readonly number[]) => build.unsqueeze(build.gather(build.ints(starts), places, 0), [2]);
  const modulo = build.ints([dims], []);
  // If each row lies within one run, rows are rotated as a whole.
  if (dims % width === 0) {
    const starts = row.map((r) => (r * width + nth(turned, Math.floor((r * width) / dims))) % dims);
    return build.op("Mod", [build.add(picked(starts), across), modulo]);
  }
  const elements = build.add(picked(row.map((r) => r * width)), across);
  const rotation = build.gather(build.ints(turned), build.div(elements, modulo), 0);
  return build.op("Mod", [build.add(elements, rotation), modulo]);
}
