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

/**
 * The smallest number, from above and to `tolerance`, at which a falling function is at most `target`; for a function
 * that is smooth but slow. `guess` is near it.
 */
export function falling(f: (x: number) => number, target: number, guess: number, tolerance: number): number {
  let [below, above] = [
    { x: 0, y: Number.POSITIVE_INFINITY },
    { x: Number.POSITIVE_INFINITY, y: 0 },
  ];
  const consider = (x: number) => {
    if (!(x > below.x && x < above.x && above.x - below.x > tolerance * x)) return;
    const y = f(x);
    if (y <= target) above = { x, y };
    else below = { x, y };
  };
  for (let x = guess; above.x === Number.POSITIVE_INFINITY; x *= 1.1) consider(x);
  for (let x = above.x; below.x === 0; x *= 0.9) consider(x);
  while (above.x - below.x > tolerance * above.x) {
    // Where the line through both meets the target, a little to either side; or, if that was of no use, half way.
    const part = (below.y - target) / (below.y - above.y);
    const x = below.x + part * (above.x - below.x);
    const width = above.x - below.x;
    consider(x + 0.4 * tolerance * above.x);
    consider(x - 0.4 * tolerance * above.x);
    if (above.x - below.x > width / 2) consider((below.x + above.x) / 2);
  }
  return above.x;
}
