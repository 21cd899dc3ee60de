/** Activations, and layers that only change the shape. */
import { elementsOf, type Shape } from "../graph/dim.js";
import type { Attributes } from "../graph/value.js";
import { addOperators } from "../ops/registry.js";
import { moreActivations } from "../ops/rules/more-activations.js";
import { exactGelus } from "../ops/subgraphs/gelu.js";
import { onePlusErf } from "../ops/subgraphs/one-plus-erf.js";
import { axisOf, invalid, specOf } from "../trace/shape.js";
import type { Traced } from "../trace/traced.js";
import type { Module } from "./module.js";

function plain(name: string, forward: (x: Traced) => Traced): Module {
  return { name, parameters: {}, forward };
}

function operator(name: string, op: string, attributes: Attributes = {}): Module {
  return plain(name, (x) => x.onnx(op, [], attributes));
}

/** An operator that a page loads only on demand (ops/rare.ts). */
function operatorOfFew(name: string, op: string, attributes: Attributes = {}): Module {
  return plain(name, (x) => {
    addOperators([...moreActivations, onePlusErf, ...exactGelus]);
    return x.onnx(op, [], attributes);
  });
}

/** x itself. */
export const identity = (): Module => plain("identity", (x) => x);
/** max(0, x). Its derivative at 0 is 0. */
export const relu = (): Module => operator("relu", "Relu");
/** 1 / (1 + exp(-x)). */
export const sigmoid = (): Module => operator("sigmoid", "Sigmoid");
/** The hyperbolic tangent. */
export const tanh = (): Module => operator("tanh", "Tanh");
/** log(1 + exp(x)). */
export const softplus = (): Module => operator("softplus", "Softplus");
/**
 * The self-normalising exponential linear unit (Klambauer et al. 2017): scale * (x, or alpha * (exp(x) - 1) if x is
 * negative).
 */
export const selu = (): Module => operator("selu", "Selu");
/** max(0, min(1, x / 6 + 1 / 2)), like PyTorch's `Hardsigmoid`. */
export const hardSigmoid = (): Module => operator("hardSigmoid", "HardSigmoid", { alpha: 1 / 6, beta: 0.5 });
/** x * hardSigmoid(x). */
export const hardSwish = (): Module => operatorOfFew("hardSwish", "HardSwish");
/** x * tanh(softplus(x)). */
export const mish = (): Module => operatorOfFew("mish", "Mish");

/** x, or slope * x if x is negative. */
export const leakyRelu = (slope = 0.01): Module => operator("leakyRelu", "LeakyRelu", { alpha: slope });

/** x, or alpha * (exp(x) - 1) if x is negative. */
export const elu = (alpha = 1): Module => operator("elu", "Elu", { alpha });

/** Options of `gelu`. */
export interface GeluOptions {
  /** "tanh" for the cheaper formula. Default "none". */
  readonly approximate?: "none" | "tanh";
}

/** x times the normal distribution function of x. */
export function gelu({ approximate = "none" }: GeluOptions = {}): Module {
  return operatorOfFew("gelu", "Gelu", { approximate });
}

/** x * sigmoid(x). */
export const silu = (): Module => plain("silu", (x) => x.mul(x.sigmoid()));

/** exp(x) divided by its sum along `axis` (default: the last). */
export const softmax = (axis = -1): Module => plain("softmax", (x) => x.softmax(axis));
/**
 * The logarithm of `softmax` along `axis` (default: the last), computed directly, so that small probabilities keep
 * their digits.
 */
export const logSoftmax = (axis = -1): Module => plain("logSoftmax", (x) => x.logSoftmax(axis));

/**
 * Joins all axes from `startAxis` on into one.
 * @throws PergradError INVALID_ARGUMENT, when called: there is no such axis, or two of the joined axes grow with the batch.
 */
export function flatten(startAxis = 1): Module {
  return plain("flatten", (x) => {
    if (startAxis === 1) return x.onnx("Flatten", [], { axis: 1 });
    const axis = axisOf(startAxis, x.rank, "flatten");
    const { shape } = x.value;
    return x.reshape([...shape.slice(0, axis).map(specOf), sizeOfAll(shape.slice(axis))]);
  });
}

function sizeOfAll(shape: Shape) {
  const size = elementsOf(shape);
  if (size === undefined)
    throw invalid("flatten: two axes that grow with the batch cannot become one; flatten from a later axis.");
  return specOf(size);
}
