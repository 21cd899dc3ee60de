/** Results that nobody asked for, which show whether gradients are finite. */

import { sumOfSquares } from "../gradients/factored.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import type { Plan } from "../plan/planner.js";
import { isFloat } from "../tensor/tensor.js";
import type { Wants } from "../wants/wanted.js";

/** The name of a result that nobody asked for; it cannot clash, because wants have names. */
export const squares = "/squares";

/** Above this, half precision is infinite. */
const largestHalf = 65504;

/** The result that shows, for each sample, whether its gradients are finite: whether it is within the bound. */
export interface Watch {
  readonly name: string;
  readonly bound: number;
}

/** Another such name: for each sample's NaN that the model hides. */
export const hiddenNaN = "/hidden";

/**
 * How a program's gradients are watched, and the result needed for that, `[N]`, if no want has it. Undefined if only
 * sums and other small results are wanted: those are checked themselves.
 */
export function watchFor(
  plan: Plan,
  wants: Wants,
  losses: Value,
): { readonly watch: Watch; readonly added?: { readonly name: string; readonly value: Value } } | undefined {
  const half = Object.values(wants).some(({ storage }) => storage === "float16");
  const bound = half ? largestHalf : Number.MAX_VALUE;
  const normed = Object.entries(wants).find(([, { norms }]) => norms !== undefined);
  if (normed) return { watch: { name: `${normed[0]}/${normed[1].norms}`, bound } };
  if (!Object.values(wants).some(({ requirements }) => requirements.gradients)) return undefined;
  const factors = plan.parameters.flatMap((parameter) => plan.factored(parameter).factors);
  const floats = [...new Set(factors), losses].filter(({ dtype }) => isFloat(dtype));
  const value = build.op(
    "Sum",
    floats.map((each) => sumOfSquares(build, each)),
  );
  return { watch: { name: squares, bound }, added: { name: squares, value } };
}
