/** Exp, Log, Sqrt, Reciprocal, Abs, Sign, and rounding: Floor, Ceil, Round. */

import { isBatch } from "../../graph/dim.js";
import { inputOf, outputOf } from "../../graph/operands.js";
import type { Value } from "../../graph/value.js";
import { present } from "../../present.js";
import type { Build } from "../build.js";
import { having, type OpDefinition } from "../definition.js";
import { unary } from "../elementwise.js";
import {
  between,
  exponentialRange,
  increasing,
  logarithmRange,
  magnitude,
  quotient,
  type RangeRule,
  rootRange,
} from "../range.js";
import { logarithmBehind, precise } from "../subgraphs/saturation.js";

/** An element-wise op whose derivative rule, given dy, x and y, is cheaper than multiplying by a slope. */
export function unaryRule(
  op: string,
  f: Parameters<typeof unary>[1],
  rule: (dy: Value, x: Value, y: Value, build: Build, node: Parameters<NonNullable<typeof f>>[1]) => Value,
  range?: RangeRule,
): OpDefinition {
  return {
    ...unary(op, f, "none", range),
    differentiate: (node, [dy], build) => [rule(present(dy), inputOf(node, 0), outputOf(node, 0), build, node)],
  };
}

/** Rounds to the nearest integer; halves are rounded to the even one. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const excess = x - floor;
  if (excess !== 0.5) return excess < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Follows a multiple of N if it is an integer already. */
function rounding(op: string, round: (x: number) => number): OpDefinition {
  const definition = unary(op, round, "none");
  return {
    ...definition,
    infer: (call) => {
      const known = call.inputs[0]?.known;
      const whole = known?.filter(isBatch).every(({ perSample }) => Number.isInteger(perSample));
      const followed = known?.map((dim) => (isBatch(dim) ? dim : round(dim)));
      return definition.infer(call).map((type) => (whole && followed ? { ...type, known: followed } : type));
    },
  };
}

export const exponential: readonly OpDefinition[] = [
  having(
    { notNegative: "always" },
    unary("Exp", Math.exp, (_x, y) => y, exponentialRange),
  ),
  {
    ...unaryRule("Log", Math.log, (dy, x, _y, build) => build.div(dy, x), logarithmRange),
    restate: (node, build) => logarithmBehind(build, inputOf(node, 0)),
  },
  having(
    { notNegative: "always" },
    unaryRule("Sqrt", Math.sqrt, (dy, _x, y, build) => build.div(build.scale(dy, 0.5), y), rootRange),
  ),
  unary(
    "Reciprocal",
    (x) => 1 / x,
    (_x, y, build) => build.neg(build.square(y)),
    (_node, [x]) => quotient(between(1, 1), present(x)),
  ),
  {
    ...unary(
      "Abs",
      Math.abs,
      (x, _y, build) => build.sign(precise(build, x)),
      (_node, [x]) => magnitude(present(x)),
    ),
    notNegative: "always",
    finiteSlope: true,
    stepSlope: true,
  },
  unary("Sign", Math.sign, "none", increasing(Math.sign)),
  rounding("Floor", Math.floor),
  rounding("Ceil", Math.ceil),
  unary("Round", roundHalfEven, "none"),
];
