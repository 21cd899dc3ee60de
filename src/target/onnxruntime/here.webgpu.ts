/** The runtime of `pergrad/webgpu`: a browser's GPU. */
import * as ort from "onnxruntime-web/webgpu";
import type { ProfiledRuntime } from "../target.js";
import { WebRuntime } from "./web.js";

export const here: ProfiledRuntime = new WebRuntime(() => ort, "webgpu");
