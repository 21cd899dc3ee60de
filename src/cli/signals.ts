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

/**
 * Runs an action that can be asked to end early: a signal aborts what it is given, and once it has ended the signal
 * ends the process as it would have. A second signal does so at once.
 */
export async function interruptible<T>(action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let received: NodeJS.Signals | undefined;
  const listen = (name: NodeJS.Signals) => {
    if (received !== undefined) end(name);
    received = name;
    controller.abort();
  };
  const end = (name: NodeJS.Signals) => {
    removeUnfinishedFiles();
    for (const each of signals) process.removeListener(each, listen);
    process.kill(process.pid, name);
  };
  for (const name of signals) process.on(name, listen);
  try {
    return await action(controller.signal);
  } finally {
    for (const name of signals) process.removeListener(name, listen);
    if (received !== undefined) end(received);
  }
}
