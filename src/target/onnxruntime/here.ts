/** The runtime of this place, in Node: onnxruntime-node where it is installed, else onnxruntime-web. */
import { FirstInstalled } from "./first-installed.js";
import { native, wasm } from "./in-node.js";

export const here = new FirstInstalled([
  ["onnxruntime-node", native],
  ["onnxruntime-web", wasm],
]);
