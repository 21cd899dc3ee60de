/** Layers with weights, named, shaped and initialised as PyTorch's. */

import { PergradError } from "../errors.js";
import { showShape } from "../graph/dim.js";
import { addOperators } from "../ops/registry.js";
import { convolution as convolutions } from "../ops/rules/convolution.js";
import { moreActivations } from "../ops/rules/more-activations.js";
import { nth } from "../present.js";
import { invalid } from "../trace/shape.js";
import { requireSameDType, type Traced } from "../trace/traced.js";
import { fanIn, filled, type ParameterSpec } from "./initial-values.js";
import type { Module } from "./module.js";
import { type AxisSizes, count, perAxis } from "./window.js";

type Named = Readonly<Record<string, Traced>>;

/** A parameter that the layer was made with. */
export function need(parameters: Named, name: string): Traced {
  const found = parameters[name];
  if (!found) throw new PergradError("MISSING_TENSOR", `The parameter "${name}" is not given; give it a tensor.`);
  return found;
}

/** Checks that axis `axis` of x has `size` elements. */
export function requireSize(x: Traced, axis: number, size: number, what: string): void {
  const { shape } = x.value;
  if (shape.at(axis) !== size) {
    throw new PergradError("SHAPE_MISMATCH", `it takes ${size} ${what}, but its input is ${showShape(shape)}.`);
  }
}

/** The layer's own op, on x, its weight and maybe its bias. */
function weighted(x: Traced, op: string, parameters: Named, attributes: Parameters<Traced["onnx"]>[2]): Traced {
  const others = [need(parameters, "weight"), ...(parameters.bias ? [parameters.bias] : [])];
  requireSameDType("its input and weight", [x.value, ...others.map(({ value }) => value)]);
  return x.onnx(op, others, attributes);
}

/** Options of `linear`. */
export interface LinearOptions {
  /** Whether there is a bias; default true. */
  readonly bias?: boolean;
}

/**
 * x W' + b along the last axis.
 * @throws PergradError INVALID_ARGUMENT: a size is no whole number from 0 up.
 * @throws PergradError SHAPE_MISMATCH or DTYPE_MISMATCH, when called: the input does not fit.
 */
export function linear(inputs: number, outputs: number, { bias = true }: LinearOptions = {}): Module {
  count("linear", "inputs", inputs, 0);
  count("linear", "outputs", outputs, 0);
  return {
    name: "linear",
    parameters: {
      weight: fanIn([outputs, inputs], inputs),
      ...(bias ? { bias: fanIn([outputs], inputs) } : {}),
    },
    inputShape: ["N", inputs],
    forward: (x, parameters) => {
      requireSize(x, -1, inputs, "features");
      if (x.rank === 2) return weighted(x, "Gemm", parameters, { transB: 1 });
      requireSameDType("its input and weight", [x.value, need(parameters, "weight").value]);
      const product = x.matmul(need(parameters, "weight").transpose());
      return parameters.bias ? product.add(parameters.bias) : product;
    },
  };
}

/** Options of `conv1d`, `conv2d` and `conv3d`; a number stands for all axes. */
export interface ConvOptions {
  /** The distance between neighbouring windows; default 1. */
  readonly stride?: AxisSizes;
  /** The number of zeros on both sides of each axis; "same" keeps the sizes and needs stride 1. Default 0. */
  readonly padding?: AxisSizes | "same";
  /** The distance between neighbouring elements of the kernel; default 1. */
  readonly dilation?: AxisSizes;
  /** Groups of channels that do not mix; a divisor of input and output channels. Default 1. */
  readonly groups?: number;
  /** Whether each output channel has a bias; default true. */
  readonly bias?: boolean;
}

/** The padding of each side: before all axes, then after all axes, as ONNX expects. */
function paddings(
  layer: string,
  options: ConvOptions,
  kernel: readonly number[],
  dilation: readonly number[],
): number[] {
  const rank = kernel.length;
  if (options.padding !== "same") {
    const both = perAxis(layer, "padding", options.padding ?? 0, rank, 0);
    return [...both, ...both];
  }
  if (perAxis(layer, "stride", options.stride ?? 1, rank).some((step) => step !== 1)) {
    throw invalid(`${layer}: padding "same" needs stride 1; give that, or give the padding as numbers.`);
  }
  const total = kernel.map((size, axis) => nth(dilation, axis) * (size - 1));
  const before = total.map((amount) => Math.floor(amount / 2));
  return [...before, ...total.map((amount, axis) => amount - nth(before, axis))];
}

/** Attributes that Conv and ConvTranspose share. */
function convAttributes(layer: string, options: ConvOptions, kernel: readonly number[]) {
  const dilations = perAxis(layer, "dilation", options.dilation ?? 1, kernel.length);
  return {
    kernel_shape: kernel,
    strides: perAxis(layer, "stride", options.stride ?? 1, kernel.length),
    dilations,
    pads: paddings(layer, options, kernel, dilations),
    group: options.groups ?? 1,
  };
}

