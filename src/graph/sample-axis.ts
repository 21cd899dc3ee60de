/**
 * Where a value carries the samples: dimension `axis` has outer * N * inner elements, sample n owning
 * those whose index along it is (o * N + n) * inner + i. Plain `[N, ...]` is axis 0, outer 1, inner 1;
 * `[N*T, C]` has inner T, `[T*N, C]` has outer T. A value with none is *shared* by all samples (null).
 */
export interface SampleAxis {
  readonly axis: number;
  readonly outer: number;
  readonly inner: number;
  /** The elements along the axis are all alike (zeros, say), so that any outer and inner would do. */
  readonly uniform?: boolean;
}
