import { type Dim, factorOf, N } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { Convolution, SampleAxis } from "../ops/definition.js";
import { foldWeight, type UnfoldMethod, unfold, unfoldMethod } from "../ops/unfold.js";
import { kernelSize } from "../ops/window.js";
import type { SumWay } from "./factored.js";
import { Outer } from "./outer.js";
import { View } from "./view.js";

/**
 * The gradients of a convolution's kernel: over the positions of the kernel, outer products of the
 * cotangent's channels and the unfolded data (the patch that lies under the kernel, as a row).
 */
export class ConvolutionGradient extends Outer {
  override readonly kind = "convolution";

  /** @param unfolded how the data came into rows */
  constructor(
    rows: Value,
    columns: Value,
    viewed: View,
    readonly unfolded: UnfoldMethod,
  ) {
    super(rows, columns, viewed);
  }

  protected override with(rows: Value, columns: Value, viewed: View): ConvolutionGradient {
    return new ConvolutionGradient(rows, columns, viewed, this.unfolded);
  }

  /** Channels come before positions in the data, so that contracting in one go first moves both factors about. */
  override weightedSums(): readonly SumWay[] {
    const size = (value: Value) => value.shape.slice(1).reduce<number>((product, dim) => product * factorOf(dim), 1);
    const moved = size(this.rows) + size(this.columns);
    return super.weightedSums().map((way) => (way.dense ? way : { ...way, floats: way.floats + moved }));
  }
}

/** Takes samples out of the folded first axis: `[outer*N*inner, G, T, X]` to `[N, (G,) outer*inner*T, X]`. */
function bySample(build: Build, value: Value, at: SampleAxis): Value {
  const [, groups, positions, size] = value.shape as [Dim, Dim, Dim, Dim];
  const split = build.reshape(value, [at.outer, N, at.inner, groups, positions, size]);
  const first = build.transpose(split, [1, 3, 0, 2, 4, 5]);
  const all = at.outer * at.inner * factorOf(positions);
  return build.reshape(first, groups === 1 ? [N, all, size] : [N, groups, all, size]);
}

/** The cotangent `[n, G*O, ...positions]` as `[n, G, T, O]`. */
function positionsLast(build: Build, { cotangent, groups }: Convolution): Value {
  const [batch, channels, ...spatial] = cotangent.shape as [Dim, Dim, ...Dim[]];
  const positions = spatial.reduce<number>((size, dim) => size * factorOf(dim), 1);
  return build.transposeLast(build.reshape(cotangent, [batch, groups, factorOf(channels) / groups, positions]));
}

/** The per-sample gradients of the kernel, where samples lie along the first axis of data and cotangent. */
export function convolutionFactor(build: Build, convolution: Convolution, at: SampleAxis): ConvolutionGradient {
  const { data, window, groups, shape } = convolution;
  const method = unfoldMethod(data.shape, window, groups, build.choices.unfold);
  const { byPosition, order } = unfold(build, data, window, groups, method);
  const rows = bySample(build, positionsLast(build, convolution), at);
  const columns = bySample(build, byPosition, at);
  const [outputs, inner, ...kernel] = shape.map(factorOf) as [number, number, ...number[]];
  const size = kernelSize(window);
  const blocks = groups === 1 ? [] : [groups];
  const patches = View.of([...blocks, outputs / groups, inner * size]);
  const weight = { kind: "reshape", shape: [outputs, inner, ...kernel] } as const;
  const view =
    order === "ik"
      ? patches.andThen(weight)
      : patches
          .andThen({ kind: "reshape", shape: [outputs, size, inner] })
          .andThen({ kind: "transpose", permutation: [0, 2, 1] })
          .andThen(weight);
  return new ConvolutionGradient(rows, columns, view, method);
}

/** The kernel's gradient, summed over everything on the first axis. */
export function convolutionGradient(build: Build, convolution: Convolution): Value {
  const { data, window, groups, shape } = convolution;
  const { byPosition, order } = unfold(build, data, window, groups);
  const product = build.matmul(build.transposeLast(positionsLast(build, convolution)), byPosition);
  return build.reshape(foldWeight(build, build.sum(product, [0]), order, window.kernel), shape);
}
