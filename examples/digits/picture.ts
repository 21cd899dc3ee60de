/** A digit as inline SVG, in the colour of the text around it. */
import { side } from "./data.js";

/** Grey levels that are told apart; each is one path. */
const levels = 5;

function runs(pixels: ArrayLike<number>, level: number): string {
  const at = (row: number, column: number) => Math.round((pixels[row * side + column] ?? 0) * levels);
  let path = "";
  for (let row = 0; row < side; row++) {
    for (let from = 0; from < side; from++) {
      if (at(row, from) !== level) continue;
      let to = from + 1;
      while (to < side && at(row, to) === level) to++;
      path += `M${from} ${row}h${to - from}v1h${from - to}z`;
      from = to;
    }
  }
  return path;
}

/** @param pixels 28 x 28, from 0 (paper) to 1 (ink) */
export function picture(pixels: ArrayLike<number>, description: string): string {
  const paths: string[] = [];
  for (let level = 1; level <= levels; level++) {
    const path = runs(pixels, level);
    if (path) paths.push(`<path d="${path}" fill-opacity="${level / levels}"/>`);
  }
  return `<svg viewBox="0 0 ${side} ${side}" role="img" aria-label="${description}" shape-rendering="crispEdges" fill="currentColor">${paths.join("")}</svg>`;
}
