/** What is told while a training runs. */
import { epsilonText } from "../train/train.js";
import type { PrivateStepResult, StepResult } from "../train/types.js";

/** Sums over the steps since the last line. */
export class Tally {
  #samples = 0;
  #loss = 0;
  #right = 0;
  #labelled = 0;
  #clipped = 0;
  #dropped = 0;
  #seconds = 0;

  add(result: StepResult | PrivateStepResult): void {
    const { samples, loss, accuracy, seconds } = result;
    this.#seconds += seconds;
    this.#samples += samples;
    // The mean over an empty batch is NaN.
    if (samples > 0) this.#loss += loss * samples;
    if (accuracy !== null && samples > 0) {
      this.#right += accuracy * samples;
      this.#labelled += samples;
    }
    if (!("clipped" in result)) return;
    this.#clipped += result.clipped;
    this.#dropped += result.dropped;
  }

  /** The line after a step, after which counting begins anew. */
  line(steps: number, last: StepResult | PrivateStepResult): string {
    const per = (count: number, all: number) => (all === 0 ? "none" : `${((100 * count) / all).toFixed(1)} %`);
    const parts = [
      `step ${last.step}/${steps}`,
      `loss ${this.#samples === 0 ? "none" : (this.#loss / this.#samples).toPrecision(4)}`,
      ...(this.#labelled > 0 ? [`accuracy ${per(this.#right, this.#labelled)}`] : []),
      ...("epsilon" in last
        ? [
            `epsilon ${epsilonText(last.epsilon)}${last.private ? "" : " NOT PRIVATE"}`,
            `clipped ${per(this.#clipped, this.#samples)}`,
          ]
        : []),
      ...(this.#dropped > 0 ? [`dropped ${this.#dropped}`] : []),
      `${Math.round(this.#samples / Math.max(this.#seconds, 1e-9))} samples/s`,
    ];
    this.#samples = this.#loss = this.#right = this.#labelled = this.#clipped = this.#dropped = this.#seconds = 0;
    return parts.join("  ");
  }
}
