/** Indices that are the places of a mask: which of its axes each column of them counts along. */

import type { PergradError } from "../../../errors.js";
import { bindShape, type Dim, elementsOf, factorOf, isBatch, type Shape, sameDim } from "../../../graph/dim.js";
import type { Value } from "../../../graph/value.js";
import { leavesOf } from "../../../graph/walk.js";
import { evaluateGraph } from "../../../interpret/evaluate.js";
import type { Build } from "../../../ops/build.js";
import type { Call } from "../../../ops/call.js";
import { part, unsupported } from "../../../ops/checks.js";
import { nth } from "../../../present.js";
import type { Mask, Places } from "./mask.js";

/** Places of a mask along some axes of its grid: those of the condition, and of a block that it decides on. */
export interface Grid {
  readonly places: Places;
  /** The axes of the grid that the indices count along, in the order of the data's axes. */
  readonly axes: readonly number[];
  /** Whether one index counts along all of them, through data whose axes are joined to one. */
  readonly joined: boolean;
  /** The sizes of the grid. */
  readonly sizes: readonly Dim[];
  /** N times the elements of a block. */
  readonly count: Dim;
}

/** The axes of data that are not indexed. */
export const restOf = ({ axes, joined }: Grid, shape: Shape): Shape => shape.slice(joined ? 1 : axes.length);

/** With these samples columns are told apart. */
const samples = 3;

/** The numbers in the columns of an index: `[place][column]`, and those of the places: `[axis][place]`. */
interface Drawn {
  readonly columns: readonly Float64Array[];
  readonly axes: readonly Float64Array[];
}

/**
 * The grid of indices that a node reads; null if they are not the places of the mask alone. What became of the places
 * is found out by computing it from numbers that have nothing to do with each other.
 */
export function gridOf(call: Call, indices: Value, mask: Mask): Grid | null {
  const leaves = leavesOf([indices]).filter(({ source }) => source.kind === "input" || source.kind === "parameter");
  const places = mask.placesIn(new Set(leaves));
  const [, count] = places?.value.shape ?? [];
  const drawn = places && leaves.length === 1 ? draw(places.value, indices) : null;
  if (!places || !drawn || count === undefined) return null;
  const sizes = [...mask.condition.shape, ...places.block];
  const grid = { places, sizes, count };
  const axes = drawn.columns.map((column) => drawn.axes.findIndex((axis) => equal(axis, column)));
  if (call.op === "GatherND" || call.op === "ScatterND") {
    const each = indices.shape.length === 2 && new Set(axes).size === axes.length && !axes.includes(-1);
    if (each) return { ...grid, axes, joined: false };
    return indices.shape.length === 2 && axes.length === 1 ? inOneColumn(grid, drawn) : null;
  }
  if (call.op === "Gather" && indices.shape.length !== 1) return null;
  const [first = -1] = axes;
  if (first >= 0) return axes.every((axis) => axis === first) ? { ...grid, axes: [first], joined: false } : null;
  return inOneColumn(grid, drawn);
}

function draw(places: Value, indices: Value): Drawn | null {
  const [axisCount = 0, count = 0] = places.shape;
  const [rows, width] = [factorOf(axisCount), samples * factorOf(count)];
  const data = Float64Array.from({ length: rows * width }, (_, k) => (7919 * (k + 1) ** 2) % 1_000_003);
  const [found] = evaluateGraph([indices], new Map([[places, { dims: [rows, width], data }]]), samples);
  if (!found || found.dims[0] !== width) return null;
  const perPlace = found.data.length / width;
  return {
    columns: Array.from({ length: perPlace }, (_, k) => found.data.filter((_, at) => at % perPlace === k)),
    axes: Array.from({ length: rows }, (_, row) => data.subarray(row * width, (row + 1) * width)),
  };
}

const equal = (a: Float64Array, b: Float64Array): boolean => a.every((x, at) => x === b[at]);

/** One index that counts through several axes, the last fastest: `i * T + j`. */
function inOneColumn(grid: Omit<Grid, "axes" | "joined">, { columns, axes }: Drawn): Grid | null {
  const [column] = columns;
  if (!column || !columns.every((each) => equal(each, column))) return null;
  const sizes = bindShape(grid.sizes, samples);
  const found = orders(axes.length).find((order) => {
    const counted = column.map((_, at) =>
      order.reduce((sum, axis) => sum * nth(sizes, axis) + (axes[axis]?.[at] ?? 0), 0),
    );
    return equal(counted, column);
  });
  return found ? { ...grid, axes: found, joined: true } : null;
}

