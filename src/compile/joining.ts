/** How the results for parts of a batch combine into those for the whole batch. */

import { PergradError } from "../errors.js";
import { isBody } from "../graph/body.js";
import { factorOf, isBatch } from "../graph/dim.js";
import type { Expected } from "../graph/model.js";
import type { SampleAxis } from "../graph/sample-axis.js";
import { describeNode, type Node, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { definitionOf } from "../ops/registry.js";
import { isFloat } from "../tensor/tensor.js";
import type { Objective } from "./objective.js";

/** How the microbatches' tensors combine into the tensor of the whole batch. */
export type Joining =
  /** Concatenated along the sample axis. */
  | { readonly kind: "samples"; readonly at: SampleAxis }
  /** Added up. */
  | { readonly kind: "sum" }
  /** Averaged over the samples. */
  | { readonly kind: "mean" }
  /**
   * Sums of squared deviations from a part's mean become those from the overall mean; `sum` names the result that is
   * the sum.
   */
  | { readonly kind: "deviations"; readonly sum: string }
  /** Any one of them: it does not depend on the samples. */
  | { readonly kind: "shared" }
  /** Not at all: all samples must be computed together, as for the inner products of all pairs. */
  | { readonly kind: "whole" };

/** A result of a program. */
export interface Output {
  /** `<want>/<tensor>` */
  readonly name: string;
  /** The want that it belongs to; empty if the program itself needs it. */
  readonly want: string;
  readonly value: Value;
  readonly joining: Joining;
}

/** The name that its want gave a result. */
export function nameInWant({ name, want }: Pick<Output, "name" | "want">): string {
  return name.slice(want.length + 1);
}

/**
 * @param value a result as a want emitted it, or an output of the model
 * @param sums how it is joined if it has no sample axis
 */
export function joiningOf(value: Value, { outputs, axes }: Objective, sums: "sum" | "mean" = "sum"): Joining {
  if (Object.values(outputs).includes(value)) {
    try {
      const at = axes.of(value);
      return at ? { kind: "samples", at } : { kind: "shared" };
    } catch (error) {
      if (error instanceof PergradError) return { kind: "whole" };
      throw error;
    }
  }
  const [axis, ...others] = value.shape.flatMap((dim, k) => (isBatch(dim) ? [k] : []));
  if (others.length > 0) return { kind: "whole" };
  if (axis === undefined) return isFloat(value.dtype) ? { kind: sums } : { kind: "whole" };
  return { kind: "samples", at: { axis, outer: 1, inner: factorOf(value.shape[axis] ?? 1) } };
}

/** Whether a result without a sample axis is added up from the samples' contributions. */
export function isSummed({ kind }: Joining): boolean {
  return kind === "sum" || kind === "mean" || kind === "deviations";
}

/** Why a batch's results cannot be joined from microbatches, to end a sentence; undefined if they can. */
export function whyWhole(outputs: readonly Output[], expected: ReadonlyMap<string, Expected>): string | undefined {
  const whole = outputs.find(({ joining }) => joining.kind === "whole");
  if (whole) return `"${whole.name}" takes all samples at once`;
  for (const [name, { value }] of expected) {
    if (value.shape.filter(isBatch).length > 1) return `the input "${name}" holds the samples along two axes`;
  }
  const drawn = sharedDraw(nodesBefore(outputs.map(({ value }) => value)));
  return drawn && `${describeNode(drawn)} draws random numbers once for all samples`;
}

/** A node that draws random numbers that the whole batch shares: each microbatch would draw its own. */
function sharedDraw(nodes: readonly Node[]): Node | undefined {
  for (const node of nodes) {
    if (definitionOf(node)?.random && !node.outputs.some(({ shape }) => shape.some(isBatch))) return node;
    const { body } = node.attributes;
    const inside = isBody(body) ? sharedDraw(nodesBefore(body.outputs)) : undefined;
    if (inside) return inside;
  }
  return undefined;
}
