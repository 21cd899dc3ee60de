/** onnxruntime-web in Node, loaded when it is first used. */
import { createRequire } from "node:module";
import type { ProfiledRuntime } from "../target.js";
import { WebRuntime } from "./web.js";

const require = createRequire(import.meta.url);

export const wasm: ProfiledRuntime = new WebRuntime(() => require("onnxruntime-web/wasm"));
