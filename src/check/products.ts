/**
 * Products of one sample's curvature with a vector, by ordinary differentiation of the graph: without per-sample code,
 * factors, or the formulas that losses give for their second derivative.
 */
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { Ranges } from "../analysis/ranges.js";
import { pushForward } from "../autodiff/forward.js";
import { plain, reverse } from "../autodiff/reverse.js";
import type { Objective } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import type { Array64 } from "../float64/array64.js";
import { substitute } from "../graph/body.js";
import { factorOf } from "../graph/dim.js";
import { leaf, type Value } from "../graph/value.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { nth } from "../present.js";
import type { FloatTensor } from "../wants/want.js";

/** The wants that are such products. */
export const productNames = ["hvp", "ggnProduct"] as const;
export type ProductName = (typeof productNames)[number];

/** A want that is not compared, and why. */
export interface SkippedWant {
  readonly want: string;
  /** The reason, as a sentence. */
  readonly reason: string;
}

export interface PlainProducts {
  /** The vectors, `[...shape]` for each parameter: the place of each in the graph, and its numbers. */
  readonly vectors: ReadonlyMap<string, { readonly value: Value; readonly tensor: FloatTensor }>;
  /** By `<want>/<parameter>`, for the sum of all losses. */
  readonly values: ReadonlyMap<string, Value>;
  /**
   * A backward pass from the output, for each parameter in order, and the leaf in the output's shape from which it
   * starts.
   */
  readonly jacobian: {
    readonly seed: Value;
    readonly rows: readonly Value[];
    /** Whether the data may hold NaN or infinity. */
    readonly notFiniteInputs: boolean;
  } | null;
  /** Wants for which the model has no second derivative. */
  readonly skipped: readonly SkippedWant[];
}

/** Used if no second derivatives are requested. */
export const noProducts: PlainProducts = { vectors: new Map(), values: new Map(), jacobian: null, skipped: [] };

/**
 * @param gradients of the sum of all losses, in the order of the objective's parameters
 * @param notFiniteInputs whether the data may hold NaN or infinity
 */
export function plainProducts(
  objective: Objective,
  gradients: readonly Value[],
  notFiniteInputs: boolean,
): PlainProducts {
  const random = xoroshiro128plus(0);
  const vectors = new Map(
    [...objective.parameters].map(([name, parameter]) => {
      const dims = parameter.shape.map(factorOf);
      const data = Float32Array.from({ length: elementFactor(dims) }, () => apartFromZero(random.next()));
      const value = leaf(`vector/${name}`, parameter, { kind: "parameter" });
      return [name, { value, tensor: { dtype: "float32" as const, dims, data } }];
    }),
  );
  const along = [...vectors.values()].map(({ value }) => value);
  const values = new Map<string, Value>();
  const skipped: SkippedWant[] = [];
  for (const want of productNames) {
    const found = ofModel(want, () =>
      want === "hvp"
        ? hessianProduct(objective, gradients, along, notFiniteInputs)
        : gaussNewtonProduct(objective, along, notFiniteInputs),
    );
    if ("reason" in found) skipped.push(found);
    else [...vectors.keys()].forEach((name, k) => void values.set(`${want}/${name}`, nth(found.products, k)));
  }
  const seed = leaf("seed", objective.output, { kind: "input" });
  const rows = pulled(objective.output, seed, [...objective.parameters.values()], notFiniteInputs);
  return { vectors, values, jacobian: { seed, rows, notFiniteInputs }, skipped };
}

/**
 * Turns 32 random bits into a number between 1/2 and 1 or its negative, so that no element of a product goes unnoticed.
 */
const apartFromZero = (bits: number) => (bits < 0 ? -1 : 1) * (0.5 + Math.abs(bits) / 2 ** 32);

/** The results, or the reason why this model has none. Throws any other error. */
function ofModel(want: ProductName, compute: () => readonly Value[]): { products: readonly Value[] } | SkippedWant {
  try {
    return { products: compute() };
  } catch (error) {
    if (!(error instanceof PergradError) || error.code !== "UNSUPPORTED_OP") throw error;
    return { want, reason: error.message };
  }
}

/** The gradient of g . v, reverse over reverse. */
function hessianProduct(
  { parameters, losses }: Objective,
  gradients: readonly Value[],
  vectors: readonly Value[],
  notFiniteInputs: boolean,
): Value[] {
  const slope = gradients
    .map((gradient, k) => build.sum(build.mul(gradient, nth(vectors, k))))
    .reduce((sum, each) => build.add(sum, each), build.scalar(0, losses));
  return pulled(slope, build.scalar(1, slope), [...parameters.values()], notFiniteInputs);
}

/** J' L J v: forward to the output, twice through the loss, and back. */
function gaussNewtonProduct(
  { parameters, losses, output }: Objective,
  vectors: readonly Value[],
  notFiniteInputs: boolean,
): Value[] {
  const targets = [...parameters.values()];
  const tangents = new Map(targets.map((target, k) => [target, nth(vectors, k)]));
  const change = pushForward(output, tangents, build, { notFiniteInputs });
  // The change depends on the output, but the loss's derivatives must not go through it.
  const constant = leaf("change", output, { kind: "input" });
  const ones = build.expand(build.scalar(1, losses), losses.shape);
  const slope = nth(pulled(losses, ones, [output], notFiniteInputs), 0);
  const product = build.sum(build.mul(slope, constant));
  const seed = nth(pulled(product, build.scalar(1, product), [output], notFiniteInputs), 0);
  const given = nth(substitute([seed], new Map([[constant, change]])), 0);
  return pulled(output, given, targets, notFiniteInputs);
}

/** The derivatives of a value in others, by ordinary reverse mode: zeros if it does not depend on one. */
export function pulled(value: Value, seed: Value, targets: readonly Value[], notFiniteInputs: boolean): Value[] {
  const ranges = Ranges.before([value, seed], { notFiniteInputs });
  const found = reverse(new Map([[value, seed]]), new Set(targets), plain, ranges);
  return targets.map((target) => found.get(target) ?? build.zeros(target.shape, target.dtype));
}

/** For each element of one sample's part of a value, `[1, ...]`: 1 at that element, and 0 elsewhere. */
export function unitsLike({ shape }: Value): Array64[] {
  const [, ...own] = shape;
  const dims = [1, ...own.map(factorOf)];
  const size = elementFactor(own);
  return Array.from({ length: size }, (_, k) => {
    const data = new Float64Array(size);
    data[k] = 1;
    return { dims, data };
  });
}
