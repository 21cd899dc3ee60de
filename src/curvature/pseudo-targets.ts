/** Gradients of pseudo-targets: scalars of each sample whose gradients' outer products add up to a curvature matrix. */
import { type Directions, sumOverDirections } from "../autodiff/directions.js";
import { PergradError } from "../errors.js";
import { substitute } from "../graph/body.js";
import { leaf, type Value } from "../graph/value.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { nth } from "../present.js";
import type { Differentiable } from "./differentiable.js";
import { LossHead } from "./loss-head.js";
import { type Gradients, pulledBack } from "./products.js";

/**
 * "empirical": one pseudo-target, the loss itself, of the true labels. "type2": one for each column of a square root of
 * the loss's second derivative in the output: the generalised Gauss-Newton matrix, exactly.
 */
export type PseudoTargetKind = "empirical" | "type2";

/** One pseudo-target's gradients of all parameters, as functions of a leaf; and what is summed over all of them. */
export interface PseudoTargets {
  /** The leaf that says which pseudo-target: cotangents depend on it, the inputs of layers do not. */
  readonly seed: Value;
  readonly gradients: Gradients;
  /**
   * The sum over pseudo-targets is that of the outer products of `gradients` with these: the same ones where a square root
   * is known, else those of the second derivative times the seed.
   */
  readonly weighted: Gradients;
  /** The sums over all pseudo-targets of values that depend on the leaf. */
  sum(values: readonly Value[]): Value[];
}

export function pseudoTargets(of: Differentiable, kind: PseudoTargetKind): PseudoTargets {
  return kind === "empirical" ? ownLoss(of) : rootOfLoss(of);
}

function ownLoss(of: Differentiable): PseudoTargets {
  const seed = leaf("seed", of.losses, { kind: "input" });
  const gradients = pulledBack(of, of.losses, seed);
  const ones = build.expand(build.scalar(1, of.losses), of.losses.shape);
  return { seed, gradients, weighted: gradients, sum: (values) => substitute(values, new Map([[seed, ones]])) };
}

function rootOfLoss(of: Differentiable): PseudoTargets {
  const directions = ofOutput(of);
  const seed = leaf("direction", { dtype: of.output.dtype, shape: [directions.size] }, { kind: "input" });
  const unit = spread(of, seed);
  const root = rootTimes(of, unit);
  const gradients = pulledBack(of, of.output, root ?? unit);
  const weighted = root ? gradients : pulledBack(of, of.output, new LossHead(of).times(of.output, unit));
  return {
    seed,
    gradients,
    weighted,
    sum: (values) =>
      sumOverDirections({ ...directions, of: (direction) => substitute(values, new Map([[seed, direction]])) }),
  };
}

/** R times a vector, R being a square root of the loss's second derivative in the output; null where none is known. */
export function rootTimes(of: Differentiable, vector: Value): Value | null {
  if (of.root === undefined) return null;
  if (of.root !== "elementwise") return of.root(of.output, vector);
  const ones = build.expand(build.scalar(1, of.output), of.output.shape);
  const second = new LossHead(of).times(of.output, ones);
  return build.mul(build.sqrt(build.op("Max", [second, build.scalar(0, second)])), vector);
}

function ofOutput({ output }: Differentiable): Omit<Directions, "of"> {
  return { size: elementFactor(output.shape.slice(1)), dtype: output.dtype };
}

function spread({ output }: Differentiable, direction: Value): Value {
  return build.expand(build.reshape(direction, [1, ...output.shape.slice(1)]), output.shape);
}

/** Throws INVALID_ARGUMENT. */
export function requireKind(call: string, kind: unknown): void {
  if (kind === "empirical" || kind === "type2") return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `${call}: the kind is "empirical" or "type2", not ${JSON.stringify(kind) ?? String(kind)}; say which: { kind: "type2" }.`,
  );
}

/** One value's sum. */
export function sumOfOne(targets: PseudoTargets, value: Value): Value {
  return nth(targets.sum([value]), 0);
}
