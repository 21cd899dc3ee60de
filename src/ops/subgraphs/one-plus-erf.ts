/** 1 + erf and 1 - erf with all their digits: where erf is near -1 or 1, an addition would leave none. */

import erfc from "@stdlib/math-base-special-erfc";
import { inputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { floatAttribute } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { unary } from "../elementwise.js";
import { bounded } from "../range.js";
import { internalDomain } from "./internal.js";
import { bell, squareOfScale } from "./saturation.js";

/** From here on erfc(t) is computed separately: below, 1 - erf(t) has a relative error of 3e-6 at most. */
const tailStart = 1.5;

/**
 * erfc(t) = erf'(t) / (2t + a / (2t + b / (2t + c / (2t + d)))): its continued fraction (DLMF 7.9.2), with the rest
 * replaced by numbers fitted for t >= 1.5. The relative error there is 7.1e-7 at most.
 */
const fraction = [2.000549282786235, 4.075499758403171, 9.342025227756752] as const;
const fractionEnd = 3.801841883199823;

const sideOf = (node: Node | Call) => floatAttribute(node, "side", 1);
const scaleOf = (node: Node | Call) => floatAttribute(node, "scale", 1);

/** 1 + side * erf(scale x): `value` where that has enough digits, and the continued fraction elsewhere. */
function erfTail(build: Build, x: Value, side: number, scale: number, value: Value): Value {
  // The whole fraction is multiplied by the scale, as the bell is.
  const twice = build.scale(x, -side * 2 * squareOfScale(scale));
  const last = build.add(twice, build.scalar(fractionEnd * scale, x));
  const denominator = fraction.reduceRight(
    (rest, numerator) => build.add(twice, build.div(build.scalar(numerator * squareOfScale(scale), x), rest)),
    last,
  );
  const tail = build.div(bell(build, x, scale), denominator);
  return build.where(build.greater(twice, build.scalar(2 * tailStart * scale, x)), tail, value);
}

/**
 * 1 + side * erf(scale x) to full relative precision, which no ONNX operator gives. Derivative rules and the reference
 * know it as one operator; the runtime gets its parts.
 */
export const onePlusErf: OpDefinition = {
  ...unary(
    "OnePlusErf",
    (x, node) => erfc(-sideOf(node) * scaleOf(node) * x),
    (x, _y, build, node) => build.scale(bell(build, x, scaleOf(node)), sideOf(node)),
    bounded(0, 2),
    internalDomain,
  ),
  approximate: (node, build) => {
    const x = inputOf(node, 0);
    const [side, scale] = [sideOf(node), scaleOf(node)];
    const erf = build.op("Erf", [build.scale(x, scale)]);
    const one = build.scalar(1, x);
    return [erfTail(build, x, side, scale, side === 1 ? build.add(erf, one) : build.sub(one, erf))];
  },
};
