/** Settings of the runtime for which programs have no options. */
import "../src/target/onnxruntime/no-telemetry.js";

import type { InferenceSession } from "onnxruntime-node";
import { type Binding, binding, initOrt } from "onnxruntime-node/dist/binding.js";

/** The result of `make`, and the sessions created meanwhile, all with these options in addition to their own. */
export async function sessionsWith<T>(
  options: InferenceSession.SessionOptions,
  make: () => Promise<T>,
): Promise<{ readonly result: T; readonly sessions: readonly Binding.InferenceSession[] }> {
  initOrt();
  const sessions: Binding.InferenceSession[] = [];
  const { InferenceSession } = binding;
  // The native class's own methods cannot be replaced.
  class WithOptions extends InferenceSession {
    override loadModel(model: ArrayBuffer, from: number, length: number, own: InferenceSession.SessionOptions): void;
    override loadModel(path: string, own: InferenceSession.SessionOptions): void;
    override loadModel(
      ...given:
        | [model: ArrayBuffer, from: number, length: number, own: InferenceSession.SessionOptions]
        | [path: string, own: InferenceSession.SessionOptions]
    ): void {
      sessions.push(this);
      if (given.length === 2) super.loadModel(given[0], { ...given[1], ...options });
      else super.loadModel(given[0], given[1], given[2], { ...given[3], ...options });
    }
  }
  Object.assign(binding, { InferenceSession: WithOptions });
  try {
    return { result: await make(), sessions };
  } finally {
    Object.assign(binding, { InferenceSession });
  }
}
