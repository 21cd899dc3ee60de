/** The runtime of `pergrad/wasm` in Node. */
import { FirstInstalled } from "./first-installed.js";
import { wasm } from "./wasm.js";

export const here = new FirstInstalled([["onnxruntime-web", wasm]]);
