/** Training with clipped per-sample gradients, and each mail's own gradient norm. */
import { losses, type Model, perSample, type Tensor, want, withParameters } from "../../src/index.js";
import { reportContent } from "../../src/report/report.js";
import type { ReportContent, ReportOptions } from "../../src/report/types.js";
import { random } from "../../src/tensor/random.js";
import { adam, miniBatches, type Parameters } from "../../src/train/index.js";
import type { Batch, Corpus } from "./data.js";
import type { Network } from "./networks.js";

export interface TrainingOptions {
  readonly seed: number;
  readonly batch?: number;
  readonly dropout?: number;
  /** A longer gradient counts as if it had this length, so that no mail decides alone. */
  readonly maxNorm?: number;
  /** The step size for all parameters; by default the network's own. */
  readonly epochs?: number;
}

export interface Trained {
  readonly model: Model;
  readonly parameters: Parameters;
  /** The mean over the last epoch, while the parameters still changed. */
  readonly trainLoss: number;
}

/** The number of steps that training takes. */
export function stepsOf(network: Network, samples: number, { batch = 32, epochs }: TrainingOptions): number {
  return (epochs ?? network.epochs) * Math.ceil(samples / batch);
}

/** `count` seeds that no other batch has. */
function seedsFrom(first: number, count: number): Tensor<"int64"> {
  return { dtype: "int64", dims: [count], data: BigInt64Array.from({ length: count }, (_, n) => BigInt(first + n)) };
}

export async function train(
  network: Network,
  { train: { batch: data }, vocabulary }: Corpus,
  options: TrainingOptions,
  onStep: () => void = () => {},
): Promise<Trained> {
  const { seed, batch: size = 32, dropout = 0.1, maxNorm = 1, epochs = network.epochs } = options;
  const make = (p: number) => network.make({ words: vocabulary.size, seed, dropout: p });
  const program = await perSample(make(dropout), {
    loss: losses.crossEntropy(),
    want: { clipped: want.clippedSum({ maxNorm }), losses: want.losses() },
  });
  const samples = data.target.data.length;
  const steps = stepsOf(network, samples, options);
  const optimizer = adam({ learningRate: (step) => network.learningRate * (1 - step / steps) });
  const shuffle = random(seed);
  const model = make(0);
  let parameters: Parameters = model.parameters;
  let state = optimizer.start(parameters);
  let drawn = 0;
  let lossSum = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    lossSum = 0;
    for (const batch of miniBatches(data, { size, shuffle })) {
      const count = batch.target.data.length;
      const seeds = dropout > 0 ? { seed: seedsFrom(drawn, count) } : {};
      drawn += count;
      const { clipped, losses: each } = await program.run({ ...batch, ...seeds }, { parameters });
      ({ parameters, state } = optimizer.step(parameters, scaled(clipped.sum, 1 / count), state));
      for (const loss of each.data) lossSum += loss;
      onStep();
    }
  }
  await program.release();
  return { model, parameters, trainLoss: lossSum / Math.max(1, samples) };
}

function scaled(of: Parameters, factor: number): Parameters {
  const entries = Object.entries(of).map(([name, tensor]) => {
    return [name, { ...tensor, data: tensor.data.map((x) => factor * x) }] as const;
  });
  return Object.fromEntries(entries);
}

/** The norm of each mail's gradient, its loss, and the network's prediction. */
export function study(
  { model, parameters }: Trained,
  data: Batch,
  options: Pick<ReportOptions, "ids" | "texts" | "classNames" | "title" | "onProgress"> = {},
): Promise<ReportContent> {
  return reportContent(withParameters(model, parameters), data, { loss: losses.crossEntropy(), ...options });
}
