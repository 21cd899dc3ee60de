/** Settings of the runtime that programs have no options for. */
import "../src/target/onnxruntime/no-telemetry.js";

import type { InferenceSession } from "onnxruntime-node";
import { type Binding, binding, initOrt } from "onnxruntime-node/dist/binding.js";

type Load = (model: ArrayBuffer, from: number, length: number, options: InferenceSession.SessionOptions) => void;

/** What `make` returns, and the sessions created meanwhile, all with these options beside their own. */
export async function sessionsWith<T>(
  options: InferenceSession.SessionOptions,
  make: () => Promise<T>,
): Promise<{ readonly result: T; readonly sessions: readonly Binding.InferenceSession[] }> {
  initOrt();
  const prototype = binding.InferenceSession.prototype as { loadModel: Load };
  const { loadModel } = prototype;
  const sessions: Binding.InferenceSession[] = [];
  prototype.loadModel = function (this: Binding.InferenceSession, model, from, length, own) {
    sessions.push(this);
    loadModel.call(this, model, from, length, { ...own, ...options });
  };
  try {
    return { result: await make(), sessions };
  } finally {
    prototype.loadModel = loadModel;
  }
}
