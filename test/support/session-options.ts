/** Options of sessions that tests make: silent, and with threads that sleep while they wait, as in vitest.config.ts. */
import type { InferenceSession } from "onnxruntime-node";

export const sessionOptions: InferenceSession.SessionOptions = {
  logSeverityLevel: 4,
  extra: { session: { intra_op: { allow_spinning: "0" } } },
};
