/** What a DFT transforms, and into what. */

import type { Transform } from "../../float64/fourier64.js";
import { isBatch, showShape } from "../../graph/dim.js";
import type { Node } from "../../graph/value.js";
import { nth } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { Call } from "../call.js";
import {
  intAttribute,
  interaction,
  knownInt,
  normalAxis,
  part,
  requireInput,
  shapeMismatch,
  unsupported,
} from "../checks.js";
import { requireConstant } from "../limits.js";

export interface Along extends Transform {
  readonly axis: number;
  /** Elements of the axis. */
  readonly size: number;
}

/** Whether the signal is real; real and imaginary parts lie along the last axis. */
export function isReal(call: Call | Node): boolean {
  const { shape, dtype } = requireInput(call, 0);
  const parts = shape.at(-1);
  if (shape.length < 2 || (parts !== 1 && parts !== 2) || !isFloat(dtype))
    throw shapeMismatch(
      part(call, `the input ${showShape(shape)} of ${dtype}`),
      "does not hold real or complex numbers",
    );
  return parts === 1;
}

export function transformOf(call: Call | Node): Along {
  const { shape } = requireInput(call, 0);
  const realIn = isReal(call);
  const axis = normalAxis(call, knownInt(call, 2) ?? -2, shape.length);
  if (axis === shape.length - 1)
    throw shapeMismatch(part(call, "the axis"), "is the one that holds real and imaginary parts");
  const size = nth(shape, axis);
  if (isBatch(size)) throw interaction(call, "transforms along the sample axis");
  const [inverse, onesided] = ["inverse", "onesided"].map((name) => intAttribute(call, name, 0) !== 0);
  if (onesided && realIn === Boolean(inverse))
    throw unsupported(
      call,
      inverse
        ? "takes a one-sided spectrum that is not complex"
        : "gives a one-sided spectrum, but its signal is not real",
    );
  const mirrored = Boolean(inverse && onesided);
  const length = knownInt(call, 1) ?? (mirrored ? 2 * (size - 1) : size);
  if (length < 1) throw shapeMismatch(part(call, "the signal"), `has ${length} elements, but needs at least one`);
  requireConstant(call, length, "a table of angles");
  const bins = Math.floor(length / 2) + 1;
  return {
    axis,
    size,
    length,
    inverse: Boolean(inverse),
    onesided: Boolean(onesided),
    reads: Math.min(size, mirrored ? bins : length),
    gives: onesided && !inverse ? bins : length,
    realIn,
    realOut: mirrored,
  };
}
