/** Searches for a number. */

/**
 * The smallest number that `holds`, from above and to a relative 1e-12 or less, where `holds` is false at `low` and
 * true from some number up; `step` is a first guess of how far that is. Infinite if no finite number holds.
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

/** Where a search looks: between two numbers above 0, first near `guess`, until it knows the answer to a relative `tolerance`. */
export interface Search {
  readonly least: number;
  readonly largest: number;
  readonly guess: number;
  readonly tolerance: number;
}

/**
 * The smallest number, from above and to the tolerance, at which a falling function that is slow to compute is at most
 * `target`; infinite where it is above the target even at the largest. Numbers and values may lie many powers of ten
 * apart, so that the search goes by their logarithms.
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
    // Where the line through both meets the target, a little to either side; or, if that was of no use, half way.
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

/** Two points with the answer between them, by longer and longer steps from the guess; undefined where all are above. */
function bracketed(
  f: (x: number) => number,
  target: number,
  { least, largest, guess }: Search,
): { readonly below: Point; readonly above: Point } | undefined {
  let point: Point = { x: guess, y: f(guess) };
  const up = point.y > target;
  for (let factor = 1.1; ; factor *= factor) {
    const x = up ? Math.min(largest, point.x * factor) : Math.max(least, point.x / factor);
    // Less than the least is not looked at.
    if (x === point.x) return up ? undefined : { below: { x: least, y: Number.POSITIVE_INFINITY }, above: point };
    const next = { x, y: f(x) };
    if (up && next.y <= target) return { below: point, above: next };
    if (!up && next.y > target) return { below: next, above: point };
    point = next;
  }
}
