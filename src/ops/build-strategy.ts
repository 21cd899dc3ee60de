import type { Prices } from "./prices.js";

/** Where there are several methods of building something, those to take. Default: the cheapest by shape. */
export interface BuildStrategy {
  /** What the kernels take that it will run by. Default: those of a usual processor. */
  readonly prices?: Prices;
  /** How the data under a convolution's kernel is brought into rows. */
  readonly unfold?: UnfoldMethod;
  /** Floats of each sample's unfolded data in a block, about, where it is unfolded in blocks. Default 65536. */
  readonly unfoldBlock?: number;
  /**
   * Whether gradients of a convolution's kernel are materialised by blocks of positions: always, or where they are
   * small beside the unfolded data. Default: of all positions at once.
   */
  readonly materialise?: "blocked unfold" | "lowMemory";
  /** How the cotangent of a convolution's data is computed. */
  readonly convolutionData?: DataMethod;
  /** For how many cotangents a derivative is computed: what does not depend on them is there once. Default 1. */
  readonly directions?: number;
  /**
   * How a cotangent becomes 0 where a condition does not hold: chosen, whatever it is, or multiplied by a mask, which takes
   * less time where many cotangents have the mask in common, and where they are finite is the same. Default: chosen.
   */
  readonly masks?: "choose" | "multiply";
  /**
   * Whether to hold less where a pass forward is followed by one back: of the derivative of an activation that is made of
   * others the sum, which both passes multiply by, in place of its parts; and of products that are added up no more than
   * one beside their sum. Default false.
   */
  readonly holdLess?: boolean;
  /** How the maximum of a window is found again. */
  readonly maxPool?: MaxPoolMethod;
}

export type UnfoldMethod = "tiles" | "oneHot" | "gather" | "slices";

/**
 * "ConvTranspose": the operator of that name. With strides of 1 it is also a convolution of the cotangent with
 * the kernel flipped ("flipped"), or a product of the cotangent, unfolded, with that kernel ("unfolded").
 */
export type DataMethod = "ConvTranspose" | "flipped" | "unfolded";

/** "indices": by MaxPool's Indices, which make the runtime several times as slow; "comparison": by comparing, axis by axis. */
export type MaxPoolMethod = "indices" | "comparison";
