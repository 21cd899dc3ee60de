/** Splits a convolution's positions into blocks, so that its data need never be unfolded all at once. */

import { type Dim, factorOf, type Shape } from "../graph/dim.js";
import type { Window } from "../graph/window.js";
import { extentOf, kernelSize } from "../graph/window.js";
import type { Build } from "../ops/build.js";
import type { UnfoldMethod } from "../ops/build-strategy.js";
import type { Convolution } from "../ops/cotangent.js";
import type { Prices } from "../ops/prices.js";
import { unfoldTime } from "../ops/subgraphs/unfold.js";
import { leadingOf, nth } from "../present.js";
import { sizeOf } from "../tensor/tensor.js";
import type { Cost } from "./cost.js";

/** The usual number of floats of one sample's unfolded data in a block. */
const usualBlock = 2 ** 16;

/** The most blocks: they are written out in the graph, one after another. */
const mostBlocks = 16;

/** The approximate limit on slices in all blocks together: each offset of a kernel needs a slice, which is a node. */
const mostSlices = 64;

/** The positions from `start` to before `end` along a spatial axis; their windows reach the data in from..to-1. */
export interface Block {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly from: number;
  readonly to: number;
  readonly window: Window;
}

/** The positions along one spatial axis, with the number of positions per block. */
export interface Cut {
  readonly axis: number;
  readonly count: number;
  readonly size: number;
}

/** The number of floats in each sample's unfolded data. */
export function unfoldedSize({ data, cotangent, window }: Convolution, images: number): number {
  const [channels, ...positions] = leadingOf([nth(data.shape, 1), ...cotangent.shape.slice(2)].map(factorOf), 1);
  return images * channels * kernelSize(window) * sizeOf(positions);
}

/**
 * Null if there are too few positions for two blocks.
 * @param images the number of images of each sample
 * @param floats the approximate number of floats in a block's unfolded data, per sample
 */
export function cutOf(convolution: Convolution, images: number, method: UnfoldMethod, floats = usualBlock): Cut | null {
  const { cotangent, window } = convolution;
  const positions = cotangent.shape.slice(2).map(factorOf);
  const most = method === "slices" ? Math.max(2, Math.floor(mostSlices / kernelSize(window))) : mostBlocks;
  const blocks = Math.min(most, Math.ceil(unfoldedSize(convolution, images) / Math.max(1, floats)));
  // Slices along an outer axis copy longer runs.
  const long = positions.findIndex((count) => count >= blocks);
  const axis = long >= 0 ? long : positions.indexOf(Math.max(...positions));
  const count = nth(positions, axis);
  const size = Math.ceil(count / blocks);
  return size < count ? { axis, count, size } : null;
}

/** The same positions in blocks that begin elsewhere, if there are still at least two. */
export function otherCut(cut: Cut): Cut {
  return cut.size + 1 < cut.count ? { ...cut, size: cut.size + 1 } : cut;
}

/** Blocks that see only padding are left out: they add nothing. */
export function blocksOf({ data, window }: Convolution, { axis, count, size }: Cut): Block[] {
  const starts = Array.from({ length: Math.ceil(count / size) }, (_, k) => k * size);
  const length = factorOf(nth(data.shape, axis + 2));
  return starts
    .map((start) => blockAt(window, axis, start, Math.min(start + size, count), length))
    .filter(({ from, to }) => from < to);
}

function blockAt(window: Window, axis: number, start: number, end: number, size: number): Block {
  const [stride, before] = [nth(window.strides, axis), nth(window.before, axis)];
  const first = start * stride - before;
  const last = (end - 1) * stride - before + extentOf(window, axis);
  const replaced = (amounts: readonly number[], amount: number) =>
    amounts.map((own, k) => (k === axis ? Math.max(0, amount) : own));
  return {
    axis,
    start,
    end,
    from: Math.max(0, first),
    to: Math.min(size, last),
    window: { ...window, before: replaced(window.before, -first), after: replaced(window.after, last - size) },
  };
}

/** The convolution at the positions of a block, on the data that they see. */
export function within(build: Build, convolution: Convolution, { axis, start, end, from, to, window }: Block) {
  const { data, cotangent } = convolution;
  return {
    ...convolution,
    window,
    data: from === 0 && to === data.shape[axis + 2] ? data : build.slice(data, axis + 2, from, to),
    cotangent: build.slice(cotangent, axis + 2, start, end),
  };
}

/** The approximate number of nodes for a block. */
const nodesOfBlock = 10;

/** The cost of cutting the data and the cotangents into blocks and unfolding these, in floats moved. */
export function costOfBlocks(
  { data, cotangent, groups }: Convolution,
  images: number,
  method: UnfoldMethod,
  blocks: readonly Block[],
  prices: Prices,
): { readonly cutting: Cost; readonly unfolding: number } {
  const { slicedFloat, node, float } = prices;
  const seen = blocks.map(({ axis, from, to }) => resized(data.shape, axis, to - from));
  const sliced = seen.reduce((sum, shape) => sum + imageSize(shape), imageSize(cotangent.shape));
  const unfolded = blocks.reduce(
    (sum, { window }, k) => sum + unfoldTime(method, nth(seen, k), window, groups, prices),
    0,
  );
  return {
    cutting: {
      operations: 0,
      floats: (images * sliced * slicedFloat) / float,
      once: (blocks.length * nodesOfBlock * node) / float,
    },
    unfolding: (images * unfolded) / float,
  };
}

/** The number of elements in one image. */
function imageSize(shape: Shape): number {
  return sizeOf(shape.slice(1).map(factorOf));
}

function resized(shape: Shape, axis: number, size: number): Dim[] {
  return shape.map((dim, k) => (k === axis + 2 ? size : dim));
}
