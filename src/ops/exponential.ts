/** Exp, Log, Sqrt, Reciprocal, Abs, Sign, and rounding: Floor, Ceil, Round. */
import type { Value } from "../graph/value.js";
import type { Build } from "./build.js";
import type { OpDefinition } from "./definition.js";
import { unary } from "./elementwise.js";

/** An element-wise op whose derivative rule, from dy, x and y, is cheaper than a product with a slope. */
export function unaryRule(
  op: string,
  f: Parameters<typeof unary>[1],
  rule: (dy: Value, x: Value, y: Value, build: Build, node: Parameters<NonNullable<typeof f>>[1]) => Value,
): OpDefinition {
  return {
    ...unary(op, f, "none"),
    differentiate: (node, [dy], build) => [
      rule(dy as Value, node.inputs[0] as Value, node.outputs[0] as Value, build, node),
    ],
  };
}

/** To the nearest integer; halves go to the even one. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const excess = x - floor;
  if (excess !== 0.5) return excess < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

export const exponential: readonly OpDefinition[] = [
  unary("Exp", Math.exp, (_x, y) => y),
  unaryRule("Log", Math.log, (dy, x, _y, build) => build.div(dy, x)),
  unaryRule("Sqrt", Math.sqrt, (dy, _x, y, build) => build.div(build.scale(dy, 0.5), y)),
  unary(
    "Reciprocal",
    (x) => 1 / x,
    (_x, y, build) => build.neg(build.square(y)),
  ),
  unary("Abs", Math.abs, (x, _y, build) => build.sign(x)),
  unary("Sign", Math.sign, "none"),
  unary("Floor", Math.floor, "none"),
  unary("Ceil", Math.ceil, "none"),
  unary("Round", roundHalfEven, "none"),
];
