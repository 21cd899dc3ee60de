/** How an action runs: it checks required options, runs the action, and sets its exit code. */
import type { Command } from "commander";
import type { Io } from "../io.js";
import { requireOptions } from "../options.js";
import { Progress } from "../progress.js";

/** Exit codes. */
export const exit = { done: 0, fault: 1, usage: 2, difference: 3 } as const;

/** The work of a command with a model. False: a check found a difference. */
export type Action<O> = (model: string, options: O, io: Io, progress: Progress) => Promise<unknown>;

/** Turns actions into functions for commander, and passes their exit codes to `ended`. */
export class Runner {
  constructor(
    readonly io: Io,
    readonly ended: (code: number) => void,
  ) {}

  /** The action of a command with a model. */
  onModel<O>(action: Action<O>): (model: string, options: O, command: Command) => Promise<void> {
    return async (model, options, command) => {
      requireOptions(command);
      const progress = new Progress(this.io);
      try {
        this.ended((await action(model, options, this.io, progress)) === false ? exit.difference : exit.done);
      } finally {
        progress.stop();
      }
    };
  }

  /** The action of a command without a model. False: a fault was found. */
  alone<O>(action: (options: O, io: Io) => Promise<unknown>): (options: O, command: Command) => Promise<void> {
    return async (options, command) => {
      requireOptions(command);
      this.ended((await action(options, this.io)) === false ? exit.fault : exit.done);
    };
  }
}
