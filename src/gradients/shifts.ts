/**
 * Random signs and shifts. A parameter is seen as a matrix (its first axis by all others), and each element is added
 * with a random sign to one of the numbers of a projection. Runs of `dims` elements are folded onto one another, each
 * rotated at random, so that two elements of one run never meet, and two of different runs meet with probability 1 /
 * dims. This is a count sketch (Charikar, Chen and Farach-Colton 2002) whose elements move together.
 */

import { factorOf, type Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { nth, present } from "../present.js";
import { type Random, random } from "../tensor/random.js";
import { hashOf, matrixOf, signsFrom } from "./signs.js";

/** The most offsets of a level. A run's rotation is a sum of offsets, one for each digit of its number. */
const mostOffsets = 16;

/** Folds a line of `size` elements onto `dims` places. */
export interface Fold {
  readonly size: number;
  readonly dims: number;
  /**
   * For each digit of a run's number, from the last to the first: the offsets by which the digit's values rotate a run.
   */
  readonly levels: readonly (readonly number[])[];
}

/** One side of the matrix. */
export interface ShiftedSide {
  readonly size: number;
  /** 1 or -1 for each element, `[size]`. */
  readonly signs: Int8Array;
  /** The fold of a side that has more than `dims` elements, applied first; null for a shorter side. */
  readonly fold: Fold | null;
}

export interface Shifts {
  readonly dims: number;
  readonly rows: ShiftedSide;
  readonly columns: ShiftedSide;
  /** The fold of the matrix's elements in row-major order, after those of the sides. */
  readonly all: Fold;
}

/** Draws the same for equal seeds, names and shapes, on any machine. */
export function drawShifts(seed: number, name: string, shape: Shape, dims: number): Shifts {
  const source = random(hashOf(`shifts ${seed} ${name}`));
  const [rows, columns] = matrixOf(shape).map((size) => ({ size, signs: signsFrom(source, size) }));
  const folded = (side: Omit<ShiftedSide, "fold"> | undefined): ShiftedSide => {
    const own = present(side);
    return { ...own, fold: own.size > dims ? drawFold(source, own.size, dims) : null };
  };
  const sides = { rows: folded(rows), columns: folded(columns) };
  return { dims, ...sides, all: drawFold(source, widthOf(sides.rows) * widthOf(sides.columns), dims) };
}

/** The number of elements of a side after its own fold. */
export function widthOf({ size, fold }: ShiftedSide): number {
  return fold?.dims ?? size;
}

function drawFold(source: Random, size: number, dims: number): Fold {
  const levels: number[][] = [];
  let runs = Math.max(1, Math.ceil(size / dims));
  do {
    const values = valuesFor(runs);
    levels.push(Array.from({ length: values }, () => Math.floor(source.uniform(0, dims))));
    runs = Math.ceil(runs / values);
  } while (runs > 1);
  return { size, dims, levels };
}

/** The number of values of a digit: of 9 to 16, the one that needs the least padding. */
function valuesFor(runs: number): number {
  if (runs <= mostOffsets) return runs;
  const counts = Array.from({ length: mostOffsets / 2 }, (_, k) => mostOffsets - k);
  const filled = (count: number) => Math.ceil(runs / count) * count;
  return counts.reduce((best, count) => (filled(count) < filled(best) ? count : best));
}

/** How far each run is rotated. */
export function rotations({ size, dims, levels }: Fold): number[] {
  return Array.from({ length: Math.ceil(size / dims) }, (_, run) => {
    let [rest, rotation] = [run, 0];
    for (const offsets of levels) {
      rotation += nth(offsets, rest % offsets.length);
      rest = Math.floor(rest / offsets.length);
    }
    return rotation % dims;
  });
}

/** The place of each element. */
function placesOf(fold: Fold): Int32Array {
  const turned = rotations(fold);
  return Int32Array.from({ length: fold.size }, (_, i) => (i + nth(turned, Math.floor(i / fold.dims))) % fold.dims);
}

/** The place of each element of a side after the side's own fold. */
export function placesAlong({ size, fold }: ShiftedSide): Int32Array {
  return fold ? placesOf(fold) : Int32Array.from({ length: size }, (_, i) => i);
}

/** For each element of a parameter, in row-major order: */
export interface PlacedElements {
  /** the index of the number, among `dims`, that it is added to */
  readonly places: Int32Array;
  /** the sign with which it is added */
  readonly signs: Int8Array;
}

export function placedElements({ rows, columns, all }: Shifts): PlacedElements {
  const [down, across, last] = [placesAlong(rows), placesAlong(columns), placesOf(all)];
  const size = rows.size * columns.size;
  const [places, signs] = [new Int32Array(size), new Int8Array(size)];
  for (let i = 0; i < size; i++) {
    const [r, c] = [Math.floor(i / columns.size), i % columns.size];
    places[i] = last[(down[r] ?? 0) * widthOf(columns) + (across[c] ?? 0)] ?? 0;
    signs[i] = (rows.signs[r] ?? 0) * (columns.signs[c] ?? 0);
  }
  return { places, signs };
}

/** Folds a value along an axis, which becomes `dims` long. */
export function foldAlong(build: Build, value: Value, axis: number, { dims, levels }: Omit<Fold, "size">): Value {
  return levels.reduce((line, offsets) => foldOnce(build, line, axis, dims, offsets), value);
}

/** Folds one level: each group of as many runs as there are offsets becomes the sum of its runs, rotated. */
export function foldOnce(build: Build, value: Value, axis: number, dims: number, offsets: readonly number[]): Value {
  const size = factorOf(nth(value.shape, axis));
  const [before, after] = [value.shape.slice(0, axis), value.shape.slice(axis + 1)];
  const width = dims * offsets.length;
  const groups = Math.max(1, Math.ceil(size / width));
  if (offsets.length === 1 && size < dims && size + nth(offsets, 0) <= dims)
    return padAlong(build, value, axis, nth(offsets, 0), dims - size - nth(offsets, 0));
  const filled = padAlong(build, value, axis, 0, groups * width - size);
  const apart = build.reshape(filled, [...before, groups, width, ...after]);
  const turned = build.reshape(rotated(build, apart, axis + 1, dims, offsets), [
    ...before,
    groups,
    offsets.length,
    dims,
    ...after,
  ]);
  return build.reshape(build.sum(turned, [axis + 1]), [...before, groups * dims, ...after]);
}

/** Rotates each run of `dims` elements along an axis by its offset: the end moves before the start. */
function rotated(build: Build, value: Value, axis: number, dims: number, offsets: readonly number[]): Value {
  if (offsets.every((offset) => offset === 0)) return value;
  const sizes = offsets.flatMap((offset) => (offset === 0 ? [dims] : [dims - offset, offset]));
  const parts = [...build.node("Split", [value, build.ints(sizes)], { axis }, sizes.length).outputs];
  const ordered = offsets.flatMap((offset) => {
    const [start, ...end] = parts.splice(0, offset === 0 ? 1 : 2);
    return [...end, present(start)];
  });
  return build.concat(ordered, axis);
}

function padAlong(build: Build, value: Value, axis: number, before: number, after: number): Value {
  const amounts = (amount: number) => value.shape.map((_, k) => (k === axis ? amount : 0));
  return build.pad(value, amounts(before), amounts(after));
}
