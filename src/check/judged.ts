/** Compares numbers of wants with those in float64: finds their errors, and whether these are rounding. */
import { draws, furthest, isOwnRounding, isRounding, relative, tolerance } from "./comparison.js";
import type { OnFirstSamples } from "./first-samples.js";
import type { CheckedWant } from "./wants.js";

/** A comparison. Differences are absolute. */
export interface Judged {
  readonly want: string;
  readonly parameter: string;
  readonly found: ArrayLike<number>;
  readonly difference: number;
  /** The error of the same numbers computed alone; undefined if they are not computed that way. */
  alone?: number;
  ownRounding: number;
}

function isExplained({ difference, alone, ownRounding }: Judged): boolean {
  return (alone !== undefined && isRounding({ difference, alone })) || isOwnRounding(difference, ownRounding);
}

/**
 * Measures how far the program's own numbers move if data and parameters are moved in the last bits.
 * @param numbersOf the numbers of one comparison, from the program's results
 */
export async function seeOwnRounding<R, J extends Judged>(
  of: readonly J[],
  { again }: OnFirstSamples<R>,
  numbersOf: (moved: R, each: J) => ArrayLike<number>,
): Promise<void> {
  if (of.length === 0) return;
  for await (const moved of again(draws)) {
    for (const each of of) {
      const distance = furthest(numbersOf(moved, each), Float64Array.from(each.found));
      each.ownRounding = Math.max(each.ownRounding, distance);
    }
    if (of.every(({ difference, ownRounding }) => isOwnRounding(difference, ownRounding))) break;
  }
}

/** The worst; if rounding explains only some, the worst of the others. */
export function resultOf<J extends Judged>(
  name: string,
  compared: readonly J[],
  scaleOf: (each: J) => number,
): CheckedWant {
  const errorOf = (each: J) => relative(each.difference, scaleOf(each));
  const beyond = compared.filter((each) => errorOf(each) > tolerance.loop);
  const unexplained = beyond.filter((each) => !isExplained(each));
  const worst = (unexplained.length > 0 ? unexplained : compared).reduce((most, each) =>
    errorOf(each) > errorOf(most) ? each : most,
  );
  const own = { want: name, error: errorOf(worst), worst: worst.parameter };
  if (beyond.length === 0) return own;
  const { difference, alone } = worst;
  const scale = scaleOf(worst);
  const known = alone !== undefined && isRounding({ difference, alone });
  return {
    ...own,
    cause: unexplained.length > 0 ? "difference" : "rounding",
    ...(alone === undefined ? {} : { aloneError: relative(alone, scale) }),
    ...(known ? {} : { ownRounding: relative(worst.ownRounding, scale) }),
  };
}
