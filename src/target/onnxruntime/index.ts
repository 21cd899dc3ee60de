/** ONNX Runtime, as a target. */

import { encodeModel } from "../../onnx/write/encode.js";
import { usualPrices } from "../../ops/prices.js";
import type { ProfiledRuntime, Target } from "../target.js";
import { type ApartSizes, usualApartSizes } from "./apart.js";
import { executable } from "./executable.js";
import { here } from "./here.js";
import { lowMemoryOrder } from "./order.js";

/**
 * @param sizes from which on large results are computed apart
 * @param runtime default: the one of this place
 */
export function onnxruntimeWith(sizes: ApartSizes, runtime: ProfiledRuntime = here): Target {
  return {
    get version() {
      return runtime.version;
    },
    get atOnce() {
      return runtime.atOnce;
    },
    prices: usualPrices,
    order: (results) => lowMemoryOrder(results).order,
    schedule: (program, options) => executable(program, options, sizes, runtime),
    open: (file, options) => runtime.load(file, options),
    load: (program, options) => runtime.load(encodeModel(program), options),
    get profiler() {
      return runtime.profiler;
    },
  };
}

export const onnxruntime: Target = onnxruntimeWith(usualApartSizes);