/** More axes are not tried. */
const mostAxes = 4;

/** Two or more of so many axes, in every order. */
function orders(count: number): number[][] {
  if (count > mostAxes) return [];
  const all = Array.from({ length: count }, (_, axis) => axis);
  const longer = (order: number[]): number[][] =>
    all.filter((axis) => !order.includes(axis)).flatMap((axis) => [[...order, axis], ...longer([...order, axis])]);
  return longer([]).filter((order) => order.length > 1);
}

/**
 * What the indices of a node read at every place of the grid: `[...sizes, ...rest]` from data whose first axes are the
 * indexed ones.
 */
export function spread(build: Build, call: Call, grid: Grid, indexed: Value): Value {
  const { axes, sizes } = grid;
  const data = grid.joined ? split(build, call, grid, indexed) : indexed;
  const fitted = axes.reduce((cut, axis, k) => fit(build, call, cut, k, nth(sizes, axis)), data);
  const rest = fitted.shape.slice(axes.length);
  const order = axes.map((_, k) => k).sort((a, b) => nth(axes, a) - nth(axes, b));
  const sorted = build.transpose(fitted, [...order, ...rest.map((_, k) => axes.length + k)]);
  const aligned = build.reshape(sorted, [...sizes.map((size, axis) => (axes.includes(axis) ? size : 1)), ...rest]);
  return build.expand(aligned, [...sizes, ...rest]);
}

/** Splits the first axis of data, which one index counts through. */
function split(build: Build, call: Call, { axes, sizes }: Grid, data: Value): Value {
  const apart = axes.map((axis) => nth(sizes, axis));
  const all = elementsOf(apart);
  if (all === undefined || !sameDim(nth(data.shape, 0), all)) throw otherSize(call);
  return build.reshape(data, [...apart, ...data.shape.slice(1)]);
}

function otherSize(call: Call): PergradError {
  return unsupported(part(call, "input 0"), "has another size than the mask whose places index it");
}

/** A table may have more rows than the mask has places. */
function fit(build: Build, call: Call, data: Value, axis: number, size: Dim): Value {
  const own = nth(data.shape, axis);
  if (sameDim(own, size)) return data;
  if (!isBatch(own) && !isBatch(size) && own > size) return build.slice(data, axis, 0, size);
  throw otherSize(call);
}

/** Updates for every place of a grid, `[...sizes, ...rest]`. */
export interface Updates {
  readonly all: Value;
  /** Where they count, with axes of size 1 for those of `rest`. */
  readonly condition: Value;
  readonly reduction: string;
}

/** The data, whose first axes are the indexed ones, with updates where the condition holds. */
export function withUpdates(build: Build, call: Call, grid: Grid, data: Value, updates: Updates): Value {
  if (!grid.joined) return updated(build, call, grid, data, updates);
  return build.reshape(updated(build, call, grid, split(build, call, grid, data), updates), data.shape);
}

function updated(build: Build, call: Call, { axes, sizes }: Grid, data: Value, updates: Updates): Value {
  const { all, condition, reduction } = updates;
  if (!axes.every((axis, k) => sameDim(nth(data.shape, k), nth(sizes, axis)))) throw otherSize(call);
  const missing = sizes.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const place = (value: Value) => {
    const kept = axes.map((axis) => axis - missing.filter((each) => each < axis).length);
    const rest = value.shape.slice(axes.length).map((_, k) => axes.length + k);
    return build.transpose(value, [...kept, ...rest]);
  };
  if (reduction === "add") return build.add(data, place(build.sum(build.mask(condition, all), missing)));
  if (missing.length > 0)
    throw unsupported(call, "puts several of the elements that a mask picks in one place", "add them up");
  const [placed, holds] = [place(all), place(condition)];
  if (reduction === "none") return build.where(holds, placed, data);
  const op = reduction === "mul" ? "Mul" : reduction === "max" ? "Max" : "Min";
  return build.where(holds, build.op(op, [data, placed]), data);
}
