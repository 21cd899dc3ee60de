/** The progress report of a training run. */
import { listed } from "../meant.js";
import { epsilonText } from "../train/train.js";
import type { PrivateStepResult, StepResult } from "../train/types.js";

/** Sums over the steps since the last printed line. */
export class Tally {
  #samples = 0;
  /** Those that were not dropped. */
  #kept = 0;
  #loss = 0;
  #right = 0;
  #labelled = 0;
  #clipped = 0;
  #seconds = 0;

  add(result: StepResult | PrivateStepResult): void {
    const { samples, loss, accuracy, seconds } = result;
    this.#seconds += seconds;
    this.#samples += samples;
    const kept = samples - ("dropped" in result ? result.dropped : 0);
    this.#kept += kept;
    // The mean over an empty batch, or one of dropped samples only, is NaN.
    if (kept > 0) this.#loss += loss * kept;
    if (accuracy !== null && kept > 0) {
      this.#right += accuracy * kept;
      this.#labelled += kept;
    }
    if ("clipped" in result) this.#clipped += result.clipped;
  }

  /** The line to print after a step; counting then starts again. */
  line(steps: number, last: StepResult | PrivateStepResult): string {
    const per = (count: number, all: number) => (all === 0 ? "none" : `${((100 * count) / all).toFixed(1)} %`);
    const dropped = this.#samples - this.#kept;
    const parts = [
      `step ${last.step}/${steps}`,
      `loss ${this.#kept === 0 ? "none" : (this.#loss / this.#kept).toPrecision(4)}`,
      ...(this.#labelled > 0 ? [`accuracy ${per(this.#right, this.#labelled)}`] : []),
      ...("epsilon" in last
        ? [
            `epsilon ${epsilonText(last.epsilon)}${last.private ? "" : " NOT PRIVATE"}`,
            `clipped ${per(this.#clipped, this.#samples)}`,
          ]
        : []),
      ...(dropped > 0 ? [`dropped ${dropped}`] : []),
      `${Math.round(this.#samples / Math.max(this.#seconds, 1e-9))} samples/s`,
    ];
    this.#samples = this.#kept = this.#loss = this.#right = this.#labelled = this.#clipped = this.#seconds = 0;
    return parts.join("  ");
  }
}

/** The most samples that a summary names. */
const mostNamed = 10;

/** Samples that private training dropped because their gradients are not finite. */
export class Dropped {
  readonly #times = new Map<number, number>();
  count = 0;

  add(samples: readonly number[]): void {
    for (const sample of samples) this.#times.set(sample, (this.#times.get(sample) ?? 0) + 1);
    this.count += samples.length;
  }

  /**
   * How many, which and why. It reads the data without noise.
   * @param countInData how many of these samples have non-finite data
   */
  async summary(countInData: (samples: readonly number[]) => Promise<number>): Promise<string> {
    const samples = [...this.#times.keys()].sort((a, b) => a - b);
    const spoilt = await countInData(samples);
    const reasons = [
      ...(spoilt > 0 ? [`the data of ${spoilt} holds NaN or infinity`] : []),
      ...(spoilt < samples.length
        ? [`the gradient of ${samples.length - spoilt} is not finite, although the data is`]
        : []),
    ];
    const [one, times] = [samples.length === 1, this.count === 1 ? "once" : `${this.count} times in all`];
    return `Dropped ${samples.length} ${one ? "sample" : "samples"}, ${times} (${listed(samples, mostNamed)}), which count as zero: ${reasons.join("; ")}. This line is not covered by the guarantee.`;
  }
}
