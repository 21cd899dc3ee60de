/** ONNX Runtime in Node, as a target. */

import { encodeModel } from "../../onnx/write/encode.js";
import { usualPrices } from "../../ops/prices.js";
import type { Target } from "../target.js";
import { type ApartSizes, usualApartSizes } from "./apart.js";
import { executable } from "./executable.js";
import { nodeRuntime } from "./node.js";
import { lowMemoryOrder } from "./order.js";
import { profiler } from "./profiler.js";

/** @param sizes from which on large results are computed apart */
export function onnxruntimeWith(sizes: ApartSizes): Target {
  return {
    version: nodeRuntime.version,
    prices: usualPrices,
    order: (results) => lowMemoryOrder(results).order,
    schedule: (program, options) => executable(program, options, sizes),
    open: (file, options) => nodeRuntime.load(file, options),
    load: (program, options) => nodeRuntime.load(encodeModel(program), options),
    profiler,
  };
}

export const onnxruntime: Target = onnxruntimeWith(usualApartSizes);
