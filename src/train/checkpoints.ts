/** Keeps a training's state in a folder while it runs, and finds it there again. */
import { PergradError } from "../errors.js";
import type { GaussianMechanism } from "../privacy/mechanism.js";
import { RunFolder, type Settings } from "./run-folder.js";
import type { CheckpointOptions, TrainerState } from "./types.js";

export class Checkpoints<S> {
  #folder: RunFolder<S> | undefined;
  #saved: number | undefined;

  private constructor(
    private readonly options: CheckpointOptions,
    private readonly settings: Settings,
    /** The state from which a resumed run continues. */
    readonly from: TrainerState<S> | undefined,
    folder: RunFolder<S> | undefined,
  ) {
    this.#folder = folder;
    this.#saved = from?.steps;
  }

  /** Throws INVALID_ARGUMENT and, for a run to be resumed, FILE_UNREADABLE. */
  static async open<S>(options: CheckpointOptions, settings: Settings): Promise<Checkpoints<S>> {
    const { folder: path, every = 1, resume } = options;
    if (!Number.isSafeInteger(every) || every < 1)
      throw new PergradError("INVALID_ARGUMENT", `checkpoint.every is ${every}; it must be a whole number from 1 up.`);
    if (!(resume ?? (await RunFolder.holdsRun(path))))
      return new Checkpoints<S>(options, settings, undefined, undefined);
    const { folder, state } = await RunFolder.resume<S>(path, settings);
    return new Checkpoints<S>(options, settings, state, folder);
  }

  /** Call before the first step. Throws FILE_UNWRITABLE, also if the folder holds a run that is not resumed. */
  async begin(state: TrainerState<S>): Promise<void> {
    this.#folder ??= await RunFolder.begin(this.options.folder, this.settings, state);
    this.#saved = state.steps;
  }

  /** Records a cost. Once the promise is fulfilled, the result it pays for may be released. Throws FILE_UNWRITABLE. */
  async record(spent: GaussianMechanism): Promise<void> {
    await this.#folder?.record(spent);
  }

  /** Call after each step: saves the state if it is time. Throws FILE_UNWRITABLE. */
  async stepped(state: TrainerState<S>): Promise<void> {
    if (state.steps % (this.options.every ?? 100) === 0) await this.save(state);
  }

  /** Throws FILE_UNWRITABLE. */
  async save(state: TrainerState<S>): Promise<void> {
    if (this.#saved === state.steps) return;
    await this.#folder?.save(state);
    this.#saved = state.steps;
  }

  async close(): Promise<void> {
    await this.#folder?.close();
  }
}
