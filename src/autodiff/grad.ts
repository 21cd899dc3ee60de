import { PergradError } from "../errors.js";
import { showShape } from "../graph/dim.js";
import { build } from "../ops/registry.js";
import { nth } from "../present.js";
import { Traced } from "../trace/traced.js";
import { plain, reverse } from "./reverse.js";

/**
 * The gradient of a scalar with respect to a traced value, in its shape and dtype; zero if the scalar
 * does not depend on it. With respect to `expand(w, "N")` it is the per-sample gradient of w, `[N, ...]`.
 * @throws PergradError SHAPE_MISMATCH (not a scalar), UNSUPPORTED_OP.
 */
export function grad(scalar: Traced, wrt: Traced): Traced;
export function grad(scalar: Traced, wrt: readonly Traced[]): Traced[];
export function grad(scalar: Traced, wrt: Traced | readonly Traced[]): Traced | Traced[] {
  const loss = scalar.value;
  if (loss.shape.length !== 0) {
    throw new PergradError(
      "SHAPE_MISMATCH",
      `grad needs a scalar, but was given a value ${showShape(loss.shape)}; reduce it, for instance by .sum().`,
    );
  }
  const targets = wrt instanceof Traced ? [wrt] : wrt;
  const seeds = new Map([[loss, build.scalar(1, loss)]]);
  const found = reverse(seeds, new Set(targets.map((target) => target.value)), plain);
  const gradients = targets.map(({ value }) => new Traced(found.get(value) ?? build.zeros(value.shape, value.dtype)));
  return wrt instanceof Traced ? nth(gradients, 0) : gradients;
}
