/**
 * Unfolding (im2col): the patches of the data under the window at each of its positions, as matrices for a batched
 * MatMul.
 */

import { stridesOf } from "../../float64/array64.js";
import type { Dim, Shape } from "../../graph/dim.js";
import { factorOf, multiply } from "../../graph/dim.js";
import type { Value } from "../../graph/value.js";
import type { Window } from "../../graph/window.js";
import { kernelSize, positionsOf } from "../../graph/window.js";
import { leadingOf, nth } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { UnfoldMethod } from "../build-strategy.js";
import { requireConstant } from "../limits.js";
import type { Prices } from "../prices.js";
import { windowAttributes } from "./window.js";

/**
 * n samples, G groups, T positions, and patches of P = I * K elements: I channels of a group times K kernel offsets.
 * Either matrix is the transpose of the other, which the runtime fuses into a MatMul.
 */
export interface Unfolded {
  /** `[n, G, T, P]`. */
  readonly byPosition: Value;
  /** `[n, G, P, T]`. */
  readonly byPatch: Value;
  /**
   * "ik": a patch holds all kernel offsets of its first channel, then those of the second, ...; "ki": all channels of
   * the first offset, then of the second.
   */
  readonly order: "ik" | "ki";
}

/** Methods that fit any window. */
const general = ["oneHot", "gather", "slices"] as const;

/** The data `[n, G*I, ...spatial]` under the window at each position. `method` is chosen by shape where not asked for. */
export function unfold(
  build: Build,
  data: Value,
  window: Window,
  groups: number,
  method: UnfoldMethod = unfoldMethod(data.shape, window, groups, build),
): Unfolded {
  return unfolders[method](build, data, window, groups);
}

/** Windows that neither overlap nor skip elements: rearranging axes is enough. */
function isTiled(spatial: readonly number[], window: Window): boolean {
  const positions = positionsOf(spatial, window);
  return window.kernel.every((kernel, axis) => {
    if (kernel === 1) return true;
    return window.dilations[axis] === 1 && (window.strides[axis] === kernel || positions[axis] === 1);
  });
}

/** More offsets than this would make large graphs of slices. */
const mostSlices = 32;

/** The requested method, if it fits; else the one that takes the least time by `unfoldTime`. */
export function unfoldMethod(
  shape: Shape,
  window: Window,
  groups: number,
  { strategy, prices }: Pick<Build, "strategy" | "prices">,
): UnfoldMethod {
  const requested = strategy.unfold;
  const tiled = isTiled(shape.slice(2).map(factorOf), window);
  if (requested && (tiled || requested !== "tiles")) return requested;
  if (tiled) return "tiles";
  const size = kernelSize(window);
  const fitting = general.filter((method) => {
    // The kernels of "oneHot" grow with the square of the kernel, the graph of "slices" with the kernel.
    if (method === "oneHot") return window.kernel.every((kernel) => kernel <= 256);
    return method === "gather" || size <= mostSlices;
  });
  const time = (method: UnfoldMethod) => unfoldTime(method, shape, window, groups, prices);
  return fitting.reduce<UnfoldMethod>((best, method) => (time(method) < time(best) ? method : best), "gather");
}

/**
 * Nanoseconds for one image `[C, ...spatial]`. Gathers copy rows of a group's channels, slices copy rows of positions.
 */
export function unfoldTime(method: UnfoldMethod, shape: Shape, window: Window, groups: number, prices: Prices): number {
  const [channels, ...spatial] = leadingOf(shape.slice(1).map(factorOf), 1);
  const positions = positionsOf(spatial, window);
  const [size, count] = [kernelSize(window), sizeOf(positions)];
  const written = channels * size * count;
  const { gatheredRow, gatheredFloat, slicedFloat, transposed, float, node } = prices;
  switch (method) {
    case "tiles":
      return written * transposed;
    case "gather":
      return groups * count * size * gatheredRow + written * gatheredFloat + channels * sizeOf(spatial) * transposed;
    case "oneHot":
      return channels * oneHotTime(spatial, oneHotStages(spatial, window, prices), prices);
    case "slices": {
      const row = nth(positions, positions.length - 1);
      const unit = window.strides[window.strides.length - 1] === 1;
      // A kernel per offset, whose cost a small batch shares. Slices with strides larger than 1 are copied float by
      // float.
      const sliced = unit ? (written / row) * gatheredRow + written * slicedFloat : 2 * written * transposed;
      return sliced + 2 * written * float + (size * node) / 64;
    }
  }
}

interface ConvolutionSizes {
  readonly batch: Dim;
  readonly channels: number;
  readonly spatial: readonly number[];
  readonly positions: readonly number[];
}

function sizesOf(data: Value, window: Window): ConvolutionSizes {
  const [batch, channels, ...rest] = leadingOf(data.shape, 2);
  const spatial = rest.map(factorOf);
  return { batch, channels: factorOf(channels), spatial, positions: positionsOf(spatial, window) };
}

