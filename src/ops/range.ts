/**
 * The range of a value's elements, as far as the graph shows it, by interval arithmetic. It shows where a derivative is
 * finite for all finite data, which is nearly everywhere, and where it may not be.
 */

import type { Node, Value } from "../graph/value.js";
import { present } from "../present.js";
import { isFloat, type Tensor } from "../tensor/tensor.js";

/** `low` and `high` bound the finite elements; an infinite end means that there is no bound. */
export interface Range {
  readonly low: number;
  readonly high: number;
  /** An element may be 0. */
  readonly zero: boolean;
  /** An element may be infinite, on a side that has no bound. */
  readonly infinite: boolean;
  /** An element may be NaN. */
  readonly nan: boolean;
  /** An element may be near the lowest float, as those of masks are: the sum of two is -infinity. */
  readonly lowest: boolean;
}

/** The range of a node's outputs, from those of its inputs (null: absent); `of` returns that of any value. */
export type RangeRule = (node: Node, inputs: readonly (Range | null)[], of: (value: Value) => Range) => Range;

const [least, most] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
/** The largest float32. */
const largestFloat = 3.4028234663852886e38;
/** Numbers below this count as near the lowest. */
const nearLowest = -largestFloat / 2;

/** Finite numbers from `low` to `high`. */
export function between(low: number, high: number, zero = low <= 0 && high >= 0): Range {
  return { low, high, zero, infinite: false, nan: false, lowest: false };
}

/** Any finite number. */
export const unbounded: Range = between(least, most);
/** Any number, infinities, NaN. */
export const anything: Range = { ...unbounded, infinite: true, nan: true };

export function alwaysFinite(range: Range): boolean {
  return !range.infinite && !range.nan;
}

/** The same, and there are bounds: numbers without any may overflow float32 on the way. */
export function hasBounds(range: Range): boolean {
  return alwaysFinite(range) && magnitude(range).high < most;
}

/** The range after rounding to float32: numbers beyond its largest become infinite. */
function rounded(range: Range): Range {
  const low = range.low < -largestFloat ? least : range.low;
  const high = range.high > largestFloat ? most : range.high;
  const over = (low !== range.low && range.low !== least) || (high !== range.high && range.high !== most);
  const lost = Number.isNaN(low) || Number.isNaN(high);
  return { ...range, low: lost ? least : low, high: lost ? most : high, infinite: range.infinite || over };
}

const below = ({ infinite, low }: Range) => infinite && low === least;
const above = ({ infinite, high }: Range) => infinite && high === most;

export function constantRange({ data, dtype }: Tensor): Range {
  let [low, high, zero, infinite, nan] = [most, least, false, false, false];
  for (const element of data) {
    const x = Number(element);
    if (Number.isNaN(x)) nan = true;
    else {
      low = Math.min(low, x);
      high = Math.max(high, x);
      zero ||= x === 0;
      infinite ||= Math.abs(x) === most;
    }
  }
  if (!isFloat(dtype)) [infinite, nan] = [false, false];
  const lowest = low <= nearLowest && low > least;
  return low > high ? { ...unbounded, nan } : { low, high, zero, infinite, nan, lowest };
}

export function union(a: Range, b: Range): Range {
  return {
    low: Math.min(a.low, b.low),
    high: Math.max(a.high, b.high),
    zero: a.zero || b.zero,
    infinite: a.infinite || b.infinite,
    nan: a.nan || b.nan,
    lowest: a.lowest || b.lowest,
  };
}

export function negative({ low, high, ...rest }: Range): Range {
  return { ...rest, low: -high, high: -low, lowest: false };
}

export function sum(a: Range, b: Range): Range {
  const [low, high] = [a.low + b.low, a.high + b.high];
  return rounded({
    low,
    high,
    zero: a.low >= 0 && b.low >= 0 ? a.zero && b.zero : low <= 0 && high >= 0,
    infinite: a.infinite || b.infinite || (a.lowest && b.lowest),
    lowest: a.lowest || b.lowest,
    nan: a.nan || b.nan || (above(a) && below(b)) || (below(a) && above(b)),
  });
}

export function product(a: Range, b: Range): Range {
  const times = (x: number, y: number) => (x === 0 || y === 0 ? 0 : x * y);
  const ends = [times(a.low, b.low), times(a.low, b.high), times(a.high, b.low), times(a.high, b.high)];
  return rounded({
    low: Math.min(...ends),
    high: Math.max(...ends),
    zero: a.zero || b.zero,
    infinite: a.infinite || b.infinite,
    nan: a.nan || b.nan || (a.infinite && b.zero) || (b.infinite && a.zero),
    // A mask of zeros and ones times the lowest float.
    lowest: a.lowest || b.lowest,
  });
}

/** The range of a value times itself. */
export function squared(x: Range): Range {
  const { low, high } = magnitude(x);
  return rounded({ ...x, low: low * low, high: high * high });
}

