/**
 * Where a value carries the samples. Dimension `axis` has outer * N * inner elements; sample n owns those whose index
 * along it is (o * N + n) * inner + i. Plain `[N, ...]` is axis 0, outer 1, inner 1; `[N*T, C]` has inner T, `[T*N, C]`
 * has outer T. A value without a sample axis (null) is *shared* by all samples.
 */
export interface SampleAxis {
  readonly axis: number;
  readonly outer: number;
  readonly inner: number;
  /** All elements along the axis are equal (zeros, say), so any outer and inner would fit. */
  readonly uniform?: boolean;
}
