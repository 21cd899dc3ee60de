/** Second derivatives of each sample's loss. */
import {
  estimatedDiagonal,
  hessianDiagonal as hessianDiagonals,
  jacobians,
  outputGradients,
  outputHessians,
  type Probes,
  tangentKernel,
} from "../curvature/columns.js";
import type { ByName, Differentiable } from "../curvature/differentiable.js";
import {
  gaussNewtonDiagonal,
  gaussNewtonTraces,
  meanGaussNewtonDiagonal,
} from "../curvature/gauss-newton-diagonals.js";
import {
  fisherProduct as fisherProducts,
  type Gradients,
  gaussNewtonProduct,
  hessianProduct,
  type Vectors,
} from "../curvature/products.js";
import { drawnFisherProduct, drawnOf } from "../curvature/pseudo-targets.js";
import { PergradError } from "../errors.js";
import { sumPerSample } from "../gradients/factored.js";
import type { Value } from "../graph/value.js";
import { meant } from "../meant.js";
import { build } from "../ops/registry.js";
import { allRequirements } from "../plan/questions.js";
import { gradients as ownGradients } from "./gradients.js";
import { type ByParameter, type FloatTensor, float, under, type Want, type WantContext } from "./wanted.js";

/** Options of wants for products with a vector. */
export interface ProductOptions {
  /**
   * By parameter, `[...shape]` each. `run` uses it unless it is given others (`run(data, { vectors: { <want>: ... }
   * })`). Only these parameters take part; for all others the vector is 0. Default: all take part, and `run` must be
   * given their vectors.
   */
  readonly vector?: ByParameter;
}

/**
 * What to compute from the products, as from gradients: `want.norms()`, `want.sum()`, `want.mean()`,
 * `want.project(...)`, ...
 */
export interface Giving<R> {
  /** A want that has no vectors and no other batch. */
  readonly give: Want<R>;
}

type Products = (of: Differentiable, gradients: Gradients, vectors: Vectors) => Gradients;

function gradientsOf({ plan }: WantContext): Gradients {
  return new Map(plan.parameters.map((name) => [name, plan.factored(name)]));
}

function vectorsOf({ plan, vector }: WantContext, given: ByParameter | undefined): Vectors {
  const names = given ? Object.keys(given) : plan.parameters;
  const unknown = names.find((name) => !plan.parameters.includes(name));
  if (unknown !== undefined)
    throw new PergradError(
      "MISSING_TENSOR",
      `A vector is given for "${unknown}", which is not a parameter here${meant(unknown, plan.parameters) || "; leave it out."}`,
    );
  return new Map(names.map((name) => [name, vector(name)]));
}

/** Each part of the result is a product with the whole gradient, or with a row of the whole Hessian. */
const spreading = { spreads: true } as const;

