/** Diagonals and traces of the generalised Gauss-Newton matrix: sums over the columns of a root of the loss's second derivative. */

import { ConvolutionGradient } from "../gradients/convolution.js";
import { cheapest, type Factored, sampleCount, sumPerSample } from "../gradients/factored.js";
import { Outer } from "../gradients/outer.js";
import { factorOf, multiply } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { dependentsOf, nodesBefore } from "../graph/walk.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { leadingOf, nth, present } from "../present.js";
import { type ByName, type Differentiable, perParameter } from "./differentiable.js";
import { type PseudoTargetKind, pseudoTargets, type Summed } from "./pseudo-targets.js";

/**
 * The diagonals of J_n' L_n J_n, `[N, ...shape]`. If a square root R_n of L_n is known, they are the sums of the squares of the
 * rows of R_n' J_n (Dangel et al. 2020, "BackPACK"). If not, they are the sums, over the elements o of the output, of row o of
 * J_n times row o of L_n J_n; L_n may then be any symmetric matrix.
 */
export function gaussNewtonDiagonal(of: Differentiable, kind: PseudoTargetKind = "type2"): ByName {
  return diagonalBy(of, kind, ofEachSample);
}

/** Their mean over the samples, `[...shape]`. It is summed over the samples early, so that little is held for each of them. */
export function meanGaussNewtonDiagonal(of: Differentiable, kind: PseudoTargetKind = "type2"): ByName {
  return diagonalBy(of, kind, ofTheMean(build.div(build.scalar(1, of.losses), sampleCount(build))));
}

function diagonalBy(of: Differentiable, kind: PseudoTargetKind, made: OfSamples): ByName {
  const targets = pseudoTargets(of, kind);
  const { gradients, weighted, seed } = targets;
  const factors = [...gradients.values(), ...weighted.values()].flatMap((gradient) => gradient.factors);
  const dependent = dependentsOf([seed], nodesBefore(factors));
  const products = [...gradients].map(([name, own]) => productOf(own, present(weighted.get(name)), dependent, made));
  const sums = targets.sum(products);
  return perParameter(
    of,
    products.map(({ whole }, k) => whole(nth(sums, k))),
  );
}

/** The traces of each parameter's part of J_n' L_n J_n, `[N]`: sums of squared norms, of gradients that may stay factored. */
export function gaussNewtonTraces(of: Differentiable, kind: PseudoTargetKind = "type2"): ByName {
  const targets = pseudoTargets(of, kind);
  if (targets.gradients !== targets.weighted)
    return new Map([...gaussNewtonDiagonal(of)].map(([name, diagonal]) => [name, sumPerSample(build, diagonal)]));
  const norms = [...targets.gradients.values()].map((gradient) => cheapest(gradient.squaredNorms()).emit(build));
  return perParameter(of, targets.sum(norms.map((value) => ({ value }))));
}

/** The product of two gradients, element by element, which is summed over directions. */
interface Product extends Summed {
  /** The product's sum, `[N, ...shape]` or `[...shape]`, from the value's sum. */
  whole(sum: Value): Value;
}

/** Whether the samples' products stay apart, or are averaged. */
interface OfSamples {
  /** For a product that is factored. */
  factored(product: Factored): Value;
  /** The sum over the axis of the directions, which is the first or follows that of the samples; perhaps over the samples too. */
  summed(numbers: Value, axis: number): Value;
  /** The result, from a sum over samples. */
  scaled(sum: Value): Value;
  /** The sum is small beside what is summed, which may come in parts. */
  readonly isSmall: boolean;
}

const ofEachSample: OfSamples = {
  factored: (product) => product.materialise(build),
  summed: (numbers, axis) => build.sum(numbers, [axis]),
  scaled: (sum) => sum,
  isSmall: false,
};

/** @param weight 1 / N */
const ofTheMean = (weight: Value): OfSamples => ({
  factored: (product) => cheapest(product.weightedSums()).emit(build, weight),
  summed: (numbers, axis) => (axis < 2 ? sumOverLeading(numbers) : build.sum(numbers, [0, axis])),
  scaled: (sum) => build.mul(sum, weight),
  isSmall: true,
});

