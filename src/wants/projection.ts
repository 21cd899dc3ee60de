/** Random projections that preserve inner products. */
import { PergradError } from "../errors.js";
import { cheapest, type Factored, type Method } from "../gradients/factored.js";
import { projections } from "../gradients/projection.js";
import { drawSigns } from "../gradients/signs.js";
import { build } from "../ops/registry.js";
import { type FloatTensor, float, type Want } from "./wanted.js";

/** Options of `want.project`. */
export interface ProjectOptions {
  /** Numbers for each sample, from 1 up. */
  readonly dims: number;
  /** A whole number below 2^32. Default 0. */
  readonly seed?: number;
}

/**
 * Each sample's whole gradient, projected to `dims` numbers at random so that inner products are kept:
 * `[N, dims]`. The inner product of two rows is, over all seeds, in the mean that of the two gradients g and
 * h, and deviates from it by a standard deviation of at most 3 |g| |h| / sqrt(dims), however many parameters
 * there are. So the probability of an error above e |g| |h| is at most 9 / (dims e^2).
 *
 * Each number is a sum over the parameters G (as matrices, their first axis by all others) of a' G b / sqrt(dims)
 * with random signs a and b, which for a factored G are products with its factors. The bound: fourth moments
 * of such forms are at most 9 |G|^4 (those of Gaussian signs are the largest; compare Rakhshan and Rabusseau
 * 2020, "Tensorized random projections", for tensors of order 2), and those of sums over parameters too.
 *
 * The signs depend on the seed and on a parameter's name and shape alone: what different programs, runs and
 * machines project with one seed may be compared. They are stored in the program, `dims` bytes for each row
 * and each column of a parameter.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function project({ dims, seed = 0 }: ProjectOptions): Want<FloatTensor> {
  if (!Number.isSafeInteger(dims) || dims < 1)
    throw new PergradError("INVALID_ARGUMENT", `dims is ${dims}; it must be a whole number from 1 up.`);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
    throw new PergradError("INVALID_ARGUMENT", `A seed is a whole number from 0 to 2^32 - 1, not ${seed}.`);
  return {
    name: "project",
    settings: { dims, seed },
    requirements: { factors: true },
    // Projected factors have `dims` numbers at each position.
    fewAtATime: true,
    emit: ({ plan }) => {
      const parts = plan.parameters.map((name) =>
        methodOfProjection(name, plan.factored(name), { dims, seed }).emit(build),
      );
      const sum = parts.reduce((total, part) => build.add(total, part));
      return { projected: build.scale(sum, 1 / Math.sqrt(dims)) };
    },
    read: (returned) => float(returned, "projected"),
  };
}

/** How a parameter's gradients are projected, `[N, dims]`. */
export function methodOfProjection(name: string, gradient: Factored, { dims, seed }: Required<ProjectOptions>): Method {
  return cheapest(projections(gradient, drawSigns(seed, name, gradient.shape, dims)));
}