/** Pads the spatial axes, from axis `first` on, as the window says. */
function padSpatial(build: Build, data: Value, window: Window, first: number): Value {
  const behind = Array<number>(data.shape.length - first - window.kernel.length).fill(0);
  const front = Array<number>(first).fill(0);
  return build.pad(data, [...front, ...window.before, ...behind], [...front, ...window.after, ...behind]);
}

const unfolders: Readonly<
  Record<UnfoldMethod, (build: Build, data: Value, window: Window, groups: number) => Unfolded>
> = { tiles: unfoldTiles, oneHot: unfoldOneHot, gather: unfoldGather, slices: unfoldSlices };

function unfoldTiles(build: Build, data: Value, window: Window, groups: number): Unfolded {
  const { batch, channels, positions } = sizesOf(data, window);
  let tiles = padSpatial(build, data, window, 2);
  positions.forEach((count, axis) => {
    const [kernel, stride] = [nth(window.kernel, axis), nth(window.strides, axis)];
    const end = (count - 1) * stride + kernel;
    const step = kernel === 1 ? stride : 1;
    if (end !== tiles.shape[axis + 2] || step > 1) tiles = build.slice(tiles, axis + 2, 0, end, step);
  });
  const split = build.reshape(tiles, [
    batch,
    channels,
    ...positions.flatMap((t, axis) => [t, nth(window.kernel, axis)]),
  ]);
  const offsets = window.kernel.map((_, axis) => 3 + 2 * axis);
  const byKernel = build.transpose(split, [0, 1, ...offsets, ...offsets.map((axis) => axis - 1)]);
  const patch = (channels / groups) * kernelSize(window);
  const byPatch = build.reshape(byKernel, [batch, groups, patch, sizeOf(positions)]);
  return { byPatch, byPosition: build.transposeLast(byPatch), order: "ik" };
}

/**
 * Convolutions with kernels that hold a single 1: for all axes at once or, since the work grows with the square of the
 * kernel, for one axis after another.
 */
function unfoldOneHot(build: Build, data: Value, window: Window, groups: number): Unfolded {
  const { batch, channels, spatial, positions } = sizesOf(data, window);
  const size = kernelSize(window);
  let planes = build.reshape(data, [multiply(batch, channels) ?? Number.NaN, 1, ...spatial]);
  for (const stage of oneHotStages(spatial, window, build.prices)) {
    const patches = build.op("Conv", [planes, oneHot(build, stage.kernel, data)], windowAttributes(stage));
    const [images, kernels, ...rest] = leadingOf(patches.shape, 2);
    planes = build.reshape(patches, [multiply(images, kernels) ?? Number.NaN, 1, ...rest]);
  }
  const byPatch = build.reshape(planes, [batch, groups, (channels / groups) * size, sizeOf(positions)]);
  return { byPatch, byPosition: build.transposeLast(byPatch), order: "ik" };
}

/** The K kernels, `[K, 1, ...kernel]`. */
function oneHot(build: Build, kernel: readonly number[], like: Value): Value {
  const size = sizeOf(kernel);
  requireConstant("A convolution", size * size, "one kernel per element of its own,");
  const identity = Float64Array.from({ length: size * size }, (_, at) => (at % (size + 1) === 0 ? 1 : 0));
  return build.floats(identity, [size, 1, ...kernel], like);
}

/** The windows of the stages, in the order in which they are applied. */
function oneHotStages(spatial: readonly number[], window: Window, prices: Prices): readonly Window[] {
  const apart = window.kernel.flatMap((_, axis) => (isIdle(window, axis) ? [] : [alongAxis(window, axis)]));
  const time = (stages: readonly Window[]) => oneHotTime(spatial, stages, prices);
  return apart.length > 0 && time(apart) < time([window]) ? apart : [window];
}

function isIdle({ kernel, strides, before, after }: Window, axis: number): boolean {
  return kernel[axis] === 1 && strides[axis] === 1 && before[axis] === 0 && after[axis] === 0;
}

/** The same window along one axis, and a single element along the others. */
function alongAxis(window: Window, along: number): Window {
  const only = (numbers: readonly number[], otherwise: number) =>
    numbers.map((number, axis) => (axis === along ? number : otherwise));
  const { kernel, strides, dilations, before, after } = window;
  return {
    kernel: only(kernel, 1),
    strides: only(strides, 1),
    dilations: only(dilations, 1),
    before: only(before, 0),
    after: only(after, 0),
  };
}

/** Nanoseconds for one plane. The runtime computes kernels in blocks of eight. */
function oneHotTime(
  spatial: readonly number[],
  stages: readonly Window[],
  { oneHotFloat, multiplyAdd }: Prices,
): number {
  let [sizes, planes, total] = [[...spatial], 1, 0];
  for (const stage of stages) {
    sizes = positionsOf(sizes, stage);
    const size = kernelSize(stage);
    const each = 8 * Math.ceil(size / 8) * oneHotFloat + size * size * multiplyAdd;
    total += planes * sizeOf(sizes) * each;
    planes *= size;
  }
  return total;
}

