/** Activations, and layers that only change the shape. */
import { elementsOf, type Shape } from "../graph/dim.js";
import type { Attributes } from "../graph/value.js";
import { axisOf, invalid, specOf } from "../trace/shape.js";
import type { Traced } from "../trace/traced.js";
import type { Module } from "./module.js";

function plain(name: string, forward: (x: Traced) => Traced): Module {
  return { name, parameters: {}, forward };
}

function operator(name: string, op: string, attributes: Attributes = {}): Module {
  return plain(name, (x) => x.onnx(op, [], attributes));
}

export const identity = (): Module => plain("identity", (x) => x);
export const relu = (): Module => operator("relu", "Relu");
export const sigmoid = (): Module => operator("sigmoid", "Sigmoid");
export const tanh = (): Module => operator("tanh", "Tanh");
export const softplus = (): Module => operator("softplus", "Softplus");
export const selu = (): Module => operator("selu", "Selu");
export const hardSigmoid = (): Module => operator("hardSigmoid", "HardSigmoid", { alpha: 1 / 6, beta: 0.5 });
export const hardSwish = (): Module => operator("hardSwish", "HardSwish");
export const mish = (): Module => operator("mish", "Mish");

/** x, or slope * x where x is negative. */
export const leakyRelu = (slope = 0.01): Module => operator("leakyRelu", "LeakyRelu", { alpha: slope });

/** x, or alpha * (exp(x) - 1) where x is negative. */
export const elu = (alpha = 1): Module => operator("elu", "Elu", { alpha });

export interface GeluOptions {
  /** "tanh" for the cheaper formula. */
  readonly approximate?: "none" | "tanh";
}

/** x times the normal distribution function of x. */
export function gelu({ approximate = "none" }: GeluOptions = {}): Module {
  return operator("gelu", "Gelu", { approximate });
}

/** x * sigmoid(x). */
export const silu = (): Module => plain("silu", (x) => x.mul(x.sigmoid()));

export const softmax = (axis = -1): Module => plain("softmax", (x) => x.softmax(axis));
export const logSoftmax = (axis = -1): Module => plain("logSoftmax", (x) => x.logSoftmax(axis));

/** Joins all axes from `startAxis` on into one. */
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
    throw invalid("flatten: two axes that grow with the batch cannot become one; flatten from a later axis on.");
  return specOf(size);
}
