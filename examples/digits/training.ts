/** Ordinary training: every step follows the mean gradient of a mini-batch. */
import { losses, type Model, perSample, type Tensor, want } from "../../src/index.js";
import { random } from "../../src/tensor/random.js";
import { adam, miniBatches, type Parameters } from "../../src/train/index.js";
import { countOf, type Digits, type Split } from "./data.js";

export interface TrainingOptions {
  readonly epochs: number;
  readonly seed: number;
  readonly batch?: number;
  /** The learning rate at the first step; it falls linearly to 0 at the last. */
  readonly learningRate?: number;
}

/** Means over an epoch; those of the training set are taken while the parameters still change. */
export interface Epoch {
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  readonly testLoss: number;
  readonly testAccuracy: number;
}

export interface Trained {
  readonly parameters: Parameters;
  readonly epochs: readonly Epoch[];
}

/** Events during the training, for a progress display. */
export interface TrainingEvents {
  readonly epochStarts?: (epoch: number, steps: number) => void;
  readonly step?: () => void;
  readonly epochEnds?: (result: Epoch) => void;
}

/** The class with the largest score, for each row of `[N, classes]`. */
export function predictions({ dims, data }: Tensor): number[] {
  const [samples = 0, classes = 0] = dims;
  const scores = data as Float32Array;
  return Array.from({ length: samples }, (_, n) => {
    const row = scores.subarray(n * classes, (n + 1) * classes);
    return row.reduce((best, score, k) => (score > (row[best] as number) ? k : best), 0);
  });
}

/** The only output of a model made by `nn.model`. */
export function outputOf(outputs: Readonly<Record<string, Tensor>>): Tensor {
  const [output] = Object.values(outputs);
  if (!output) throw new Error("The model has no output.");
  return output;
}

/** Running means of loss and accuracy. */
class Tally {
  #loss = 0;
  #right = 0;
  #samples = 0;

  add(perSampleLoss: Tensor<"float32">, outputs: Readonly<Record<string, Tensor>>, target: Tensor<"int64">): void {
    for (const loss of perSampleLoss.data) this.#loss += loss;
    predictions(outputOf(outputs)).forEach((kind, n) => {
      if (kind === Number(target.data[n])) this.#right++;
    });
    this.#samples += target.data.length;
  }

  get loss(): number {
    return this.#loss / this.#samples;
  }

  get accuracy(): number {
    return this.#right / this.#samples;
  }
}

async function evaluator(model: Model): Promise<(digits: Digits, parameters: Parameters) => Promise<Tally>> {
  const program = await perSample(model, {
    loss: losses.crossEntropy(),
    want: { losses: want.losses(), outputs: want.outputs() },
  });
  return async (digits, parameters) => {
    const tally = new Tally();
    for (const batch of miniBatches(digits, { size: 256 })) {
      const found = await program.run(batch, { parameters });
      tally.add(found.losses, found.outputs, batch.target);
    }
    return tally;
  };
}

export async function train(
  model: Model,
  digits: Split,
  { epochs, seed, batch: size = 64, learningRate = 4e-3 }: TrainingOptions,
  events: TrainingEvents = {},
): Promise<Trained> {
  const program = await perSample(model, {
    loss: losses.crossEntropy(),
    want: { mean: want.mean(), losses: want.losses(), outputs: want.outputs() },
  });
  const evaluate = await evaluator(model);
  const steps = epochs * Math.ceil(countOf(digits.train) / size);
  const optimizer = adam({ learningRate: (step) => learningRate * (1 - step / steps) });
  const shuffle = random(seed);
  let parameters: Parameters = model.parameters;
  let state = optimizer.start(parameters);
  const results: Epoch[] = [];
  for (let epoch = 1; epoch <= epochs; epoch++) {
    events.epochStarts?.(epoch, Math.ceil(countOf(digits.train) / size));
    const tally = new Tally();
    for (const batch of miniBatches(digits.train, { size, shuffle })) {
      const found = await program.run(batch, { parameters });
      ({ parameters, state } = optimizer.step(parameters, found.mean, state));
      tally.add(found.losses, found.outputs, batch.target);
      events.step?.();
    }
    const test = await evaluate(digits.test, parameters);
    const result = {
      trainLoss: tally.loss,
      trainAccuracy: tally.accuracy,
      testLoss: test.loss,
      testAccuracy: test.accuracy,
    };
    results.push(result);
    events.epochEnds?.(result);
  }
  return { parameters, epochs: results };
}
