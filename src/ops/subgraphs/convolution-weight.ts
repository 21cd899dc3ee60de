/**
 * What stages need to know about the gradient of a convolution's kernel, besides how it is computed for each sample.
 */
import { factorOf } from "../../graph/dim.js";
import type { Value } from "../../graph/value.js";
import { leadingOf } from "../../present.js";
import type { Build } from "../build.js";
import type { Convolution, ConvolutionRules } from "../cotangent.js";
import { dataCotangent } from "./convolution-data.js";
import { foldWeight, unfold } from "./unfold.js";
import { windowAttributes } from "./window.js";

/** The cotangent `[n, G*O, ...positions]` as `[n, G, T, O]`. */
export function positionsLast(build: Build, { cotangent, groups }: Convolution): Value {
  const [batch, channels, ...spatial] = leadingOf(cotangent.shape, 2);
  const positions = spatial.reduce<number>((size, dim) => size * factorOf(dim), 1);
  return build.transposeLast(build.reshape(cotangent, [batch, groups, factorOf(channels) / groups, positions]));
}

function gradient(build: Build, convolution: Convolution): Value {
  const { data, window, groups, shape } = convolution;
  const { byPosition, order } = unfold(build, data, window, groups);
  const product = build.matmul(build.transposeLast(positionsLast(build, convolution)), byPosition);
  return build.reshape(foldWeight(build, build.sum(product, [0]), order, window.kernel), shape);
}

/** In the same way as the kernel, with a kernel of ones. */
function joined(build: Build, convolution: Convolution, sizes: Value, of: "data" | "cotangent"): Value {
  const { data, groups, window } = convolution;
  const weight = build.filled(1, [groups, 1, ...window.kernel], sizes.dtype);
  if (of === "cotangent") return build.op("Conv", [sizes, weight], { ...windowAttributes(window), group: groups });
  return dataCotangent(build, sizes, { weight, window, groups, spatial: data.shape.slice(2).map(factorOf) });
}

export const convolutionRules: ConvolutionRules = { gradient, joined };
