/** Kronecker factors of each layer's curvature. */
import { invalidArgument, kindOf } from "../arguments.js";
import {
  type Approximation,
  type Bases,
  type Basis,
  blocksFor,
  gradientsInBasis,
  kroneckerSides,
  momentsInBasis,
  type Sides,
  usualSizes,
} from "../curvature/kronecker.js";
import type { Block } from "../curvature/layers.js";
import { kindOfTargets, type PseudoTargetKind } from "../curvature/pseudo-targets.js";
import { standingOf } from "../curvature/standing.js";
import { type Factored, sumPerSample } from "../gradients/factored.js";
import { Outer } from "../gradients/outer.js";
import { RowsGradient } from "../gradients/rows.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { leadingOf, present } from "../present.js";
import { productsWithGiven } from "./cross.js";
import { type ByParameter, type FloatTensor, float, type Returned, under, type Want } from "./wanted.js";

/** Options of `want.kroneckerFactors`. */
export interface KroneckerFactorsOptions {
  /**
   * The curvature that the factors are for. "empirical": the empirical Fisher matrix, for the true labels; "type2": the
   * generalised Gauss-Newton matrix, exactly, from a square root of the loss's second derivative in the output;
   * "drawn": an estimate of it, from `probes` random combinations of that root's columns for each sample.
   */
  readonly kind: "empirical" | "type2" | "drawn";
  /** For "drawn": the number of random vectors of signs. Default 1. */
  readonly probes?: number;
  /** For "drawn": the seed that they are drawn from. Default 0. */
  readonly seed?: number;
  /** How the positions of a layer (of a sequence, of an image) are combined. Default "expand". */
  readonly approximation?: Approximation;
}

/** The two factors of a layer. */
export interface KroneckerPair {
  /**
   * The second moments of its inputs, `[I, I]`; with a bias `[I + 1, I + 1]`, where the last input is the constant 1.
   * For a table whose rows are picked, and for more than 2,048 inputs, only their diagonal, `[I]`.
   */
  readonly A: FloatTensor;
  /**
   * The second moments of the cotangents of its outputs, `[O, O]`; for more than 2,048 outputs only their diagonal,
   * `[O]`.
   */
  readonly B: FloatTensor;
}

/** The approximate curvature of each layer. Every parameter is in one of the three records. */
export interface KroneckerFactors {
  /** By the weight's name; a layer's bias belongs to its weight. */
  readonly layers: Readonly<Record<string, KroneckerPair>>;
  /** For small parameters that are not matrices (gains, ...): the exact block, `[P, P]`. */
  readonly blocks: ByParameter;
  /** For larger ones: the exact diagonal, `[...shape]`. */
  readonly diagonals: ByParameter;
}

/**
 * KFAC: for each layer, two small matrices A and B whose Kronecker product approximates the layer's block of the
 * curvature, averaged over the samples (Martens and Grosse 2015; for several positions Eschenhagen et al. 2023,
 * "Kronecker-factored approximate curvature for modern neural network architectures"). Let a be the layer's inputs and
 * q the derivatives of a pseudo-target with respect to its outputs, for each of S positions. A is the mean of a a', and
 * B the sum over pseudo-targets and positions of q q'. "reduce" first takes the mean of a and the sum of q over
 * positions. `explain()` says how each parameter's curvature is approximated.
 * @throws PergradError INVALID_ARGUMENT: the kind, the approximation, probes or seed are invalid.
 */
export function kroneckerFactors(options: KroneckerFactorsOptions): Want<KroneckerFactors> {
  const { approximation = "expand", ...given } = options ?? {};
  const kind = kindOfTargets("want.kroneckerFactors", given);
  if (approximation !== "expand" && approximation !== "reduce")
    throw invalidArgument(
      `The approximation of want.kroneckerFactors must be "expand" or "reduce", not ${kindOf(approximation)}.`,
    );
  return {
    name: "kroneckerFactors",
    settings: { ...given, approximation },
    requirements: { factors: true },
    everyPosition: true,
    joining: "mean",
    emit: ({ differentiable }) =>
      Object.fromEntries(
        kroneckerSides(differentiable, kind, approximation, usualSizes).flatMap((sides) => named(sides)),
      ),
    notes: ({ differentiable }) => blocksFor(differentiable, kind).map((block) => described(block, approximation)),
    read: (returned) => ({
      layers: Object.fromEntries(
        Object.entries(under(returned, "B/")).map(([name, B]) => [name, pairOf(returned, name, B)]),
      ),
      blocks: under(returned, "block/"),
      diagonals: under(returned, "diagonal/"),
    }),
  };
}

