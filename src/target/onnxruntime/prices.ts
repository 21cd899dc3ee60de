/**
 * What ONNX Runtime's kernels take on one thread, in nanoseconds: what the choices between equal ways of
 * computing something are priced with. Only their ratios matter, and only roughly.
 */
export const calibration = {
  /** A multiply-add of a large matrix product. */
  multiplyAdd: 0.023,
  /** A float read and written by an element-wise operator. */
  float: 0.16,
  /** A float chosen by Where. */
  chosen: 0.78,
  /** A float squared and summed by ReduceSumSquare. */
  squared: 0.97,
  /** A float moved by a Transpose of the last two axes. */
  transposed: 1.3,
  /** A row copied by Gather or Slice, and each float of it. */
  gatheredRow: 9.1,
  gatheredFloat: 0.22,
  slicedFloat: 0.044,
  /** A float added to its place by ScatterElements. */
  scattered: 5.9,
  /** A float that a convolution of single channels writes, its offsets counted as the runtime pads them. */
  oneHotFloat: 0.6,
  /** A float that ConvTranspose adds to its place. */
  folded: 0.55,
  /** A weight that ConvTranspose brings into order, image by image. */
  repacked: 0.4,
  /** A weight transposed in pieces of a kernel's size. */
  shuffledWeight: 2.6,
  /** An element of a window that MaxPool looks at while it notes where the maximum is. */
  notedMaximum: 2.2,
  /** Running one node. */
  node: 420,
} as const;
