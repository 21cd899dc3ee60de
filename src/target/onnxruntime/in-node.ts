/** The runtimes that Node can load, each when it is first used. */
import { createRequire } from "node:module";
import type { ProfiledRuntime, Profiler } from "../target.js";
import { nodeRuntime } from "./node.js";
import { WebRuntime } from "./web.js";

const require = createRequire(import.meta.url);

const profiler: Profiler = {
  profile: async (...given) => (await import("./profiler.js")).profiler.profile(...given),
  optimised: async (...given) => (await import("./profiler.js")).profiler.optimised(...given),
};

export const native: ProfiledRuntime = {
  get version() {
    return nodeRuntime.version;
  },
  atOnce: nodeRuntime.atOnce,
  load: (model, options) => nodeRuntime.load(model, options),
  profiler,
};

export const wasm: ProfiledRuntime = new WebRuntime(() => require("onnxruntime-web/wasm"));
