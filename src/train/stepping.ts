/** What ordinary and private trainers share: a state that each step replaces. */
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import { withParameters } from "../graph/with-parameters.js";
import type { Sampler } from "./samplers.js";
import type { Setup } from "./setup.js";
import type { StepResult, TrainerState } from "./types.js";

export abstract class Stepping<S, R extends StepResult> {
  #busy = false;

  protected constructor(
    protected readonly own: Setup,
    protected readonly sampler: Sampler,
    protected current: TrainerState<S>,
  ) {}

  /** Steps taken, those before a restart included. */
  get steps(): number {
    return this.current.steps;
  }

  /** Steps in which each sample is used once, on average. */
  get stepsPerEpoch(): number {
    return this.sampler.stepsPerEpoch;
  }

  /** The model with its parameters as they are now. */
  get model(): Model {
    return withParameters(this.own.objective.model, this.current.parameters);
  }

  /** Everything that a trainer needs to resume from here. Later steps do not change it. */
  state(): TrainerState<S> {
    return this.current;
  }

  /**
   * Takes one step, even with an empty batch.
   * @throws PergradError INVALID_ARGUMENT while another step runs, because each step starts from the one before; NOT_FINITE if the
   * step would make weights that are not finite: the weights then stay as they are. A private trainer also throws what `record`
   * throws.
   */
  async step(): Promise<R> {
    if (this.#busy)
      throw new PergradError("INVALID_ARGUMENT", "A step is still running; await it before you start another.");
    this.#busy = true;
    try {
      return await this.take();
    } finally {
      this.#busy = false;
    }
  }

  /** Takes a step, while no other is under way. */
  protected abstract take(): Promise<R>;

  /** Frees the runtime's memory. No step can be taken afterwards. */
  abstract release(): Promise<void>;
}
