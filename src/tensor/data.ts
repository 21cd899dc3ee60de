import type { Tensor, TypedArray } from "./tensor.js";

/**
 * Data for one input: a tensor, or a flat array whose dimensions follow from the input's shape. Numbers
 * are converted to the input's dtype where no information is lost (integers to int64, float64 to float32).
 */
export type Data = Tensor | TypedArray | readonly number[];