/** The sum over the first two axes, joined to one: the runtime sums that fastest. */
function sumOverLeading(numbers: Value): Value {
  const [samples, count, ...rest] = leadingOf(numbers.shape, 2);
  const joined = build.reshape(numbers, [present(multiply(samples, count)), ...rest]);
  return build.sum(joined, [0]);
}

/**
 * If a gradient has one position, and one of its factors is the same for all directions, the products of the other factors are
 * summed first, and multiplied out once.
 */
function productOf(own: Factored, other: Factored, dependent: ReadonlySet<Value>, made: OfSamples): Product {
  const [first, second] = own.factors;
  const [left, right] = other.factors;
  const splits = (own.kind === "outer" || own.kind === "convolution") && own.kind === other.kind && own.positions === 1;
  if (splits && first && second && left && right && own.terms.length === 1) {
    if (first === left && !dependent.has(first))
      return {
        value: build.mul(second, right),
        whole: (sum) => made.factored(own.withFactors([build.square(first), sum])),
      };
    if (second === right && !dependent.has(second))
      return {
        value: build.mul(first, left),
        whole: (sum) => made.factored(own.withFactors([sum, build.square(second)])),
      };
  }
  if (own === other && own instanceof Outer && !(own instanceof ConvolutionGradient && own.inBlocks)) {
    const { rows, columns } = own;
    if (!dependent.has(columns)) return squaresOf(own, rows, columns, made);
    if (!dependent.has(rows)) return squaresOf(own, columns, rows, made);
  }
  const factor = own.materialise(build);
  return {
    value: build.mul(factor, own === other ? factor : other.materialise(build)),
    over: (all) => made.summed(all, 0),
    whole: made.scaled,
  };
}

/**
 * The squares of gradients that have one factor in common for all directions. For each sample, that factor is multiplied
 * once by the other factor's columns, those of all directions or of some at a time.
 */
function squaresOf(own: Outer, each: Value, same: Value, made: OfSamples): Product {
  const axis = own.blocked ? 2 : 1;
  return {
    value: each,
    over: (all) => {
      // [directions, N, (B,) T, D] to [N, (B,) directions, D, T]
      const rank = all.shape.length;
      const ahead = Array.from({ length: axis }, (_, k) => k + 1);
      const columns = build.transpose(all, [...ahead, 0, rank - 1, rank - 2]);
      return partsOf(columns, axis, same, made)
        .map((part) => squaresOfColumns(part, axis, same, made))
        .reduce((sum, part) => build.add(sum, part));
    },
    whole: (sum) => own.viewed.apply(build, made.scaled(each === own.rows ? sum : build.transposeLast(sum))),
  };
}

/** @param columns `[N, (B,) directions, D, T]` */
function squaresOfColumns(columns: Value, axis: number, same: Value, made: OfSamples): Value {
  const [count, size, positions] = leadingOf(columns.shape.slice(axis).map(factorOf), 3);
  const leading = columns.shape.slice(0, axis);
  const product = build.matmul(build.reshape(columns, [...leading, count * size, positions]), same);
  const width = nth(product.shape, axis + 1);
  return made.summed(build.reshape(build.square(product), [...leading, count, size, width]), axis);
}

/**
 * Of each sample, so many squares at a time stay in the cache with those of a few other samples. Products of fewer rows than
 * this take longer than that gains: MNIST's small CNN takes 0.96 times as long with three directions at a time, of 32 rows
 * each, as with all nine, and 1.04 times with one.
 */
const cachedSquares = 2 ** 15;
const leastRows = 96;

/** The columns of as many directions as are multiplied at a time. */
function partsOf(columns: Value, axis: number, same: Value, { isSmall }: OfSamples): Value[] {
  const [count, size] = leadingOf(columns.shape.slice(axis).map(factorOf), 2);
  const width = factorOf(nth(same.shape, same.shape.length - 1));
  const squares = elementFactor(columns.shape.slice(1, axis)) * size * width;
  const atOnce = Math.max(Math.ceil(leastRows / size), Math.floor(cachedSquares / squares));
  const parts = Math.ceil(count / atOnce);
  if (!isSmall || parts < 2) return [columns];
  const length = Math.ceil(count / parts);
  return Array.from({ length: Math.ceil(count / length) }, (_, k) =>
    build.slice(columns, axis, k * length, Math.min(count, (k + 1) * length)),
  );
}