/** The range of the greater of two values. */
export function greater(a: Range, b: Range): Range {
  const [low, high] = [Math.max(a.low, b.low), Math.max(a.high, b.high)];
  const zero = (a.zero && b.low <= 0) || (b.zero && a.low <= 0);
  const either = union(a, b);
  return { ...either, low, high, zero, infinite: either.infinite && (high === most || low === least) };
}

/** The range of absolute values. */
export function magnitude({ low, high, ...rest }: Range): Range {
  return { ...rest, low: low > 0 ? low : high < 0 ? -high : 0, high: Math.max(-low, high) };
}

export function quotient(a: Range, b: Range): Range {
  if (b.zero) {
    // Signs are kept, except that of zero, which is rarely negative and never matters here.
    return { ...anything, zero: a.zero || b.infinite, nan: a.nan || b.nan || a.zero || (a.infinite && b.infinite) };
  }
  const nan = a.nan || b.nan || (a.infinite && b.infinite);
  const zero = a.zero || b.infinite;
  if (b.low < 0 && b.high > 0) return { ...unbounded, zero, infinite: a.infinite, nan };
  const inverse = between(1 / b.high, 1 / b.low === least ? most : 1 / b.low, zero);
  const result = product({ ...a, nan: false }, inverse);
  return { ...result, zero, infinite: a.infinite || result.infinite, nan };
}

/** For a function that never decreases, and is finite where its argument is. */
export function increasing(f: (x: number) => number): RangeRule {
  return (_node, [x]) => {
    const { low, high, infinite, nan } = present(x);
    const [from, to] = [f(low), f(high)];
    const bounded = Number.isFinite(from) && Number.isFinite(to);
    return rounded({
      low: from,
      high: to,
      zero: from <= 0 && to >= 0,
      infinite: infinite && !bounded,
      nan,
      lowest: false,
    });
  };
}

/** For a function whose values lie between two numbers; if `periodic`, it is NaN at infinity. */
export function bounded(low: number, high: number, periodic = false): RangeRule {
  return (_node, [x]) => {
    const { infinite, nan } = present(x);
    return { ...between(low, high), nan: nan || (periodic && infinite) };
  };
}

/** For a function that is finite between two numbers, and undefined outside. */
export function within(from: number, to: number): RangeRule {
  return (_node, [x]) => {
    const { low, high, nan, infinite } = present(x);
    return { ...unbounded, infinite, nan: nan || low < from || high > to };
  };
}

/** The first input's elements, moved. */
export const moved: RangeRule = (_node, [x]) => present(x);
/** The first input's elements, with zeros between. */
export const spread: RangeRule = (_node, [x]) => union(present(x), between(0, 0));
/** The elements of all inputs. */
export const joined: RangeRule = (_node, inputs) =>
  present(inputs.reduce((all, each) => union(present(all), present(each))));

/** Any number, finite if all inputs are: the default for an op that states no range. */
export const continuous: RangeRule = (_node, inputs) =>
  inputs.every((range) => range === null || alwaysFinite(range)) ? unbounded : anything;
/** For an op that may return non-finite numbers for finite inputs. */
export const overflowing: RangeRule = () => anything;

export const exponentialRange: RangeRule = (_node, [x]) => {
  const { low, high, nan } = present(x);
  // Outside float32's range: below it exp(x) is 0, above it infinite.
  const over = Math.exp(high) > largestFloat;
  return {
    low: Math.exp(low),
    high: over ? most : Math.exp(high),
    zero: low < -103,
    infinite: over,
    nan,
    lowest: false,
  };
};

export const logarithmRange: RangeRule = (_node, [x]) => {
  const { low, high, zero, infinite, nan } = present(x);
  const [from, to] = [low > 0 ? Math.log(low) : least, high > 0 ? Math.log(high) : most];
  return {
    low: from,
    high: to,
    zero: from <= 0 && to >= 0,
    infinite: zero || infinite,
    nan: nan || low < 0,
    lowest: false,
  };
};

export const rootRange: RangeRule = (_node, [x]) => {
  const { low, high, zero, infinite, nan } = present(x);
  const [from, to] = [Math.sqrt(Math.max(low, 0)), Math.sqrt(Math.max(high, 0))];
  return { low: from, high: to, zero, infinite, nan: nan || low < 0, lowest: false };
};

/** Powers with this exponent or more may overflow for realistic data. */
const steep = 4;

/** x^y: for a constant y that is not steep, the range of its finite values; otherwise anything. */
export function powers(x: Range, y: Range): Range {
  const constant = y.low === y.high && alwaysFinite(y);
  const whole = constant && Number.isInteger(y.low);
  const nan = x.nan || y.nan || (!whole && x.low < 0);
  if (constant && y.low === 0) return { ...between(1, 1), nan: x.nan };
  const low = x.low >= 0 || y.low % 2 === 0 || !whole ? 0 : Number.NEGATIVE_INFINITY;
  if (!constant || y.low >= steep) return { ...anything, low, nan: nan || !alwaysFinite(y) };
  const falling = y.low < 0;
  const infinite = falling ? x.zero : x.infinite;
  return { low, high: Number.POSITIVE_INFINITY, zero: falling ? x.infinite : x.zero, infinite, nan, lowest: false };
}
