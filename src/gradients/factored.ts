/**
 * A factored gradient: the per-sample gradients of one parameter, `[N, ...shape]`, held as the tensors they are made
 * from and not materialised until a want needs that. Each kind has a file. All kinds answer the same questions, and may
 * have several methods for one question.
 */

import { elementsOf, factorOf, N, type Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { Along, ViewStep } from "../ops/definition.js";
import { nth } from "../present.js";
import { addCosts, type Cost, costOfSquare } from "./cost.js";

export { addCosts, type Cost, cheapest, costOfScatter } from "./cost.js";

export type Kind = "outer" | "convolution" | "rows" | "dense" | "sum";

/** One of several equal ways to compute the answer to a question. `Given` is what the answer depends on. */
export interface Method<Given extends readonly unknown[] = []> extends Cost {
  readonly name: string;
  /** It uses the result of `materialise`: cheap if another answer computes that anyway. */
  readonly dense: boolean;
  /** It holds less at a time than the others: for use when memory is short. Default false. */
  readonly lowMemory?: boolean;
  emit(build: Build, ...given: Given): Value;
}

/** A method for a sum of gradients, for a question that is linear in them: adds the answers for the terms. */
export function termByTerm<Given extends readonly unknown[]>(methods: readonly Method<Given>[]): Method<Given> {
  return {
    name: "term by term",
    ...addCosts(methods),
    dense: false,
    emit: (build, ...given) =>
      methods.map((method) => method.emit(build, ...given)).reduce((sum, answer) => build.add(sum, answer)),
  };
}

/** The name of the methods that unfold a convolution's data one block of positions at a time. */
export const blockedUnfold = "blocked unfold";

/** A method for the squared norms, `[N]`. */
export type NormMethod = Method;
/**
 * A method for the sum over samples of weights[n] times gradient n, `[...shape]`. Weights are `[N]`, `[]` for one that
 * all samples share, or null for ones.
 */
export type SumMethod = Method<[weights: Value | null]>;
/** A method for the inner products of each sample's gradient with a vector of the parameter's shape, `[N]`. */
export type DotMethod = Method<[vector: Value]>;
/**
 * A method for the sum over samples of the squares of gradient n minus the batch mean, element by element,
 * `[...shape]`. It does not subtract sums: if all gradients are nearly alike, rounding would leave nothing of the
 * difference.
 */
export type SquaresMethod = Method;
/** A method for the inner products of all pairs of samples' gradients, `[N, N]`. */
export type GramMethod = Method;

export interface Factored {
  readonly kind: Kind;
  /** The shape of one sample's gradient, which is the parameter's: without N. */
  readonly shape: Shape;
  /** The number of positions t summed within a sample; 1 if the gradient is a plain outer product or dense. */
  readonly positions: number;
  /** The gradients that these are the sum of: the terms of a `sum`, else the gradients themselves. */
  readonly terms: readonly Factored[];
  /**
   * Whether sums over samples are one product of two factors, so that a scalar can also be applied afterwards. Default
   * false.
   */
  readonly oneProduct?: boolean;
  /** How a convolution's data is unfolded. */
  readonly unfolding?: string;
  /** The tensors that the gradients are made from, each with the samples first. */
  readonly factors: readonly Value[];
  /** Gradients of the same form, made from other tensors, which may hold another number of samples. */
  withFactors(factors: readonly Value[]): Factored;
  /** The number of floats per sample that the factors hold. */
  readonly held: number;
  /** The same gradients, of a parameter reshaped or transposed. */
  view(step: ViewStep): Factored;
  /** The gradients mapped along one axis, by mapping a factor; null if no factor holds the axis. */
  along(build: Build, step: Along): Factored | null;
  /** The gradients times a scalar that all samples share. */
  scaled(build: Build, factor: Value): Factored;
  /** The gradients themselves, `[N, ...shape]`. */
  materialise(build: Build): Value;
  /** The cost of `materialise`. */
  readonly materialisation: Cost;
  /** Methods for the squared 2-norm of each sample's gradient, `[N]`. */
  squaredNorms(): readonly NormMethod[];
  weightedSums(): readonly SumMethod[];
  dots(): readonly DotMethod[];
  sumsOfSquares(): readonly SquaresMethod[];
}

/** The number of elements of one sample's gradient. */
export function sizeOfGradient(gradient: Pick<Factored, "shape">): number {
  return factorOf(elementsOf(gradient.shape) ?? Number.NaN);
}

/** The sum over all axes but the first, `[N]`. */
export function sumPerSample(build: Build, value: Value): Value {
  return build.sum(value, value.shape.map((_, axis) => axis).slice(1));
}

/** The sum of squares over all axes but the first, `[N]`. */
export function sumOfSquares(build: Build, value: Value): Value {
  const axes = value.shape.map((_, axis) => axis).slice(1);
  const single = axes.every((axis) => value.shape[axis] === 1);
  return single
    ? build.square(build.reshape(value, value.shape.slice(0, 1)))
    : build.reduce("ReduceSumSquare", value, axes);
}

/** The number of samples as a float32 scalar, or 1 if there are none. */
export function sampleCount(build: Build): Value {
  const one = build.filled(1, [], "float32");
  return build.op("Max", [build.sum(build.expand(one, [N])), one]);
}

/** The mean over the samples of a value `[N, ...]`, keeping an axis of size 1; 0 if there are no samples. */
export function meanOfSamples(build: Build, value: Value): Value {
  return build.div(build.reduce("ReduceSum", value, [0], true), sampleCount(build));
}

/** The sum over n of the squares of value n minus the mean, for a value `[N, ...]`. */
export function squaredDeviations(build: Build, value: Value): Value {
  return build.reduce("ReduceSumSquare", build.sub(value, meanOfSamples(build, value)), [0]);
}

/**
 * Replaces negative numbers by 0: a squared norm of 0 that is computed from products may round to a small negative
 * number.
 */
export function notNegative(build: Build, squares: Value): Value {
  return build.op("Max", [squares, build.scalar(0, squares)]);
}

/** A value `[N, ...]` times its samples' weights: `[N]`, or `[]` for one that all share, or null for ones. */
export function weighted(build: Build, value: Value, weights: Value | null): Value {
  if (!weights) return value;
  const shared = weights.shape.length === 0;
  return build.mul(value, shared ? weights : build.reshape(weights, [N, ...value.shape.slice(1).map(() => 1)]));
}

/** The sum over n of weights[n] * value[n], for a value `[N, ...]`; a weight that all samples share scales the sum. */
export function weightedSumOf(build: Build, value: Value, weights: Value | null): Value {
  if (weights?.shape.length === 0) return build.mul(weightedSumOf(build, value, null), weights);
  const rest = value.shape.slice(1);
  const size = factorOf(elementsOf(rest) ?? Number.NaN);
  const [samples = 1] = value.shape;
  const flat = build.reshape(value, [samples, size]);
  // The runtime multiplies by ones two to three times as fast as it sums over the first axis.
  const row = weights ? build.reshape(weights, [1, samples]) : build.expand(build.scalar(1, value), [1, samples]);
  return build.reshape(build.matmul(row, flat), rest);
}

/** The methods that every kind has: materialise the gradients, then compute with them. */
export function denseNorm(gradient: Factored): NormMethod {
  const size = sizeOfGradient(gradient);
  const { operations, floats } = gradient.materialisation;
  return {
    name: "materialise",
    operations,
    floats: floats + costOfSquare * size,
    dense: true,
    emit: (build) => sumOfSquares(build, gradient.materialise(build)),
  };
}

export function denseSum(gradient: Factored): SumMethod {
  const size = sizeOfGradient(gradient);
  const { operations, floats } = gradient.materialisation;
  return {
    name: "materialise",
    operations: operations + size,
    floats: floats + size,
    once: size,
    dense: true,
    emit: (build, weights) => weightedSumOf(build, gradient.materialise(build), weights),
  };
}

/** The materialised gradients with one row per sample, `[N, elements]`. */
export function flat(build: Build, gradient: Factored): Value {
  const whole = gradient.materialise(build);
  return build.reshape(whole, [nth(whole.shape, 0), sizeOfGradient(gradient)]);
}

/** The cost of a dense method for a question that reads each element `times` times. */
function denseMethod(gradient: Factored, times: number): Omit<Method, "emit"> {
  const size = sizeOfGradient(gradient);
  const { operations, floats } = gradient.materialisation;
  return { name: "materialise", operations: operations + times * size, floats: floats + size, dense: true };
}

export function denseDot(gradient: Factored): DotMethod {
  return {
    ...denseMethod(gradient, 1),
    emit: (build, vector) => {
      const column = build.reshape(vector, [sizeOfGradient(gradient), 1]);
      return build.reshape(build.matmul(flat(build, gradient), column), [N]);
    },
  };
}

export function denseSquares(gradient: Factored): SquaresMethod {
  return {
    ...addCosts([denseMethod(gradient, 0), { operations: 0, floats: 2 * sizeOfGradient(gradient) }]),
    name: "materialise",
    dense: true,
    emit: (build) => squaredDeviations(build, gradient.materialise(build)),
  };
}
