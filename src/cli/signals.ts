import { constants } from "node:os";
import { removeUnfinishedFiles } from "../io/atomic.js";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

type Signal = (typeof signals)[number];

/**
 * Ends the process with the exit code that shells expect after a signal: 130 for Ctrl-C. Nothing half-written is left.
 */
function end(signal: Signal): void {
  removeUnfinishedFiles();
  process.exit(128 + constants.signals[signal]);
}

/** Runs `action`. A signal in the meantime removes temporary files, calls `onSignal`, and ends the process. */
export async function cleaningUp<T>(action: () => Promise<T>, onSignal: () => void): Promise<T> {
  const stop = (signal: Signal) => {
    onSignal();
    end(signal);
  };
  for (const signal of signals) process.on(signal, stop);
  try {
    return await action();
  } finally {
    for (const signal of signals) process.removeListener(signal, stop);
  }
}

/**
 * Runs an action that can end early: a signal aborts its AbortSignal, and the process ends once the action has. A
 * second signal ends it at once.
 */
export async function interruptible<T>(action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let received: Signal | undefined;
  const listen = (name: Signal) => {
    if (received !== undefined) end(name);
    received = name;
    controller.abort();
  };
  for (const name of signals) process.on(name, listen);
  try {
    return await action(controller.signal);
  } finally {
    for (const name of signals) process.removeListener(name, listen);
    if (received !== undefined) end(received);
  }
}
