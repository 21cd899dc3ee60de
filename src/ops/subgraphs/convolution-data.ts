/**
 * The cotangent of a convolution's data: for each element, the sum over what it contributed to, by one of several
 * methods.
 */

import { factorOf, fixedSizes, multiply } from "../../graph/dim.js";
import type { Value } from "../../graph/value.js";
import type { Window } from "../../graph/window.js";
import { extentOf, kernelSize } from "../../graph/window.js";
import { leadingOf, nth, present } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { DataMethod } from "../build-strategy.js";
import type { Prices } from "../prices.js";
import { unfold, unfoldTime } from "./unfold.js";
import { windowAttributes } from "./window.js";

export const dataMethods: readonly DataMethod[] = ["ConvTranspose", "flipped", "unfolded"];

/** A convolution from data `[n, G*I, ...spatial]` by a weight `[G*O, I, ...kernel]` to `[n, G*O, ...positions]`. */
interface Convolved {
  readonly weight: Value;
  readonly window: Window;
  readonly groups: number;
  readonly spatial: readonly number[];
}

/** The window of the flipped kernel, which slides over the cotangent; null if there is none. */
function backwards(window: Window): Window | null {
  const reach = window.kernel.map((_, axis) => extentOf(window, axis) - 1);
  const before = reach.map((all, axis) => all - nth(window.before, axis));
  const after = reach.map((all, axis) => all - nth(window.after, axis));
  const fits = window.strides.every((stride) => stride === 1) && [...before, ...after].every((amount) => amount >= 0);
  return fits ? { ...window, before, after } : null;
}

/** The assumed number of images among which the cost of work done once per batch is shared. */
const assumedImages = 32;

/** Nanoseconds for one image; `window` is that of the flipped kernel. */
function dataTime(
  method: DataMethod,
  { weight, groups, spatial }: Convolved,
  dy: Value,
  window: Window,
  prices: Prices,
): number {
  const [outputs, inner] = leadingOf(weight.shape.map(factorOf), 2);
  const [size, weights] = [kernelSize(window), sizeOf(weight.shape.map(factorOf))];
  const [count, positions] = [sizeOf(spatial), sizeOf(dy.shape.slice(2).map(factorOf))];
  const { multiplyAdd, repacked, folded, gatheredFloat, shuffledWeight, transposed } = prices;
  const over = (places: number) => places * weights * multiplyAdd;
  switch (method) {
    case "ConvTranspose":
      return over(positions) + weights * repacked + positions * size * inner * groups * folded;
    case "flipped":
      return over(count) + (count * size * outputs * gatheredFloat) / 2 + (weights * shuffledWeight) / assumedImages;
    case "unfolded": {
      const shared = (2 * weights * transposed) / assumedImages;
      return over(count) + unfoldTime("gather", dy.shape, window, groups, prices) + shared;
    }
  }
}

/** The requested method, if it fits; else the one that takes the least time. */
function dataMethod(convolved: Convolved, dy: Value, window: Window, { strategy, prices }: Build): DataMethod {
  const requested = strategy.convolutionData;
  // Groups would make a batch of products, which the runtime does not broadcast if there are no samples.
  const fitting = dataMethods.filter((method) => method !== "unfolded" || convolved.groups === 1);
  if (requested && fitting.includes(requested)) return requested;
  const time = (method: DataMethod) => dataTime(method, convolved, dy, window, prices);
  return fitting.reduce((best, method) => (time(method) < time(best) ? method : best));
}

/** The cotangent `[n, G*I, ...spatial]` of the data. */
export function dataCotangent(build: Build, dy: Value, convolved: Convolved): Value {
  const window = backwards(convolved.window);
  const method = window && dataMethod(convolved, dy, window, build);
  if (!window || method === "ConvTranspose") return transposed(build, dy, convolved);
  return method === "flipped" ? flipped(build, dy, convolved, window) : unfolded(build, dy, convolved, window);
}

/** The remainder that the stride left at the end becomes output padding. */
function transposed(build: Build, dy: Value, { weight, window, groups, spatial }: Convolved): Value {
  const remainder = spatial.map((size, axis) => {
    const padded = size + nth(window.before, axis) + nth(window.after, axis);
    return (padded - extentOf(window, axis)) % nth(window.strides, axis);
  });
  const attributes = { ...windowAttributes(window), group: groups, output_padding: remainder };
  return build.op("ConvTranspose", [dy, weight], attributes);
}

/** The weight `[G*O, I, ...kernel]` as `[G, I, K, O]`, its offsets in the opposite order. */
function turned(build: Build, { weight, window, groups }: Convolved): Value {
  const [outputs, inner] = leadingOf(fixedSizes(weight.shape), 2);
  const size = kernelSize(window);
  const split = build.reshape(weight, [groups, outputs / groups, inner, size]);
  const last = build.transpose(split, [0, 2, 3, 1]);
  if (size === 1) return last;
  return build.gather(last, build.ints(Array.from({ length: size }, (_, k) => size - 1 - k)), 2);
}

function flipped(build: Build, dy: Value, convolved: Convolved, window: Window): Value {
  const { groups, weight } = convolved;
  const [outputs, inner, ...kernel] = leadingOf(fixedSizes(weight.shape), 2);
  const turnedWeight = build.transposeLast(turned(build, convolved));
  const exchanged = build.reshape(turnedWeight, [groups * inner, outputs / groups, ...kernel]);
  return build.op("Conv", [dy, exchanged], { ...windowAttributes(window), group: groups });
}

/** For a single group: one product over all images and positions. */
function unfolded(build: Build, dy: Value, convolved: Convolved, window: Window): Value {
  const { weight, spatial } = convolved;
  const [outputs, inner] = leadingOf(fixedSizes(weight.shape), 2);
  const [images, count, patch] = [nth(dy.shape, 0), sizeOf(spatial), outputs * kernelSize(window)];
  const { byPosition } = unfold(build, dy, window, 1, "gather");
  const rows = build.reshape(byPosition, [present(multiply(images, count)), patch]);
  const product = build.matmul(rows, build.transposeLast(build.reshape(turned(build, convolved), [inner, patch])));
  return build.reshape(build.transposeLast(build.reshape(product, [images, count, inner])), [
    images,
    inner,
    ...spatial,
  ]);
}
