/** The cost of a private training step beside the ordinary step of the same batch. */
import { PrivateTrainer, sgd, Trainer } from "../src/index.js";
import { interleave, type Timing, timed } from "./measure.js";
import type { Workload } from "./workloads.js";

/** Whole steps: gradients, clipping and noise if the step is private, and the optimizer. */
export interface StepTimings {
  readonly plain: Timing;
  readonly private: Timing;
}

export async function measureSteps({ model, data, loss, samples }: Workload, seconds: number): Promise<StepTimings> {
  // The batch is the whole data set, drawn with probability 1, so that both steps see the same samples.
  const options = { loss, optimizer: sgd({ learningRate: 1e-3, momentum: 0.9 }), batchSize: samples };
  const plain = await Trainer.create(model, data, options);
  const secret = await PrivateTrainer.create(model, data, {
    ...options,
    maxNorm: 1,
    noiseMultiplier: 1,
    delta: 1e-5,
  });
  const steps = [timed("plain step", () => plain.step()), timed("private step", () => secret.step())];
  const [first, second] = await interleave(steps, seconds);
  await Promise.all([plain.release(), secret.release()]);
  return { plain: first as Timing, private: second as Timing };
}
