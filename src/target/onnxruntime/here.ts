/** The runtime in Node: onnxruntime-node if it is installed, else onnxruntime-web. */
import { FirstInstalled } from "./first-installed.js";
import { native } from "./native.js";
import { wasm } from "./wasm.js";

export const here = new FirstInstalled([
  ["onnxruntime-node", native],
  ["onnxruntime-web", wasm],
]);
