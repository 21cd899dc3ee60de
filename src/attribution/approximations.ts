/** How parameters are approximated in curvatures and projections: what the compiler would do with each. */
import { planFor } from "../compile/planning.js";
import { differentiableOf } from "../compile/results.js";
import { blocksFor, usualSizes } from "../curvature/kronecker.js";
import { kindOfTargets } from "../curvature/pseudo-targets.js";
import { standingOf } from "../curvature/standing.js";
import type { Factored } from "../gradients/factored.js";
import { methodOfProjection, type ProjectOptions, project } from "../wants/projection.js";
import type { Checkpoint } from "./checkpoint.js";
import { type Approximated, alike } from "./method.js";

/** Layer by layer, as in KFAC and EK-FAC. */
export function byLayers(
  { objective }: Checkpoint,
  kind: "empirical" | "type2",
  corrected: boolean,
): readonly Approximated[] {
  const targets = kindOfTargets("attribution.explain", { kind });
  const blocks = blocksFor(differentiableOf(objective, { options: {} }, false), targets);
  return blocks.map((block) => {
    const { how, ...standing } = standingOf(block, "expand", usualSizes);
    const measured =
      corrected && standing.approximation.startsWith("Kronecker")
        ? ", its eigenvalues those of the curvature in its eigenvectors"
        : "";
    return { ...standing, how: `${how}${measured}` };
  });
}

/** Projected at random, as in TRAK and LoGra, unless all numbers are kept. */
export function projected(checkpoint: Checkpoint, options: Required<ProjectOptions>): readonly Approximated[] {
  if (options.by === "order") return alike(checkpoint, "exact", "exact: all numbers of its gradients are kept");
  const { objective } = checkpoint;
  const plan = planFor(objective, { projected: project(options) }, {});
  return plan.parameters.map((name) => {
    const gradient = plan.factored(name);
    const { name: method } = methodOfProjection(name, gradient, options);
    return { parameters: [name], ...worded(method, gradient, options.dims) };
  });
}

function worded(method: string, { kind, positions, terms }: Factored, dims: number) {
  const numbers = `projected to ${dims} numbers at random`;
  const held = positions === 1 ? kind : `${kind}, ${positions} positions`;
  switch (method) {
    case "project factors":
      return { approximation: "projection of factors", how: `${numbers}, from the factors of its gradients (${held})` };
    case "term by term":
      return { approximation: "projection by terms", how: `${numbers}, each of its ${terms.length} uses by itself` };
    default:
      return { approximation: "projection", how: `${numbers}, its gradients (${held}) materialised` };
  }
}
