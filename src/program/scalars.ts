/** Numbers that a run may change: the norms to which an adjustable `want.clippedSum` clips. */

import type { Scalar } from "../compile/results.js";
import { PergradError } from "../errors.js";
import type { Value } from "../graph/value.js";
import { numberArrayOf, type Tensor, tensorWith } from "../tensor/tensor.js";
import { checkMaxNorm } from "../wants/max-norm.js";

/** By the name of the want: one number for all of its groups, or a number for each group. */
export type MaxNorms = Readonly<Record<string, number | Readonly<Record<string, number>>>>;

/** Throws MISSING_TENSOR, INVALID_ARGUMENT. */
export function scalarFeeds(scalars: readonly Scalar[], given: MaxNorms = {}): Record<string, Tensor> {
  for (const [want, limits] of Object.entries(given)) {
    const own = scalars.filter((scalar) => scalar.want === want);
    if (own.length === 0)
      throw new PergradError(
        "MISSING_TENSOR",
        `There is no want "${want}" that clips to an adjustable norm; leave it out, or correct its name.`,
      );
    const names = typeof limits === "object" ? Object.keys(limits) : [];
    const unknown = names.find((name) => !own.some((each) => each.name === name));
    if (unknown !== undefined)
      throw new PergradError(
        "MISSING_TENSOR",
        `The want "${want}" clips no group "${unknown}"; leave it out, or correct its name.`,
      );
  }
  const fed = scalars.map(({ want, name, value, initial }) => {
    const limits = given[want];
    const limit = (typeof limits === "number" ? limits : limits?.[name]) ?? initial;
    checkMaxNorm(limit, ` of "${want}"`);
    return [value.name, scalarTensor(value, limit)] as const;
  });
  return Object.fromEntries(fed);
}

function scalarTensor({ dtype }: Value, number: number): Tensor {
  return tensorWith(dtype, [], numberArrayOf(dtype).of(number));
}
