/** ONNX Runtime, as a target. */
import { usualPrices } from "../../ops/prices.js";
import type { ProfiledRuntime, Target } from "../target.js";
import { adapted } from "./adapt.js";
import { type ApartSizes, usualApartSizes } from "./apart.js";
import { elsewhere, readElsewhere } from "./elsewhere.js";
import { executable } from "./executable.js";
import { here } from "./here.js";
import { load } from "./load.js";
import { mayBlockConvolutions } from "./optimizers.js";
import { lowMemoryOrder } from "./order.js";
import { loadSeldom } from "./workarounds/seldom.js";

/**
 * @param sizes from which large results are computed separately
 * @param runtime default: the one for this environment
 */
export function onnxruntimeWith(sizes: ApartSizes, runtime: ProfiledRuntime = here): Target {
  return {
    name: "onnxruntime",
    get version() {
      return runtime.version;
    },
    get mostMemory() {
      return runtime.mostMemory;
    },
    get atOnce() {
      return runtime.atOnce;
    },
    prices: usualPrices,
    order: (results) => lowMemoryOrder(results).order,
    ready: loadSeldom,
    adapt: adapted,
    schedule: (program, options) => executable(adapted(program, options), options, sizes, runtime),
    // Uses the settings of a compiled program that holds its weights, so that the results are equal.
    open: (file, options) => {
      const { operators } = options ?? {};
      return runtime.load(
        file,
        operators ? { blockedConvolutions: mayBlockConvolutions(operators), ...options } : options,
      );
    },
    load: (program, options) => load(runtime, program, options),
    get profiler() {
      return runtime.profiler;
    },
    elsewhere,
    readElsewhere,
  };
}

export const onnxruntime: Target = onnxruntimeWith(usualApartSizes);
