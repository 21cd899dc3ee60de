import { factorOf, N } from "../graph/dim.js";
import type { SampleAxis } from "../graph/sample-axis.js";
import type { Value } from "../graph/value.js";
import { kernelSize } from "../graph/window.js";
import { type Build, elementFactor } from "../ops/build.js";
import type { UnfoldMethod } from "../ops/build-strategy.js";
import type { Convolution } from "../ops/cotangent.js";
import type { Along, ViewStep } from "../ops/definition.js";
import { positionsLast } from "../ops/subgraphs/convolution-weight.js";
import { unfold, unfoldMethod } from "../ops/subgraphs/unfold.js";
import { leadingOf, present } from "../present.js";
import { type Block, blocksOf, costOfBlocks, cutOf, otherCut, unfoldedSize, within } from "./convolution-blocks.js";
import { addCosts, type Cost, costOfSquare } from "./cost.js";
import { blockedUnfold, type NormMethod, type SumMethod, sizeOfGradient, sumOfSquares } from "./factored.js";
import { Outer } from "./outer.js";
import { View } from "./view.js";

/**
 * The gradients of one block of positions, unfolded by itself.
 * @param weights `[N]` or `[]`, applied to the samples before unfolding; null for none
 */
type BlockGradients = (build: Build, weights: Value | null) => Outer;

/**
 * The gradients as a sum over blocks of positions. Sums use blocks that differ from those of norms, and apply the
 * samples' weights before the data is unfolded. Otherwise equal nodes would be merged, and data unfolded for a norm
 * would be kept for the sum.
 */
interface PositionBlocks {
  readonly each: readonly BlockGradients[];
  readonly ofSums: readonly BlockGradients[];
  /** The cost of cutting out the blocks, in floats moved. */
  readonly cutting: Cost;
  /** The cost of unfolding the blocks, in floats moved per sample. */
  readonly unfolding: number;
  /** The number of floats of data per sample. */
  readonly data: number;
  /** Whether blocks hold less at a time: the gradients are small beside the unfolded data. */
  readonly lowMemory: boolean;
  /** Whether gradients are also materialised by blocks. */
  readonly materialise: boolean;
}

/** Uses of one kernel are not computed by blocks if together they have more blocks than this. */
const mostParts = 64;

/**
 * The gradients of a convolution's kernel: sums, over the kernel's positions, of outer products of the cotangent's
 * channels and the unfolded data (the patch under the kernel, as a row).
 */
export class ConvolutionGradient extends Outer {
  override readonly kind = "convolution";

  /**
   * @param unfolded how the data was turned into rows
   * @param parts the same gradients by blocks of positions
   */
  constructor(
    rows: Value,
    columns: Value,
    viewed: View,
    readonly unfolded: UnfoldMethod,
    private readonly parts: PositionBlocks | null,
  ) {
    super(rows, columns, viewed);
  }

  /** Whether gradients are materialised block by block. */
  get inBlocks(): boolean {
    return this.parts?.materialise ?? false;
  }

  get unfolding(): string {
    return this.inBlocks ? `${this.unfolded}, in blocks` : this.unfolded;
  }

  override view(step: ViewStep): ConvolutionGradient {
    return this.#mapped(super.view(step), (part) => part.view(step));
  }

  override along(build: Build, step: Along): ConvolutionGradient | null {
    const whole = super.along(build, step);
    // Blocks have the same view, and differ only in their positions.
    return whole && this.#mapped(whole, (part, own) => present(part.along(own, step)));
  }

  override scaled(build: Build, factor: Value): ConvolutionGradient {
    return this.#mapped(super.scaled(build, factor), (part, own) => part.scaled(own, factor));
  }

  override join(build: Build, other: Outer): ConvolutionGradient {
    const { rows, columns, viewed } = super.join(build, other);
    const parts = other instanceof ConvolutionGradient ? joined(this.parts, other.parts) : null;
    return new ConvolutionGradient(rows, columns, viewed, this.unfolded, parts);
  }

  protected override with(rows: Value, columns: Value, viewed: View): ConvolutionGradient {
    return new ConvolutionGradient(rows, columns, viewed, this.unfolded, null);
  }

