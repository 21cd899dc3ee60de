/**
 * What ONNX Runtime's kernels take on one thread, in nanoseconds: what the choices between equal ways of
 * computing something are priced with. Only their ratios matter, and only roughly.
 */
export const calibration = {
  /** A multiply-add of a large matrix product. */
  multiplyAdd: 0.024,
  /** A float read and written by an element-wise operator. */
  float: 0.23,
  /** A float chosen by Where. */
  chosen: 0.71,
  /** A float squared and summed by ReduceSumSquare. */
  squared: 0.96,
  /** A float moved by a Transpose of the last two axes. */
  transposed: 0.35,
  /** A row copied by Gather or Slice, and each float of it. */
  gatheredRow: 8.5,
  gatheredFloat: 0.076,
  slicedFloat: 0.24,
  /** A float added to its place by ScatterElements. */
  scattered: 7,
  /** A float that a convolution of single channels writes, its offsets counted as the runtime pads them. */
  oneHotFloat: 0.56,
  /** A float that ConvTranspose adds to its place. */
  folded: 1.1,
  /** A weight that ConvTranspose brings into order, image by image. */
  repacked: 0.45,
  /** A weight transposed in pieces of a kernel's size. */
  shuffledWeight: 2.2,
  /** An element of a window that MaxPool looks at while it notes where the maximum is. */
  notedMaximum: 3.3,
  /** Running one node. */
  node: 670,
} as const;
