/** Numerical searches. */

/**
 * The smallest number for which `holds` is true, approximated from above to a relative 1e-12 or less; `holds` must be
 * false at `low` and true from some number up. `step` is a first guess of that number's distance from `low`. Infinite
 * if it holds for no finite number.
 */
export function bisect(holds: (x: number) => boolean, low: number, step: number, tolerance = 1e-13): number {
  let [below, above] = [low, low + step];
  for (let width = step; !holds(above); width *= 2) {
    below = above;
    above += width;
    if (above === Number.POSITIVE_INFINITY) return above;
  }
  while (above - below > tolerance * above) {
    const middle = (below + above) / 2;
    if (middle <= below || middle >= above) break;
    if (holds(middle)) above = middle;
    else below = middle;
  }
  return above;
}

/**
 * Where a search looks: between two positive numbers, first near `guess`, until the answer is known to a relative
 * `tolerance`.
 */
export interface Search {
  readonly least: number;
  readonly largest: number;
  readonly guess: number;
  readonly tolerance: number;
}

/**
 * The smallest number at which a decreasing function, slow to compute, is at most `target`, approximated from above to
 * the tolerance. Infinite if the function exceeds the target even at the largest number. Numbers and values may be many
 * powers of ten apart, so the search works on their logarithms.
 */
export function falling(f: (x: number) => number, target: number, search: Search): number {
  const { least, largest, tolerance } = search;
  const guess = Math.min(Math.max(search.guess, least), largest);
  const bracket = bracketed(f, target, { ...search, guess });
  if (!bracket) return f(largest) <= target ? largest : Number.POSITIVE_INFINITY;
  let { below, above } = bracket;
  const consider = (x: number) => {
    if (!(x > below.x && x < above.x)) return;
    const y = f(x);
    if (y <= target) above = { x, y };
    else below = { x, y };
  };
  while (above.x > below.x * (1 + tolerance)) {
    const width = above.x / below.x;
    // Where the line through both points meets the target, shifted a little to either side; or half way, if that did
    // not help.
    const part = Math.log(below.y / target) / Math.log(below.y / above.y);
    if (part > 0 && part < 1) {
      const x = below.x * width ** part;
      consider(x * (1 + 0.4 * tolerance));
      consider(x * (1 - 0.4 * tolerance));
    }
    if (above.x / below.x > Math.max(Math.sqrt(width), 1 + tolerance)) {
      const middle = below.x * Math.sqrt(above.x / below.x);
      if (!(middle > below.x && middle < above.x)) break;
      consider(middle);
    }
  }
  return above.x;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/**
 * Two points with the answer between them, found by growing steps from the guess; undefined if all values exceed the
 * target.
 */
function bracketed(
  f: (x: number) => number,
  target: number,
  { least, largest, guess }: Search,
): { readonly below: Point; readonly above: Point } | undefined {
  let point: Point = { x: guess, y: f(guess) };
  const up = point.y > target;
  for (let factor = 1.1; ; factor *= factor) {
    const x = up ? Math.min(largest, point.x * factor) : Math.max(least, point.x / factor);
    // Nothing below the least number is tried.
    if (x === point.x) return up ? undefined : { below: { x: least, y: Number.POSITIVE_INFINITY }, above: point };
    const next = { x, y: f(x) };
    if (up && next.y <= target) return { below: point, above: next };
    if (!up && next.y > target) return { below: next, above: point };
    point = next;
  }
}
