/**
 * Random signs. A parameter is seen as a matrix G, its first axis by all others, and projected to the k-th number by
 * the sum of rows[r, k] G[r, c] columns[c, k], so that no matrix over all its elements is needed.
 */

import { elementsOf, factorOf, type Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { present } from "../present.js";
import { type Random, random } from "../tensor/random.js";
import type { AxisPiece, Separation } from "./separate.js";

/** `[size, dims]`, of 1 and -1. */
export interface SignMatrix {
  readonly size: number;
  readonly data: Int8Array;
}

export interface Signs {
  readonly dims: number;
  readonly rows: SignMatrix;
  readonly columns: SignMatrix;
}

/** Draws the same for equal seeds, names and shapes, on any machine. */
export function drawSigns(seed: number, name: string, shape: Shape, dims: number): Signs {
  const source = random(hashOf(`${seed} ${name}`));
  const draw = (size: number) => ({ size, data: signsFrom(source, size * dims) });
  const [rows, columns] = matrixOf(shape).map(draw);
  return { dims, rows: present(rows), columns: present(columns) };
}

/** The numbers of rows and columns of a parameter as a matrix. */
export function matrixOf(shape: Shape): readonly [number, number] {
  const size = (part: Shape) => factorOf(elementsOf(part) ?? Number.NaN);
  return [size(shape.slice(0, 1)), size(shape.slice(1))];
}

/** The number of signs taken from each random number, from its leading bits. */
const bitsTaken = 24;

export function signsFrom(source: Random, count: number): Int8Array {
  const signs = new Int8Array(count);
  for (let start = 0; start < count; start += bitsTaken) {
    const bits = source.uniform(0, 2 ** bitsTaken);
    const end = Math.min(start + bitsTaken, count);
    for (let k = start; k < end; k++) signs[k] = (bits >> (k - start)) & 1 ? 1 : -1;
  }
  return signs;
}

/** FNV-1a of the text's UTF-16 units: makes seeds from names. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** As a value of `like`'s dtype: `[...leading, dims]`. */
export function signsValue(
  build: Build,
  matrix: SignMatrix,
  leading: readonly number[],
  dims: number,
  like: Value,
): Value {
  return build.cast(signBytes(build, matrix, leading, dims), like.dtype);
}

/** The same in 8 bits: if only some rows are picked, only these need become floats. */
export function signBytes(build: Build, { data }: SignMatrix, leading: readonly number[], dims: number): Value {
  return build.constant({ dtype: "int8", dims: [...leading, dims], data });
}

/** The rows of a matrix with these indices. */
export function pickSigns(matrix: SignMatrix, at: readonly number[], dims: number): SignMatrix {
  const { size, data } = matrix;
  if (at.length === size && at.every((row, k) => row === k)) return matrix;
  const picked = new Int8Array(at.length * dims);
  at.forEach((row, k) => {
    picked.set(data.subarray(row * dims, (row + 1) * dims), k * dims);
  });
  return { size: at.length, data: picked };
}

/** For each place along a raw axis, its contribution to the row and to the column of the parameter as a matrix. */
export interface Coordinates {
  readonly rows: readonly number[];
  readonly columns: readonly number[];
}

/** The coordinates along each raw axis. */
export function coordinatesOf({ raw, axes }: Separation): Coordinates[] {
  const rows = stridesOf(axes.slice(0, 1).flat());
  const columns = stridesOf(axes.slice(1).flat());
  const along = (pieces: readonly AxisPiece[], strides: ReadonlyMap<AxisPiece, number>) =>
    pieces.reduce<readonly number[]>(
      (places, piece) =>
        places.flatMap((place) =>
          Array.from({ length: piece.size }, (_, digit) => place + digit * (strides.get(piece) ?? 0)),
        ),
      [0],
    );
  return raw.map((pieces) => ({ rows: along(pieces, rows), columns: along(pieces, columns) }));
}

/** Strides in row-major order. */
function stridesOf(pieces: readonly AxisPiece[]): ReadonlyMap<AxisPiece, number> {
  const strides = new Map<AxisPiece, number>();
  let stride = 1;
  for (const piece of [...pieces].reverse()) {
    strides.set(piece, stride);
    stride *= piece.size;
  }
  return strides;
}
