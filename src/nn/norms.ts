/** Normalisations within one sample. (Batch normalisation mixes samples: it has no per-sample gradient.) */
import { PergradError } from "../errors.js";
import { showShape } from "../graph/dim.js";
import { addOperators } from "../ops/registry.js";
import { normalisation } from "../ops/rules/normalisation.js";
import { constant } from "../trace/functions.js";
import { invalid } from "../trace/shape.js";
import { requireSameDType, type Traced } from "../trace/traced.js";
import { ones, zeros } from "./initial-values.js";
import { need, requireSize } from "./layers.js";
import type { Module } from "./module.js";
import { count } from "./window.js";

/** Options of the normalisations. */
export interface NormOptions {
  /** Added to the variance. Default 1e-5; `rmsNorm`: 2^-23. */
  readonly epsilon?: number;
  /** Whether a gain and an offset are learned (`rmsNorm`: a gain). Default true; `instanceNorm`: false. */
  readonly affine?: boolean;
}

/** Gain and offset as parameters, or none. */
function affineParameters(shape: readonly number[], affine: boolean): Module["parameters"] {
  return affine ? { weight: ones(shape), bias: zeros(shape) } : {};
}

/** The gain and offset to give the operator, which cannot do without. */
function gainAndOffset(
  shape: readonly number[],
  affine: boolean,
  parameters: Readonly<Record<string, Traced>>,
): Traced[] {
  if (affine) return [need(parameters, "weight"), need(parameters, "bias")];
  const filled = (value: number) => {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value);
    return constant({ dtype: "float32", dims: shape, data });
  };
  return [filled(1), filled(0)];
}

/** The sizes of the axes that a layer normalises over. */
function sizesOf(layer: string, shape: number | readonly number[]): number[] {
  const sizes = typeof shape === "number" ? [shape] : [...shape];
  for (const size of sizes) count(layer, "each size", size);
  if (sizes.length === 0)
    throw invalid(`${layer}: it needs the sizes of the axes that it normalises over; give at least one.`);
  return sizes;
}

/** Checks that the last axes of x have these sizes. */
function requireLast(x: Traced, sizes: readonly number[]): void {
  const last = x.value.shape.slice(-sizes.length);
  if (last.length === sizes.length && last.every((size, axis) => size === sizes[axis])) return;
  const shown = showShape(x.value.shape);
  throw new PergradError("SHAPE_MISMATCH", `it normalises over [${sizes.join(", ")}], but its input is ${shown}.`);
}

/**
 * Normalises over the last axes, which have the given shape.
 * @throws PergradError INVALID_ARGUMENT: a size is no whole number from 1 up, or there is none.
 * @throws PergradError SHAPE_MISMATCH or DTYPE_MISMATCH, when called: the input does not fit.
 */
export function layerNorm(shape: number | readonly number[], options: NormOptions = {}): Module {
  const { epsilon = 1e-5, affine = true } = options;
  const sizes = sizesOf("layerNorm", shape);
  return {
    name: "layerNorm",
    parameters: affineParameters(sizes, affine),
    inputShape: ["N", ...sizes],
    forward: (x, parameters) => {
      requireLast(x, sizes);
      return normalise(x, "LayerNormalization", gainAndOffset(sizes, affine, parameters), {
        axis: -sizes.length,
        epsilon,
      });
    },
  };
}

function normalise(x: Traced, op: string, others: readonly Traced[], attributes: Record<string, number>): Traced {
  requireSameDType("its input and weight", [x.value, ...others.map(({ value }) => value)]);
  // A page has them with what uses them: see ops/rare.ts.
  addOperators(normalisation);
  return x.onnx(op, others, attributes);
}

/**
 * Divides by the root of the mean square over the last axes, which have the given shape; only a gain is learned.
 * @throws PergradError INVALID_ARGUMENT: a size is no whole number from 1 up, or there is none.
 * @throws PergradError SHAPE_MISMATCH or DTYPE_MISMATCH, when called: the input does not fit.
 */
export function rmsNorm(shape: number | readonly number[], options: NormOptions = {}): Module {
  const { epsilon = 2 ** -23, affine = true } = options;
  const sizes = sizesOf("rmsNorm", shape);
  return {
    name: "rmsNorm",
    parameters: affine ? { weight: ones(sizes) } : {},
    inputShape: ["N", ...sizes],
    forward: (x, parameters) => {
      requireLast(x, sizes);
      const axes = sizes.map((_, axis) => axis - sizes.length);
      const y = x.div(x.square().mean(axes, { keepDims: true }).add(epsilon).sqrt());
      return affine ? y.mul(need(parameters, "weight")) : y;
    },
  };
}

/**
 * Normalises the channels (axis 1) in groups, over all positions.
 * @throws PergradError INVALID_ARGUMENT: `groups` does not divide `channels`.
 * @throws PergradError SHAPE_MISMATCH or DTYPE_MISMATCH, when called: the input does not fit.
 */
export function groupNorm(groups: number, channels: number, options: NormOptions = {}): Module {
  const { epsilon = 1e-5, affine = true } = options;
  count("groupNorm", "groups", groups);
  count("groupNorm", "channels", channels);
  if (channels % groups !== 0)
    throw invalid(`groupNorm: ${groups} groups do not divide ${channels} channels; give a divisor.`);
  return {
    name: "groupNorm",
    parameters: affineParameters([channels], affine),
    forward: (x, parameters) => {
      requireSize(x, 1, channels, "channels");
      return normalise(x, "GroupNormalization", gainAndOffset([channels], affine, parameters), {
        num_groups: groups,
        epsilon,
      });
    },
  };
}

/** Normalises each channel (axis 1) over all positions. Nothing is learned unless `affine`. */
export function instanceNorm(channels: number, options: NormOptions = {}): Module {
  const { epsilon = 1e-5, affine = false } = options;
  count("instanceNorm", "channels", channels);
  return {
    name: "instanceNorm",
    parameters: affineParameters([channels], affine),
    forward: (x, parameters) => {
      requireSize(x, 1, channels, "channels");
      return normalise(x, "InstanceNormalization", gainAndOffset([channels], affine, parameters), { epsilon });
    },
  };
}
