/**
 * Since 1.29, ONNX Runtime sends usage events on Linux: it writes a device id and a store of events into the user's
 * cache folder and looks up a collector. pergrad is made for private data, so this module turns that off, unless the
 * user has set the variable. Import it before the runtime.
 */
import { isMainThread } from "node:worker_threads";

const variable = "ORT_DISABLE_TELEMETRY";

if (process.env[variable] === undefined) {
  process.env[variable] = "1";
  // The environment of a worker thread is a copy, which the runtime does not see.
  if (!isMainThread)
    process.emitWarning(
      `ONNX Runtime may send usage events from this process: pergrad was first imported in a worker thread, which cannot turn them off. Import pergrad in the main thread before the worker starts, or set ${variable}=1.`,
      { code: "PERGRAD_TELEMETRY" },
    );
}
