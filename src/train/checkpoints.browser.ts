/** A browser has no folder for the state of a training: the caller keeps the state, and passes it as `from`. */
import { PergradError } from "../errors.js";
import type { GaussianMechanism } from "../privacy/mechanism.js";
import type { Settings } from "./run-folder.js";
import type { CheckpointOptions, TrainerState } from "./types.js";

export class Checkpoints<S> {
  private constructor(readonly from: TrainerState<S> | undefined) {}

  static async open<S>({ folder }: CheckpointOptions, _settings: Settings): Promise<Checkpoints<S>> {
    throw new PergradError(
      "FILE_UNWRITABLE",
      `Cannot write "${folder}": a browser has no folders; keep the trainer's state yourself (trainer.state(), from).`,
    );
  }

  async begin(_state: TrainerState<S>): Promise<void> {}
  async record(_spent: GaussianMechanism): Promise<void> {}
  async stepped(_state: TrainerState<S>): Promise<void> {}
  async save(_state: TrainerState<S>): Promise<void> {}
  async close(): Promise<void> {}
}