/** A want that computes from products with a vector what another want computes from gradients. */
function productWant<R>(name: string, products: Products, vector: ByParameter | undefined, inner: Want<R>): Want<R> {
  if (inner.vectors || inner.others)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The want ${name} cannot give want.${inner.name}, which has vectors or a batch of its own; multiply what want.gradients() gives.`,
    );
  const { joining, joinedAs, storage } = inner;
  return {
    name,
    requirements: { factors: true },
    ...(vector ? { vectors: vector } : {}),
    ...(joining ? { joining } : {}),
    ...(joinedAs ? { joinedAs } : {}),
    ...(storage ? { storage } : {}),
    emit: (wanted) => {
      const found = products(wanted.differentiable, gradientsOf(wanted), vectorsOf(wanted, vector));
      return inner.emit({ ...wanted, plan: wanted.plan.alike(found, allRequirements([inner.requirements])) });
    },
    read: (returned, samples) => inner.read(returned, samples),
  };
}

/**
 * Each sample's Hessian times a vector: H_n v, by parameter, `[N, ...shape]`; or what `give` makes of it.
 * Exact, by differentiating twice. Throws MISSING_TENSOR, UNSUPPORTED_OP; SHAPE_MISMATCH when the program runs.
 */
export function hvp(options?: ProductOptions): Want<ByParameter>;
export function hvp<R>(options: ProductOptions & Giving<R>): Want<R>;
export function hvp({ vector, give = ownGradients() }: ProductOptions & Partial<Giving<unknown>> = {}): Want<unknown> {
  return { ...productWant("hvp", hessianProduct, vector, give), twice: true };
}

/**
 * Each sample's generalised Gauss-Newton matrix times a vector: J_n' L_n J_n v, where J_n is the Jacobian of the output
 * that the loss reads and L_n the Hessian of the loss in that output. By parameter, `[N, ...shape]`; or what `give`
 * makes of it. Throws as `want.hvp` does.
 */
export function ggnProduct(options?: ProductOptions): Want<ByParameter>;
export function ggnProduct<R>(options: ProductOptions & Giving<R>): Want<R>;
export function ggnProduct({
  vector,
  give = ownGradients(),
}: ProductOptions & Partial<Giving<unknown>> = {}): Want<unknown> {
  return productWant("ggnProduct", gaussNewtonProduct, vector, give);
}

/** Options of `want.fisherProduct`: which labels the Fisher matrix is for. */
export interface FisherOptions extends ProductOptions, EstimateOptions {
  /**
   * "true": the labels in the data, for the empirical Fisher matrix. "drawn": labels that the model itself would
   * produce, simulated by `probes` random vectors for each sample (default 1); the expectation is the generalised
   * Gauss-Newton matrix. Default "true".
   */
  readonly labels?: "true" | "drawn";
}

/**
 * Each sample's part of the empirical Fisher matrix (true labels, uncentred) times a vector: g_n (g_n . v), by
 * parameter, `[N, ...shape]`; or what `give` makes of it. With `labels: "drawn"`, it is the mean of h_n (h_n . v) over
 * random vectors s of signs, where h_n = J_n' R_n s and R_n is a square root of the loss's second derivative. The signs
 * depend on a sample's place among those that are computed together.
 * @throws PergradError INVALID_ARGUMENT: labels, probes or seed are invalid; UNSUPPORTED_OP: no square root of the loss
 *   is known; and what `want.hvp` throws.
 */
export function fisherProduct(options?: FisherOptions): Want<ByParameter>;
export function fisherProduct<R>(options: FisherOptions & Giving<R>): Want<R>;
export function fisherProduct({
  vector,
  give = ownGradients(),
  labels = "true",
  probes,
  seed,
}: FisherOptions & Partial<Giving<unknown>> = {}): Want<unknown> {
  if (labels !== "true" && labels !== "drawn")
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The labels of want.fisherProduct must be "true" or "drawn", not ${JSON.stringify(labels)}.`,
    );
  if (labels === "drawn") {
    const drawn = drawnOf("want.fisherProduct", { probes, seed });
    const products: Products = (of, _gradients, vectors) => drawnFisherProduct(of, drawn, vectors);
    return {
      ...spreading,
      ...productWant("fisherProduct", products, vector, give),
      settings: { labels, probes, seed },
    };
  }
  if (probes !== undefined || seed !== undefined)
    throw new PergradError(
      "INVALID_ARGUMENT",
      'The want fisherProduct draws no labels unless labels is "drawn"; give that, or leave out probes and seed.',
    );
  return { ...spreading, ...productWant("fisherProduct", fisherProducts, vector, give) };
}

function named(values: ByName): Record<string, Value> {
  return Object.fromEntries(values);
}

/**
 * The diagonal of each sample's generalised Gauss-Newton matrix: by parameter, `[N, ...shape]`; or their mean. The
 * exact diagonal takes a backward pass for each element of a sample's output. With `probes` it is an unbiased estimate
 * from that many passes, for random combinations of the elements (BackPACK's Monte-Carlo estimate); the signs depend on
 * a sample's place among those that are computed together.
 * @throws PergradError INVALID_ARGUMENT: `probes` or `seed` is invalid; UNSUPPORTED_OP: no square root of the loss's
 *   second derivative is known, and `probes` needs one.
 */
export function ggnDiagonal({ probes, seed, mean = false }: DiagonalOptions = {}): Want<ByParameter> {
  const kind = probes === undefined ? "type2" : drawnOf("want.ggnDiagonal", { probes, seed });
  if (typeof mean !== "boolean")
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The option mean of want.ggnDiagonal must be true or false, not ${String(mean)}; leave it out for each sample's own.`,
    );
  const diagonal = mean ? meanGaussNewtonDiagonal : gaussNewtonDiagonal;
  return {
    name: "ggnDiagonal",
    settings: { probes, seed, mean },
    requirements: { factors: true },
    ...(mean ? { joining: "mean", fewAtATime: true } : {}),
    emit: ({ differentiable }) => named(diagonal(differentiable, kind)),
    read: (returned) => under(returned, ""),
  };
}

/** Options of `want.ggnDiagonal`. */
export interface DiagonalOptions extends EstimateOptions {
  /**
   * Compute the mean over the batch, `[...shape]` each, in less time and much less memory than each sample's own
   * diagonal. Default false.
   */
  readonly mean?: boolean;
}

/** Options for estimates from random vectors instead of exact numbers. */
export interface EstimateOptions {
  /**
   * The number of random vectors of signs; the error falls with its square root. Default: none, the result is exact.
   */
  readonly probes?: number;
  /** The seed that they are drawn from. Default 0. */
  readonly seed?: number;
}

/** Throws INVALID_ARGUMENT. */
function probesOf(call: string, { probes, seed = 0 }: EstimateOptions): Probes | null {
  if (probes === undefined) return null;
  if (!Number.isSafeInteger(probes) || probes < 1)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `${call}: probes must be a whole number from 1 up, not ${String(probes)}.`,
    );
  return { count: probes, seed };
}

function hessianDiagonalsOf(wanted: WantContext, probes: Probes | null): ByName {
  const { differentiable } = wanted;
  const gradients = gradientsOf(wanted);
  return probes ? estimatedDiagonal(differentiable, gradients, probes) : hessianDiagonals(differentiable, gradients);
}

