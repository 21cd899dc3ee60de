import { removeUnfinishedFiles } from "../io/atomic.js";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs `action`; a signal meanwhile removes the temporary files, then ends the process as it would have. */
export async function cleaningUp<T>(action: () => Promise<T>): Promise<T> {
  const restore = () => {
    for (const signal of signals) process.removeListener(signal, stop);
  };
  const stop = (signal: NodeJS.Signals) => {
    removeUnfinishedFiles();
    restore();
    process.kill(process.pid, signal);
  };
  for (const signal of signals) process.on(signal, stop);
  try {
    return await action();
  } finally {
    restore();
  }
}
