/** The runtimes that Node can load, each when it is first used. */
import { createRequire } from "node:module";
import type { ProfiledRuntime } from "../target.js";
import { nodeRuntime } from "./node.js";
import { profiler } from "./profiler.js";
import { WebRuntime } from "./web.js";

const require = createRequire(import.meta.url);

export const native: ProfiledRuntime = {
  get version() {
    return nodeRuntime.version;
  },
  atOnce: nodeRuntime.atOnce,
  load: (model, options) => nodeRuntime.load(model, options),
  profiler,
};

export const wasm: ProfiledRuntime = new WebRuntime(() => require("onnxruntime-web/wasm"));