  /** These gradients after a linear map, which is applied to each block. */
  #mapped({ rows, columns, viewed }: Outer, map: (part: Outer, build: Build) => Outer): ConvolutionGradient {
    const { parts } = this;
    const mapped = (part: BlockGradients): BlockGradients => {
      return (build, weights) => map(part(build, weights), build);
    };
    const all = parts && { ...parts, each: parts.each.map(mapped), ofSums: parts.ofSums.map(mapped) };
    return new ConvolutionGradient(rows, columns, viewed, this.unfolded, all);
  }

  override raw(build: Build): Value {
    return this.parts?.materialise ? rawByParts(build, this.parts) : super.raw(build);
  }

  override get materialisation(): Cost {
    return this.parts?.materialise ? this.#costOfRaw(this.parts) : super.materialisation;
  }

  /**
   * Each block's gradients are written and added to those of the blocks before. The cost of unfolding the data once is
   * left out, as it is for the other methods.
   */
  #costOfRaw({ each, cutting }: PositionBlocks): Required<Cost> {
    const size = sizeOfGradient(this);
    const written = (2 * each.length - 1) * size;
    return addCosts([cutting, { operations: size * this.positions, floats: written + 2 * this.held }]);
  }

  override squaredNorms(): readonly NormMethod[] {
    const { parts } = this;
    if (!parts) return super.squaredNorms();
    const blocked: NormMethod = {
      name: blockedUnfold,
      ...addCosts([this.#costOfRaw(parts), { operations: 0, floats: costOfSquare * sizeOfGradient(this) }]),
      dense: parts.materialise,
      lowMemory: parts.lowMemory,
      emit: (build) => sumOfSquares(build, rawByParts(build, parts)),
    };
    return [...super.squaredNorms(), blocked];
  }

  /** In the data, channels come before positions, so contracting in one step first rearranges both factors. */
  override weightedSums(): readonly SumMethod[] {
    const whole = super
      .weightedSums()
      .map((method) => (method.dense ? method : { ...method, floats: method.floats + this.held }));
    const { parts } = this;
    if (!parts) return whole;
    const size = sizeOfGradient(this);
    const blocked: SumMethod = {
      name: blockedUnfold,
      ...addCosts([
        parts.cutting,
        {
          operations: size * this.positions,
          // Weights scale the data, which is unfolded again; both factors are rearranged.
          floats: parts.data + parts.unfolding + 3 * this.held,
          once: (2 * parts.ofSums.length - 1) * size,
        },
      ]),
      dense: false,
      lowMemory: parts.lowMemory,
      emit: (build, weights) =>
        this.viewed.apply(
          build,
          added(build, parts.ofSums, (part) => part(build, weights).contracted(build, null)),
        ),
    };
    return [...whole, blocked];
  }
}

/** The runtime computes each part when it is added, and frees its inputs before the next part. */
function added(build: Build, parts: readonly BlockGradients[], compute: (part: BlockGradients) => Value): Value {
  return parts.map(compute).reduce((sum, value) => build.add(sum, value));
}

function rawByParts(build: Build, { each }: PositionBlocks): Value {
  return added(build, each, (part) => part(build, null).raw(build));
}

function joined(a: PositionBlocks | null, b: PositionBlocks | null): PositionBlocks | null {
  if (!a || !b || a.each.length + b.each.length > mostParts) return null;
  return {
    cutting: addCosts([a.cutting, b.cutting]),
    unfolding: a.unfolding + b.unfolding,
    each: [...a.each, ...b.each],
    ofSums: [...a.ofSums, ...b.ofSums],
    data: a.data + b.data,
    lowMemory: a.lowMemory && b.lowMemory,
    materialise: a.materialise && b.materialise,
  };
}

/** Takes samples out of the folded first axis: `[outer*N*inner, G, T, X]` to `[N, (G,) outer*inner*T, X]`. */
function bySample(build: Build, value: Value, at: SampleAxis): Value {
  const [, groups, positions, size] = leadingOf(value.shape, 4);
  const split = build.reshape(value, [at.outer, N, at.inner, groups, positions, size]);
  const first = build.transpose(split, [1, 3, 0, 2, 4, 5]);
  const all = at.outer * at.inner * factorOf(positions);
  return build.reshape(first, groups === 1 ? [N, all, size] : [N, groups, all, size]);
}

/** The samples, along the folded first axis, times their weights: `[N]`, or `[]` for one weight that all share. */
function scaledSamples(build: Build, value: Value, weights: Value, at: SampleAxis): Value {
  if (weights.shape.length === 0) return build.mul(value, weights);
  const rest = value.shape.slice(1);
  const split = build.reshape(value, [at.outer, N, at.inner, ...rest]);
  const factors = build.reshape(weights, [N, 1, ...rest.map(() => 1)]);
  return build.reshape(build.mul(split, factors), value.shape);
}

interface Factors {
  readonly rows: Value;
  readonly columns: Value;
  /** The view that turns a raw matrix into the kernel. */
  readonly view: View;
}

function factors(build: Build, convolution: Convolution, at: SampleAxis, method: UnfoldMethod): Factors {
  const { data, window, groups, shape } = convolution;
  const { byPosition, order } = unfold(build, data, window, groups, method);
  const [outputs, inner, ...kernel] = leadingOf(shape.map(factorOf), 2);
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
  return {
    rows: bySample(build, positionsLast(build, convolution), at),
    columns: bySample(build, byPosition, at),
    view,
  };
}

/** The same gradients by blocks; null if there are too few positions for two. */
function partsOf(build: Build, convolution: Convolution, at: SampleAxis, method: UnfoldMethod): PositionBlocks | null {
  const { unfoldBlock, materialise } = build.strategy;
  const images = at.outer * at.inner;
  const cut = cutOf(convolution, images, method, unfoldBlock);
  if (!cut) return null;
  const part = (block: Block): BlockGradients => {
    return (own, weights) => {
      const data = weights ? scaledSamples(own, convolution.data, weights, at) : convolution.data;
      const { rows, columns, view } = factors(own, within(own, { ...convolution, data }, block), at, method);
      return new Outer(rows, columns, view);
    };
  };
  const blocks = blocksOf(convolution, cut);
  if (blocks.length < 2) return null;
  // The sum of the blocks so far is held together with the gradients of one more block.
  const lowMemory = 2 * sizeOfGradient(convolution) < unfoldedSize(convolution, images);
  return {
    ...costOfBlocks(convolution, images, method, blocks, build.prices),
    each: blocks.map(part),
    ofSums: blocksOf(convolution, otherCut(cut)).map(part),
    data: elementFactor(convolution.data.shape),
    lowMemory,
    materialise: materialise === blockedUnfold || (materialise === "lowMemory" && lowMemory),
  };
}

/** The per-sample gradients of the kernel, if samples lie along the first axis of data and cotangent. */
export function convolutionFactor(build: Build, convolution: Convolution, at: SampleAxis): ConvolutionGradient {
  const { data, window, groups } = convolution;
  const method = unfoldMethod(data.shape, window, groups, build);
  const { rows, columns, view } = factors(build, convolution, at, method);
  return new ConvolutionGradient(rows, columns, view, method, partsOf(build, convolution, at, method));
}
