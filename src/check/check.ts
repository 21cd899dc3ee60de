/** The self-test on a user's own model and data: the public entry point. */
import { checkOptions } from "../arguments.js";
import type { Model } from "../graph/model.js";
import { requireModel } from "../nn/given-model.js";
import type { Data } from "../tensor/data.js";
import { type CheckOptions, type CheckResult, checkOptionNames } from "./types.js";

export type { CheckedParameter } from "./comparison.js";
export type { SkippedWant } from "./products.js";
export type { CheckOptions, CheckResult } from "./types.js";
export type { CheckedWant } from "./wants.js";

/**
 * Compares a program's per-sample gradients with the float64 loop over samples, and the loop with central finite
 * differences. It also compares norms, sums and all other wants with the same quantities of the loop's gradients. If
 * the program is further off than the tolerance, the float32 gradients of single samples, computed without per-sample
 * code, tell whether that is rounding or a difference. Throws what compiling and running throw.
 */
export async function check(
  model: Model,
  data: Readonly<Record<string, Data>>,
  given: CheckOptions,
): Promise<CheckResult> {
  checkOptions("check(model, data, options)", given, checkOptionNames);
  requireModel(model, "check");
  // The compiler and the reference are loaded when they are first used.
  const { checked } = await import("./checked.js");
  return checked(model, data, given);
}
