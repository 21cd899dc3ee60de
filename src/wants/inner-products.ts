/** Inner products of per-sample gradients: with vectors, and with each other. */
import { PergradError } from "../errors.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { type ByParameter, type FloatTensor, float, totalNorm, under, type Want, type WantContext } from "./wanted.js";

/** The result of `want.dot`: inner products of each sample's gradient with a vector. */
export interface Dots {
  /** Over all parameters that have a vector, `[N]`. */
  readonly total: FloatTensor;
  /** `[N]` each. */
  readonly parameters: ByParameter;
}

function added(values: readonly Value[], otherwise: () => Value): Value {
  return values.length === 0 ? otherwise() : values.reduce((sum, value) => build.add(sum, value));
}

/**
 * The inner product of each sample's gradient with a vector: another gradient (of a validation set, of one sample), or
 * a direction in parameter space. Vectors are by parameter, `[...shape]`. `run` uses those given here unless it is
 * given others (`program.run(data, { vectors: { <want>: ... } })`), and only their parameters take part. Without them
 * all parameters take part, and `run` must be given the vectors.
 * @throws PergradError MISSING_TENSOR, SHAPE_MISMATCH when the program runs.
 */
export function dot(vectors?: ByParameter): Want<Dots> {
  return {
    name: "dot",
    requirements: { dot: 1 },
    ...(vectors ? { vectors } : {}),
    emit: ({ plan, losses, vector }) => {
      const names = vectors ? Object.keys(vectors) : plan.parameters;
      const unknown = names.find((name) => !plan.parameters.includes(name));
      if (unknown !== undefined)
        throw new PergradError(
          "MISSING_TENSOR",
          `A vector is given for "${unknown}", which is not a parameter here; leave it out.`,
        );
      const dots = names.map((name) => [`of/${name}`, plan.dot(name, vector(name))] as const);
      const all = dots.map(([, value]) => value);
      return { total: added(all, () => build.zeros(losses.shape, losses.dtype)), ...Object.fromEntries(dots) };
    },
    read: (returned) => ({ total: float(returned, "total"), parameters: under(returned, "of/") }),
  };
}

/** `[N, N]` */
function gramOf({ plan, losses }: WantContext): Value {
  const [samples = 0] = losses.shape;
  return added(
    plan.parameters.map((name) => plan.gram(name)),
    () => build.zeros([samples, samples], losses.dtype),
  );
}

/** The inner products of all pairs of samples' whole gradients, `[N, N]`. */
export function gram(): Want<FloatTensor> {
  return {
    name: "gram",
    requirements: { gram: 1 },
    emit: (wanted) => ({ gram: gramOf(wanted) }),
    read: (returned) => float(returned, "gram"),
  };
}

/** The cosines of the angles between all pairs of samples' whole gradients, `[N, N]`; 0 if a gradient is 0. */
export function cosine(): Want<FloatTensor> {
  return {
    name: "cosine",
    requirements: { gram: 1, norm: 1 },
    emit: (wanted) => {
      const norms = totalNorm(wanted);
      const products = build.mul(build.unsqueeze(norms, [1]), build.unsqueeze(norms, [0]));
      const zero = build.scalar(0, products);
      const safe = build.where(build.equal(products, zero), build.scalar(1, products), products);
      return { cosine: build.div(gramOf(wanted), safe) };
    },
    read: (returned) => float(returned, "cosine"),
  };
}