/** A slice of the padded data for each kernel offset, one after the other. */
function unfoldSlices(build: Build, data: Value, window: Window, groups: number): Unfolded {
  const { batch, channels, positions } = sizesOf(data, window);
  const padded = padSpatial(build, data, window, 2);
  const axes = build.ints(positions.map((_, axis) => axis + 2));
  const inner = channels / groups;
  const parts = offsetsOf(window.kernel).map((offset) => {
    const starts = offset.map((k, axis) => k * nth(window.dilations, axis));
    const ends = starts.map((start, axis) => start + (nth(positions, axis) - 1) * nth(window.strides, axis) + 1);
    const slice = build.op("Slice", [padded, build.ints(starts), build.ints(ends), axes, build.ints(window.strides)]);
    return build.reshape(slice, [batch, groups, inner, sizeOf(positions)]);
  });
  const byPatch = build.concat(parts, 2);
  return { byPatch, byPosition: build.transposeLast(byPatch), order: "ki" };
}

/** All offsets within a kernel, the last axis fastest. */
function offsetsOf(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>(
    (offsets, size) => offsets.flatMap((offset) => Array.from({ length: size }, (_, k) => [...offset, k])),
    [[]],
  );
}

/** Puts channels last, so that a gather with a constant index copies rows of I numbers. */
function unfoldGather(build: Build, data: Value, window: Window, groups: number): Unfolded {
  const { batch, channels, spatial, positions } = sizesOf(data, window);
  const inner = channels / groups;
  const images = multiply(batch, groups) ?? Number.NaN;
  const grouped = build.reshape(data, [images, inner, ...spatial]);
  const last = padSpatial(build, build.moveAxis(grouped, 1, spatial.length + 1), window, 1);
  const padded = last.shape.slice(1, -1).map(factorOf);
  const index = indexOf(build, padded, window, positions);
  const rows = build.gather(build.reshape(last, [images, sizeOf(padded), inner]), index, 1);
  const byPosition = build.reshape(rows, [batch, groups, sizeOf(positions), kernelSize(window) * inner]);
  return { byPosition, byPatch: build.transposeLast(byPosition), order: "ki" };
}

/**
 * The rows that the windows read, position by position, `[T * K]`: the sum of a contribution from each axis. The graph
 * adds them up (the runtime does so once, when it loads the graph), so that large images do not make large files.
 */
function indexOf(build: Build, padded: readonly number[], window: Window, positions: readonly number[]): Value {
  requireIndex(padded, window, positions);
  const strides = stridesOf(padded);
  const rank = padded.length;
  const parts = padded.map((_, axis) => {
    const [count, kernel] = [nth(positions, axis), nth(window.kernel, axis)];
    const data = Int32Array.from({ length: count * kernel }, (_, at) => {
      const element = Math.floor(at / kernel) * nth(window.strides, axis);
      return (element + (at % kernel) * nth(window.dilations, axis)) * nth(strides, axis);
    });
    const dims = Array.from({ length: 2 * rank }, (_, at) => (at === axis ? count : at === rank + axis ? kernel : 1));
    return build.constant({ dtype: "int32", dims, data });
  });
  const index = parts.reduce((sum, part) => build.add(sum, part));
  return build.reshape(index, [sizeOf(positions) * kernelSize(window)]);
}

/** Places must fit int32. */
function requireIndex(padded: readonly number[], window: Window, positions: readonly number[]): void {
  const what = `A convolution over [${padded.join(", ")}]`;
  const longest = Math.max(...positions.map((count, axis) => count * nth(window.kernel, axis)));
  requireConstant(what, sizeOf(padded) < 2 ** 31 ? longest : sizeOf(padded), "an index");
}

/**
 * A contraction with patches, `[...leading, G, O, P]`, in the layout of a convolution's weight:
 * `[...leading, G*O, I, ...kernel]`.
 */
export function foldWeight(
  build: Build,
  contracted: Value,
  order: Unfolded["order"],
  kernel: readonly number[],
): Value {
  const leading = contracted.shape.slice(0, -3);
  const [groups, outputs, patch] = leadingOf(contracted.shape.slice(-3).map(factorOf), 3);
  const size = sizeOf(kernel);
  const inner = size === 0 ? 0 : patch / size;
  const weight: Shape = [...leading, groups * outputs, inner, ...kernel];
  if (order === "ik") return build.reshape(contracted, weight);
  const split = build.reshape(contracted, [...leading, groups * outputs, size, inner]);
  return build.reshape(build.transposeLast(split), weight);
}

/** The inverse: a weight `[...leading, G*O, I, ...kernel]` as matrices `[...leading, G, O, P]`. */
export function patchWeight(
  build: Build,
  weight: Value,
  order: Unfolded["order"],
  groups: number,
  rank: number,
): Value {
  const leading = weight.shape.slice(0, -rank - 2);
  const [outputs, inner, ...kernel] = leadingOf(weight.shape.slice(-rank - 2).map(factorOf), 2);
  const size = sizeOf(kernel);
  const split = build.reshape(weight, [...leading, outputs, inner, size]);
  const ordered = order === "ik" ? split : build.transposeLast(split);
  return build.reshape(ordered, [...leading, groups, outputs / groups, inner * size]);
}
