/** The runtime in a browser: WebAssembly. */
import * as ort from "onnxruntime-web/wasm";
import type { ProfiledRuntime } from "../target.js";
import { WebRuntime } from "./web.js";

export const here: ProfiledRuntime = new WebRuntime(() => ort);
