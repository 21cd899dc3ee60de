/** Settings of the runtime that programs have no options for. */
import "../src/target/onnxruntime/no-telemetry.js";

import { InferenceSession } from "onnxruntime-node";

/** What `make` returns, and the sessions created meanwhile, all with these options beside their own. */
export async function sessionsWith<T>(
  options: InferenceSession.SessionOptions,
  make: () => Promise<T>,
): Promise<{ readonly result: T; readonly sessions: readonly InferenceSession[] }> {
  const { create } = InferenceSession;
  const sessions: InferenceSession[] = [];
  const replaced = async (model: Uint8Array, own: InferenceSession.SessionOptions) => {
    const session = await create.call(InferenceSession, model, { ...own, ...options });
    sessions.push(session);
    return session;
  };
  Object.assign(InferenceSession, { create: replaced });
  try {
    return { result: await make(), sessions };
  } finally {
    Object.assign(InferenceSession, { create });
  }
}
