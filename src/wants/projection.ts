/** Random projections that preserve inner products. */
import { kindOf } from "../arguments.js";
import { PergradError } from "../errors.js";
import { cheapest, type Factored, flat, type Method, sizeOfGradient } from "../gradients/factored.js";
import { projections } from "../gradients/projection.js";
import { shifted } from "../gradients/shifted.js";
import { drawShifts } from "../gradients/shifts.js";
import { drawSigns } from "../gradients/signs.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { type FloatTensor, float, type Want } from "./wanted.js";

/** How gradients are projected: see `want.project`. */
export type ProjectedBy = "shifts" | "signs" | "order";

/** Options of `want.project`. */
export interface ProjectOptions {
  /** The number of results per sample, from 1 up. */
  readonly dims: number;
  /** A whole number below 2^32. Default 0. */
  readonly seed?: number;
  /**
   * "shifts"; or "signs", which older indexes used; or "order", not at random at all, for as many `dims` as the
   * parameters have numbers. Default "shifts".
   */
  readonly by?: ProjectedBy;
}

/**
 * Each sample's whole gradient, projected to `dims` numbers at random so that inner products are preserved: `[N,
 * dims]`. For two rows, the expectation of their inner product over all seeds is that of the two gradients g and h. Its
 * standard deviation is at most b |g| |h| / sqrt(dims), however many parameters there are. So the probability of an
 * error above e |g| |h| is at most b^2 / (dims e^2).
 *
 * "shifts" adds each element of a parameter (as a matrix, its first axis by all others) to one of the numbers, times a
 * random sign of its row and one of its column. The number is chosen at random, so that two elements meet with
 * probability 1 / dims at most, or 2 / dims within one row or column of more than `dims` elements. To this end, longer
 * rows and columns are first folded: runs of `dims` elements are laid over one another, each rotated at random. Then
 * the elements of the matrix are folded in the same way (a count sketch: Charikar, Chen and Farach-Colton 2002,
 * "Finding frequent items in data streams"). The bound b is 3, or 3.5 if rows and columns are longer than `dims`: of
 * the nine ways in which the signs of two pairs of elements can cancel, eight add to the variance, each at most the
 * probability of meeting times |g|^2 |h|^2.
 *
 * "signs" makes each number a sum, over the parameters G, of a' G b / sqrt(dims) with random signs a and b. This takes
 * `dims` products for each element, and `dims` signs for each row and each column. The bound b is 3: fourth moments of
 * such forms are at most 9 |G|^4, and so are those of sums over parameters (those of Gaussian signs are the largest;
 * compare Rakhshan and Rabusseau 2020, "Tensorized random projections", for tensors of order 2).
 *
 * "order" keeps each number of the gradient: the parameters one after another, each in row-major order, and then zeros.
 * Inner products are exact. It throws INVALID_ARGUMENT if the parameters have more than `dims` numbers.
 *
 * Signs and shifts depend only on the seed and on a parameter's name and shape, so that projections with one seed can
 * be compared across programs, runs and machines. They are stored in the program.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function project({ dims, seed = 0, by = "shifts" }: ProjectOptions): Want<FloatTensor> {
  if (!Number.isSafeInteger(dims) || dims < 1)
    throw new PergradError("INVALID_ARGUMENT", `dims is ${dims}; it must be a whole number from 1 up.`);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
    throw new PergradError("INVALID_ARGUMENT", `A seed must be a whole number from 0 to 2^32 - 1, not ${seed}.`);
  if (by !== "shifts" && by !== "signs" && by !== "order")
    throw new PergradError(
      "INVALID_ARGUMENT",
      `Gradients are projected by "shifts", by "signs" or by "order", not ${kindOf(by)}; give one of these.`,
    );
  return {
    name: "project",
    settings: { dims, seed, by },
    requirements: { factors: true },
    // The gradients that are projected are large beside the results.
    fewAtATime: true,
    emit: ({ plan }) => {
      if (by === "order")
        return {
          projected: inOrder(
            plan.parameters.map((name) => plan.factored(name)),
            dims,
          ),
        };
      const parts = plan.parameters.map((name) =>
        methodOfProjection(name, plan.factored(name), { dims, seed, by }).emit(build),
      );
      const sum = parts.reduce((total, part) => build.add(total, part));
      return { projected: build.scale(sum, by === "signs" ? 1 / Math.sqrt(dims) : 1) };
    },
    read: (returned) => float(returned, "projected"),
  };
}

/** All numbers of each sample's gradients, and zeros, `[N, dims]`. Throws INVALID_ARGUMENT. */
function inOrder(gradients: readonly Factored[], dims: number): Value {
  const size = gradients.reduce((sum, gradient) => sum + sizeOfGradient(gradient), 0);
  if (size > dims)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The parameters have ${size} numbers, which do not fit into ${dims} in their order; give more dims, or project by "shifts".`,
    );
  const rows = build.concat(
    gradients.map((gradient) => flat(build, gradient)),
    1,
  );
  return size === dims ? rows : build.pad(rows, [0, 0], [0, dims - size]);
}

/**
 * How gradients of `size` numbers are best projected to `dims`: a random projection to as many numbers as they have
 * would only lose some of what they say.
 */
export function projectedBy(dims: number, size: number): ProjectedBy {
  return dims >= size ? "order" : "shifts";
}

/** The method that projects a parameter's gradients at random, `[N, dims]`. */
export function methodOfProjection(
  name: string,
  gradient: Factored,
  { dims, seed, by }: Required<ProjectOptions>,
): Method {
  const { shape } = gradient;
  return cheapest(
    by === "signs"
      ? projections(gradient, drawSigns(seed, name, shape, dims))
      : shifted(gradient, drawShifts(seed, name, shape, dims)),
  );
}