/** For a matrix, A is the second moments of its columns divided by the trace of B, which is the trace of the whole. */
function pairOf(returned: Returned, name: string, B: FloatTensor): KroneckerPair {
  const columns = `columns/${name}`;
  if (!(columns in returned)) return { A: float(returned, `A/${name}`), B };
  const { dims, data } = float(returned, columns);
  const trace = traceOf(B);
  return { A: { dtype: "float32", dims, data: data.map((moment) => (trace === 0 ? moment : moment / trace)) }, B };
}

/** The trace of a matrix, or of one that is given by its diagonal. */
function traceOf({ dims: [size = 0, ...others], data }: FloatTensor): number {
  const step = others.length === 0 ? 1 : size + 1;
  let trace = 0;
  for (let k = 0; k < data.length; k += step) trace += data[k] ?? 0;
  return trace;
}

function named({ block, rows, columns }: Sides): [string, Value][] {
  const { name } = block;
  if (rows === null) {
    if (columns.shape.length === 2) return [[`block/${name}`, columns]];
    const shape = "gradient" in block ? block.gradient.shape : columns.shape;
    return [[`diagonal/${name}`, build.reshape(columns, shape)]];
  }
  const [A, B] = block.kind === "table" ? [rows, columns] : [columns, rows];
  return [
    [`${block.kind === "matrix" ? "columns" : "A"}/${name}`, A],
    [`B/${name}`, B],
  ];
}

/** How a block's curvature is approximated, as a sentence. */
function described(block: Block, approximation: Approximation): string {
  const { parameters, how } = standingOf(block, approximation, usualSizes);
  return `The curvature of ${parameters.map((name) => `"${name}"`).join(" and ")} is ${how}.`;
}

/** The eigenvalues in a basis of each block, averaged over the samples: by the block's name, `[rows, columns]`. */
export function eigenvaluesIn(kind: PseudoTargetKind, basisOf: (block: Block) => Basis): Want<ByParameter> {
  return {
    name: "eigenvalues",
    requirements: { factors: true },
    everyPosition: true,
    joining: "mean",
    emit: ({ differentiable }) => Object.fromEntries(momentsInBasis(differentiable, kind, basisOf)),
    read: (returned) => under(returned, ""),
  };
}

/**
 * Each sample's gradients in a basis of each block, divided by numbers `[rows, columns]`: by the block's name, `[N,
 * rows, columns]`.
 */
export function quotientsIn(bases: Bases, divisors: Divisors): Want<ByParameter> {
  return {
    name: "quotients",
    requirements: { factors: true },
    everyPosition: true,
    emit: ({ differentiable }) =>
      Object.fromEntries(
        [...gradientsInBasis(differentiable, bases)].map(([name, gradient]) => {
          const whole = gradient.materialise(build);
          return [name, build.div(whole, divisors(name, whole))];
        }),
      ),
    read: (returned) => under(returned, ""),
  };
}

/** The divisors of a block, by its name: `[rows, columns]`. */
export type Divisors = (block: string, like: Value) => Value;

/**
 * The inner products of each sample's gradient, in a basis of each block, with M vectors, `[N, M]`. Each run is given
 * them by `others`: `[M, rows, columns]` under each block's name.
 */
export function productsIn(bases: Bases, count: number): Want<FloatTensor> {
  return {
    name: "products",
    requirements: { factors: true },
    everyPosition: true,
    givenOthers: count,
    emit: (wanted) => ({
      products: productsWithGiven(wanted, gradientsInBasis(wanted.differentiable, bases), count),
    }),
    read: (returned) => float(returned, "products"),
  };
}

/**
 * The sum of the squares of each sample's gradient, in a basis of each block, divided by numbers `[rows, columns]`:
 * `[N]`.
 */
export function squaresIn(bases: Bases, divisors: Divisors): Want<FloatTensor> {
  return {
    name: "squares",
    requirements: { factors: true },
    everyPosition: true,
    emit: ({ differentiable }) => {
      const sums = [...gradientsInBasis(differentiable, bases)].map(([name, gradient]) => {
        const [like] = leadingOf(gradient.factors, 1);
        return squaresOver(gradient, divisors(name, gradient instanceof RowsGradient ? gradient.cotangents : like));
      });
      return { squares: build.op("Sum", sums) };
    },
    read: (returned) => float(returned, "squares"),
  };
}

/** For one position, from the squares of both factors: no tensor of the gradients' size arises. */
function squaresOver(gradient: Factored, divisors: Value): Value {
  if (gradient instanceof Outer && gradient.positions === 1) {
    const [rows, columns] = [gradient.rows, gradient.columns].map(build.square.bind(build));
    const reciprocal = build.div(build.scalar(1, divisors), divisors);
    return sumPerSample(build, build.mul(build.matmul(present(rows), reciprocal), present(columns)));
  }
  return sumPerSample(build, build.div(build.square(gradient.materialise(build)), divisors));
}
