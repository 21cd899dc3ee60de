/** The maximum of a function of one number. */

const [least, most] = [-18, 18];
const steps = 72;

/** Where between -18 and 18 a function is largest: the best of a grid, then golden sections around it. */
export function maximum(of: (x: number) => number): number {
  const places = Array.from({ length: steps + 1 }, (_, k) => least + (k * (most - least)) / steps);
  const best = places.reduce((found, x) => (of(x) > of(found) ? x : found));
  const width = (most - least) / steps;
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [best - width, best + width];
  while (high - low > 1e-9) {
    const [first, second] = [high - ratio * (high - low), low + ratio * (high - low)];
    if (of(first) < of(second)) low = first;
    else high = second;
  }
  return (low + high) / 2;
}