function checkChannels(layer: string, inputs: number, outputs: number, groups: number): void {
  count(layer, "input channels", inputs);
  count(layer, "output channels", outputs);
  count(layer, "groups", groups);
  if (inputs % groups !== 0 || outputs % groups !== 0) {
    throw invalid(
      `${layer}: ${groups} groups do not divide ${inputs} input and ${outputs} output channels; give a divisor of both.`,
    );
  }
}

function requireImage(x: Traced, channels: number, spatial: number): void {
  if (x.rank !== spatial + 2) {
    const want = `[N, ${channels}${", size".repeat(spatial)}]`;
    throw new PergradError("SHAPE_MISMATCH", `it takes ${want}, but its input is ${showShape(x.value.shape)}.`);
  }
  requireSize(x, 1, channels, "channels");
}

type ConvLayer = (inputs: number, outputs: number, kernel: AxisSizes, options?: ConvOptions) => Module;

function convolution(spatial: number): ConvLayer {
  const name = `conv${spatial}d`;
  return (inputs, outputs, kernel, options = {}) => {
    const { groups = 1, bias = true } = options;
    const sizes = perAxis(name, "kernel", kernel, spatial);
    checkChannels(name, inputs, outputs, groups);
    const attributes = convAttributes(name, options, sizes);
    const fan = sizes.reduce((product, size) => product * size, inputs / groups);
    return {
      name,
      parameters: {
        weight: fanIn([outputs, inputs / groups, ...sizes], fan),
        ...(bias ? { bias: fanIn([outputs], fan) } : {}),
      },
      forward: (x, parameters) => {
        requireImage(x, inputs, spatial);
        addOperators(convolutions);
        return weighted(x, "Conv", parameters, attributes);
      },
    };
  };
}

/** Cross-correlation over [N, channels, size]; the weight is [outputs, inputs / groups, kernel]. */
export const conv1d: ConvLayer = convolution(1);
/** As `conv1d`, over images: `[N, I, H, W]` to `[N, O, H', W']`, with a weight `[O, I / groups, kH, kW]`. */
export const conv2d: ConvLayer = convolution(2);
/** As `conv1d`, over volumes: `[N, I, D, H, W]` to `[N, O, D', H', W']`. */
export const conv3d: ConvLayer = convolution(3);

/** Options of `convTranspose1d`, `convTranspose2d` and `convTranspose3d`. */
export interface ConvTransposeOptions extends Omit<ConvOptions, "padding"> {
  /** The number of elements cut from both sides of each axis of the result; default 0. */
  readonly padding?: AxisSizes;
  /** Extra size at the end of each axis of the result. Default 0. */
  readonly outputPadding?: AxisSizes;
}

type ConvTransposeLayer = (
  inputs: number,
  outputs: number,
  kernel: AxisSizes,
  options?: ConvTransposeOptions,
) => Module;

function transposedConvolution(spatial: number): ConvTransposeLayer {
  const name = `convTranspose${spatial}d`;
  return (inputs, outputs, kernel, options = {}) => {
    const { groups = 1, bias = true } = options;
    const sizes = perAxis(name, "kernel", kernel, spatial);
    checkChannels(name, inputs, outputs, groups);
    const attributes = {
      ...convAttributes(name, options, sizes),
      output_padding: perAxis(name, "outputPadding", options.outputPadding ?? 0, spatial, 0),
    };
    // PyTorch counts the second axis of the weight, whatever its role.
    const fan = sizes.reduce((product, size) => product * size, outputs / groups);
    return {
      name,
      parameters: {
        weight: fanIn([inputs, outputs / groups, ...sizes], fan),
        ...(bias ? { bias: fanIn([outputs], fan) } : {}),
      },
      forward: (x, parameters) => {
        requireImage(x, inputs, spatial);
        addOperators(convolutions);
        return weighted(x, "ConvTranspose", parameters, attributes);
      },
    };
  };
}

/** The gradient of a convolution, as a layer; the weight is [inputs, outputs / groups, kernel]. */
export const convTranspose1d: ConvTransposeLayer = transposedConvolution(1);
/** As `convTranspose1d`, over images: `[N, I, H, W]` to `[N, O, H', W']`, with a weight `[I, O / groups, kH, kW]`. */
export const convTranspose2d: ConvTransposeLayer = transposedConvolution(2);
/** As `convTranspose1d`, over volumes: `[N, I, D, H, W]` to `[N, O, D', H', W']`. */
export const convTranspose3d: ConvTransposeLayer = transposedConvolution(3);

/**
 * x, or weight * x if x is negative, with one weight, or one per channel (axis 1).
 * @throws PergradError INVALID_ARGUMENT: `channels` is not a whole number from 1 up.
 * @throws PergradError SHAPE_MISMATCH, when called: axis 1 of the input has another size.
 */
export function prelu(channels = 1, initial = 0.25): Module {
  count("prelu", "channels", channels);
  const weight: ParameterSpec = filled([channels], initial);
  return {
    name: "prelu",
    parameters: { weight },
    forward: (x, parameters) => {
      if (channels > 1) requireSize(x, 1, channels, "channels");
      const slope = need(parameters, "weight");
      const behind = channels > 1 ? Math.max(x.rank - 2, 0) : 0;
      addOperators(moreActivations);
      return x.onnx("PRelu", [slope.reshape([channels, ...Array<number>(behind).fill(1)])]);
    },
  };
}