/**
 * The diagonal of each sample's Hessian: by parameter, `[N, ...shape]`. The exact diagonal takes a product with a
 * vector for each element of the parameters, so it suits small models only. With `probes` it is an unbiased estimate
 * from products with that many vectors of random signs (Hutchinson's method). The variance of an element is the sum of
 * the squares of the other elements in its row of the Hessian, divided by `probes`.
 * @throws PergradError INVALID_ARGUMENT: `probes` is not a whole number.
 */
export function hessianDiagonal(options: EstimateOptions = {}): Want<ByParameter> {
  const probes = probesOf("want.hessianDiagonal", options);
  return {
    name: "hessianDiagonal",
    settings: { ...options },
    twice: true,
    ...spreading,
    requirements: { factors: true },
    emit: (wanted) => named(hessianDiagonalsOf(wanted, probes)),
    read: (returned) => under(returned, ""),
  };
}

/** The result of `want.trace`: traces of each sample's matrix. */
export interface Traces {
  /** Over all parameters, `[N]`. */
  readonly total: FloatTensor;
  /** The part of each parameter, `[N]` each. */
  readonly parameters: ByParameter;
}

/** Options of `want.trace`. */
export interface TraceOptions extends EstimateOptions {
  /**
   * The matrix: "hessian", the second derivatives; "ggn", the generalised Gauss-Newton matrix; "fisher", g_n g_n'.
   * Default "hessian".
   */
  readonly of?: "hessian" | "ggn" | "fisher";
}

/**
 * The trace of each sample's matrix. It is exact or, for the Hessian with `probes`, an unbiased estimate (Hutchinson
 * 1990), at the cost of `want.hessianDiagonal`.
 * @throws PergradError INVALID_ARGUMENT: `of` names no matrix, or `probes` is not a whole number, or `probes` is given
 *   for another matrix than the Hessian.
 */
export function trace({ of = "hessian", ...estimate }: TraceOptions = {}): Want<Traces> {
  const probes = probesOf("want.trace", estimate);
  if (probes && of !== "hessian")
    throw new PergradError("INVALID_ARGUMENT", `The trace of the ${of} by want.trace is exact; leave out probes.`);
  if (!["hessian", "ggn", "fisher"].includes(of))
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The matrix of want.trace must be "hessian", "ggn" or "fisher", not ${JSON.stringify(of)}.`,
    );
  return {
    name: "trace",
    settings: { of, ...estimate },
    ...(of === "hessian" ? { twice: true, ...spreading } : {}),
    requirements: of === "fisher" ? { norm: 1 } : { factors: true },
    emit: (wanted) => {
      const parts = [...traceParts(wanted, of, probes)];
      const values = parts.map(([, value]) => value);
      return {
        total: values.reduce((sum, value) => build.add(sum, value)),
        ...Object.fromEntries(parts.map(([name, value]) => [`of/${name}`, value])),
      };
    },
    read: (returned) => ({ total: float(returned, "total"), parameters: under(returned, "of/") }),
  };
}

function traceParts(wanted: WantContext, of: NonNullable<TraceOptions["of"]>, probes: Probes | null): ByName {
  const { plan, differentiable } = wanted;
  if (of === "fisher") return new Map(plan.parameters.map((name) => [name, plan.squaredNorm(name)]));
  if (of === "ggn") return gaussNewtonTraces(differentiable);
  const diagonals = hessianDiagonalsOf(wanted, probes);
  return new Map([...diagonals].map(([name, diagonal]) => [name, sumPerSample(build, diagonal)]));
}

/** The Jacobian of each sample's output in the parameters: by parameter, `[N, ...output, ...shape]`. */
export function jacobian(): Want<ByParameter> {
  return {
    name: "jacobian",
    requirements: { factors: true },
    emit: ({ differentiable }) => named(jacobians(differentiable)),
    read: (returned) => under(returned, ""),
  };
}

/**
 * The empirical neural tangent kernel, `[N, N]`: for each pair of samples, the inner product of their Jacobians, summed
 * over the elements of the output (Jacot et al. 2018, "Neural tangent kernel").
 */
export function ntk(): Want<FloatTensor> {
  return {
    name: "ntk",
    requirements: { factors: true },
    emit: ({ differentiable }) => ({ ntk: tangentKernel(differentiable) }),
    read: (returned) => float(returned, "ntk"),
  };
}

/**
 * The Hessian of each sample's loss in the elements of its output, `[N, elements, elements]`: for outputs with few
 * elements.
 */
export function outputHessian(): Want<FloatTensor> {
  return {
    name: "outputHessian",
    requirements: {},
    emit: ({ differentiable }) => ({ hessian: outputHessians(differentiable) }),
    read: (returned) => float(returned, "hessian"),
  };
}

/** The gradient of each sample's loss in its output, `[N, ...output]`. */
export function outputGradient(): Want<FloatTensor> {
  return {
    name: "outputGradient",
    requirements: {},
    emit: ({ differentiable }) => ({ gradient: outputGradients(differentiable) }),
    read: (returned) => float(returned, "gradient"),
  };
}
