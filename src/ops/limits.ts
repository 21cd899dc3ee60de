/** Limits on the constants that pergrad computes: a file of a few bytes may ask for one of any size. */
import { PergradError } from "../errors.js";
import type { Node } from "../graph/value.js";
import type { Call } from "./call.js";
import { describe } from "./checks.js";

/** 128 MB in float64; an index of an image of 4096 x 4096. */
export const largestConstant = 2 ** 24;

/**
 * @throws PergradError TOO_LARGE if a constant of this many elements (or this count of places) would have to be
 *   computed for a node. Call it before making the constant.
 */
export function requireConstant(node: Call | Node | string, elements: number, what: string): void {
  if (elements <= largestConstant) return;
  throw new PergradError(
    "TOO_LARGE",
    `${typeof node === "string" ? node : describe(node)} needs ${what} of ${elements} elements at compile time, ` +
      `and pergrad makes none of more than ${largestConstant}; give the model smaller inputs, or remove that.`,
  );
}

/** Far more steps than any real model needs. */
const mostSteps = 4096;

/** Throws TOO_LARGE if a node would become this many nodes of a program. */
export function requireSteps(node: Call | Node, steps: number): void {
  if (steps <= mostSteps) return;
  throw new PergradError(
    "TOO_LARGE",
    `${describe(node)} would become ${steps} nodes of a program, and pergrad makes no more than ${mostSteps} of one; ` +
      "remove it from the model.",
  );
}
