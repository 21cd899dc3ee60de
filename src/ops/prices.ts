/**
 * The time that a runtime's kernels take on one thread, in nanoseconds: choices between equal methods are priced with
 * it. Only ratios matter, and only roughly.
 */
export interface Prices {
  /** A multiply-add of a large matrix product. */
  readonly multiplyAdd: number;
  /** A float read and written by an element-wise operator. */
  readonly float: number;
  /** A float selected by Where. */
  readonly chosen: number;
  /** A float squared and summed by ReduceSumSquare. */
  readonly squared: number;
  /** A float moved by a Transpose of the last two axes. */
  readonly transposed: number;
  /** A row copied by Gather or Slice, and each float of it. */
  readonly gatheredRow: number;
  readonly gatheredFloat: number;
  readonly slicedFloat: number;
  /** A float added to its place by ScatterElements. */
  readonly scattered: number;
  /** A float that a convolution of single channels writes, with its offsets padded as the runtime pads them. */
  readonly oneHotFloat: number;
  /** A float that ConvTranspose adds to its place. */
  readonly folded: number;
  /** A weight that ConvTranspose rearranges, image by image. */
  readonly repacked: number;
  /** A weight transposed in pieces of a kernel's size. */
  readonly shuffledWeight: number;
  /** An element of a window that MaxPool looks at while it records where the maximum is. */
  readonly notedMaximum: number;
  /** The overhead of one node. */
  readonly node: number;
}

/** Prices on a common processor, as `npm run calibrate` measured them. A target may have its own. */
export const usualPrices: Prices = {
  multiplyAdd: 0.023,
  float: 0.16,
  chosen: 0.78,
  squared: 0.97,
  transposed: 1.3,
  gatheredRow: 9.1,
  gatheredFloat: 0.22,
  slicedFloat: 0.044,
  scattered: 5.9,
  oneHotFloat: 0.6,
  folded: 0.55,
  repacked: 0.4,
  shuffledWeight: 2.6,
  notedMaximum: 2.2,
  node: 420,
};
