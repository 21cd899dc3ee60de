import { PergradError } from "../errors.js";

/** Runs one step at a time: a step reads what the one before it left. */
export class OneAtATime {
  #busy = false;

  /** Throws INVALID_ARGUMENT where a step is under way. */
  async run<T>(step: () => Promise<T>): Promise<T> {
    if (this.#busy)
      throw new PergradError("INVALID_ARGUMENT", "A step is under way; await it before you begin another.");
    this.#busy = true;
    try {
      return await step();
    } finally {
      this.#busy = false;
    }
  }
}
