/** onnxruntime-node as a runtime that can be profiled. */
import type { ProfiledRuntime } from "../target.js";
import { nodeRuntime } from "./node.js";

export const native: ProfiledRuntime = {
  get version() {
    return nodeRuntime.version;
  },
  atOnce: nodeRuntime.atOnce,
  load: (model, options) => nodeRuntime.load(model, options),
  // Loaded when it is first used, because few programs are profiled.
  profiler: {
    profile: async (...given) => (await import("./profiler.js")).profiler.profile(...given),
    optimised: async (...given) => (await import("./profiler.js")).profiler.optimised(...given),
    fallenBack: async (...given) => (await import("./profiler.js")).profiler.fallenBack(...given),
  },
};
