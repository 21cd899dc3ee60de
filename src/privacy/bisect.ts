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
