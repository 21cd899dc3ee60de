/** Pooling, with PyTorch's defaults: windows side by side, padding counted in averages. */

import { PergradError } from "../errors.js";
import { showShape } from "../graph/dim.js";
import type { Attributes } from "../graph/value.js";
import { addOperators } from "../ops/registry.js";
import { pooling } from "../ops/rules/pooling.js";
import { nth } from "../present.js";
import { invalid } from "../trace/shape.js";
import type { Traced } from "../trace/traced.js";
import type { Module } from "./module.js";
import { type AxisSizes, perAxis } from "./window.js";

/** Options of all pooling layers; a number stands for all axes. */
export interface PoolOptions {
  /** Default: the kernel's size. */
  readonly stride?: AxisSizes;
  /** On both sides of each axis, at most half the kernel; default 0. */
  readonly padding?: AxisSizes;
  /** Rounds the size of the result up, so that the last window may extend over the edge. Default false. */
  readonly ceilMode?: boolean;
}

/** Options of `maxPool1d`, `maxPool2d` and `maxPool3d`. */
export interface MaxPoolOptions extends PoolOptions {
  /** Distance of two neighbouring elements of a window; default 1. */
  readonly dilation?: AxisSizes;
}

/** Options of `avgPool1d`, `avgPool2d` and `avgPool3d`. */
export interface AvgPoolOptions extends PoolOptions {
  /** Whether averages count the zeros of the padding. Default true. */
  readonly countIncludePad?: boolean;
}

/** Attributes that MaxPool and AveragePool share. */
function poolAttributes(layer: string, kernel: AxisSizes, options: PoolOptions, spatial: number) {
  const sizes = perAxis(layer, "kernel", kernel, spatial);
  const padding = perAxis(layer, "padding", options.padding ?? 0, spatial, 0);
  // A window of padding alone would have no maximum.
  if (padding.some((amount, axis) => amount > nth(sizes, axis) / 2)) {
    throw invalid(`${layer}: padding [${padding}] is more than half the kernel [${sizes}]; give less.`);
  }
  return {
    kernel_shape: sizes,
    strides: perAxis(layer, "stride", options.stride ?? sizes, spatial),
    pads: [...padding, ...padding],
    ceil_mode: options.ceilMode ? 1 : 0,
  };
}

function requireSpatial(x: Traced, spatial: number): void {
  if (x.rank === spatial + 2) return;
  const want = `[N, channels${", size".repeat(spatial)}]`;
  throw new PergradError("SHAPE_MISMATCH", `it takes ${want}, but its input is ${showShape(x.value.shape)}.`);
}

/** A node of an operator that a page need not have (ops/rare.ts). */
function pooled(x: Traced, op: "MaxPool" | "AveragePool" | "GlobalAveragePool", attributes: Attributes = {}): Traced {
  addOperators(pooling);
  return x.onnx(op, [], attributes);
}

type MaxPool = (kernel: AxisSizes, options?: MaxPoolOptions) => Module;

function maxPool(spatial: number): MaxPool {
  const name = `maxPool${spatial}d`;
  return (kernel, options = {}) => {
    const dilations = perAxis(name, "dilation", options.dilation ?? 1, spatial);
    const attributes = { ...poolAttributes(name, kernel, options, spatial), dilations };
    return {
      name,
      parameters: {},
      forward: (x) => {
        requireSpatial(x, spatial);
        return pooled(x, "MaxPool", attributes);
      },
    };
  };
}

/** The largest element of each window: `[N, C, T]` to `[N, C, T']`. Of equal ones the first gets the gradient. */
export const maxPool1d: MaxPool = maxPool(1);
/**
 * The largest element of each window: `[N, C, H, W]` to `[N, C, H', W']`. Of equal ones the first gets the gradient.
 */
export const maxPool2d: MaxPool = maxPool(2);
/**
 * The largest element of each window: `[N, C, D, H, W]` to `[N, C, D', H', W']`. Of equal ones the first gets the
 * gradient.
 */
export const maxPool3d: MaxPool = maxPool(3);

type AvgPool = (kernel: AxisSizes, options?: AvgPoolOptions) => Module;

function avgPool(spatial: number): AvgPool {
  const name = `avgPool${spatial}d`;
  return (kernel, options = {}) => {
    const counted = options.countIncludePad === false ? 0 : 1;
    const attributes = { ...poolAttributes(name, kernel, options, spatial), count_include_pad: counted };
    return {
      name,
      parameters: {},
      forward: (x) => {
        requireSpatial(x, spatial);
        return pooled(x, "AveragePool", attributes);
      },
    };
  };
}

/** The mean of each window: `[N, C, T]` to `[N, C, T']`. */
export const avgPool1d: AvgPool = avgPool(1);
/** The mean of each window: `[N, C, H, W]` to `[N, C, H', W']`. */
export const avgPool2d: AvgPool = avgPool(2);
/** The mean of each window: `[N, C, D, H, W]` to `[N, C, D', H', W']`. */
export const avgPool3d: AvgPool = avgPool(3);

/**
 * The mean of each channel over all positions, in one element per spatial axis: [N, C, 1, 1].
 * @throws PergradError INVALID_ARGUMENT: `outputSize` is not 1.
 * @throws PergradError SHAPE_MISMATCH, when called: the input has fewer than three axes.
 */
export function adaptiveAvgPool(outputSize: AxisSizes = 1): Module {
  const sizes = typeof outputSize === "number" ? [outputSize] : outputSize;
  if (sizes.some((size) => size !== 1))
    throw invalid(`adaptiveAvgPool: it pools to size 1 only, not [${sizes}]; use avgPool for other sizes.`);
  return {
    name: "adaptiveAvgPool",
    parameters: {},
    forward: (x) => {
      if (x.rank < 3) {
        const shape = showShape(x.value.shape);
        throw new PergradError("SHAPE_MISMATCH", `it takes [N, channels, size, ...], but its input is ${shape}.`);
      }
      return pooled(x, "GlobalAveragePool");
    },
  };
}
