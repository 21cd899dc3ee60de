/** Trains the same network with and without privacy, and measures it on digits that it has not seen. */
import {
  adam,
  losses,
  type Model,
  type Parameters,
  PrivateTrainer,
  perSample,
  schedules,
  sgd,
  Trainer,
  type TrainerState,
  want,
} from "../../src/index.js";
import { miniBatches } from "../../src/train/index.js";
import { countOf, type Digits, type Split } from "../digits/data.js";
import { outputOf, predictions } from "../digits/training.js";
import { network } from "./network.js";
import type { Pair, Point, PrivateCourse, Settings } from "./report.js";

/** The settings of the plain training, which come close to the best that the network can do. */
const plainly = { epochs: 8, batchSize: 64, learningRate: 3e-3 } as const;
/** The learning rate at the first step of private training; it falls to 0. In units of the clipping norm, see `learn`. */
const privateRate = 1;
const momentum = 0.9;
/** How often accuracy is measured. */
const looks = 12;

export interface Events {
  readonly starts?: (title: string, steps: number) => void;
  readonly step?: () => void;
  readonly ends?: (course: { readonly points: readonly Point[] }) => void;
}

type Evaluate = (parameters: Parameters) => Promise<number>;

/** The share of digits that are classified correctly. */
async function evaluator(model: Model, digits: Digits): Promise<Evaluate> {
  const program = await perSample(model, { loss: losses.crossEntropy(), want: { outputs: want.outputs() } });
  return async (parameters) => {
    let right = 0;
    for (const batch of miniBatches(digits, { size: 256 })) {
      const { outputs } = await program.run(batch, { parameters });
      right += predictions(outputOf(outputs)).filter((kind, n) => kind === Number(batch.target.data[n])).length;
    }
    return right / countOf(digits);
  };
}

interface Steps<R> {
  readonly steps: number;
  readonly stepsPerEpoch: number;
  step(): Promise<R>;
  state(): TrainerState<unknown>;
}

/** Takes the steps, and measures the accuracy at intervals and at the end. */
async function follow<R>(
  trainer: Steps<R>,
  steps: number,
  evaluate: Evaluate,
  onStep: (result: R) => void,
): Promise<Point[]> {
  const look = async (): Promise<Point> => ({
    epoch: trainer.steps / trainer.stepsPerEpoch,
    accuracy: await evaluate(trainer.state().parameters),
  });
  const points = [await look()];
  const every = Math.ceil(steps / looks);
  while (trainer.steps < steps) {
    onStep(await trainer.step());
    if (trainer.steps % every === 0 || trainer.steps === steps) points.push(await look());
  }
  return points;
}

async function learnPlainly(model: Model, digits: Split, seed: number, evaluate: Evaluate, events: Events) {
  const start = performance.now();
  const { epochs, batchSize, learningRate } = plainly;
  const steps = epochs * Math.ceil(countOf(digits.train) / batchSize);
  const trainer = await Trainer.create(model, digits.train, {
    loss: losses.crossEntropy(),
    optimizer: adam({ learningRate: schedules.linear({ from: learningRate, steps }) }),
    batchSize,
    seed,
  });
  events.starts?.(`without privacy, seed ${seed}`, steps);
  const points = await follow(trainer, steps, evaluate, () => events.step?.());
  await trainer.release();
  events.ends?.({ points });
  return { points, seconds: (performance.now() - start) / 1000 };
}

async function learnPrivately(
  model: Model,
  digits: Split,
  { batchSize, steps, maxNorm, noiseMultiplier, delta }: Settings,
  evaluate: Evaluate,
  title: string,
  events: Events,
): Promise<PrivateCourse> {
  const start = performance.now();
  // Gradients are at most as long as the clipping norm; dividing by it keeps the step length independent of its choice.
  const learningRate = schedules.cosine({ from: privateRate / maxNorm, steps });
  const trainer = await PrivateTrainer.create(model, digits.train, {
    loss: losses.crossEntropy(),
    optimizer: sgd({ learningRate, momentum }),
    batchSize,
    maxNorm,
    noiseMultiplier,
    delta,
  });
  events.starts?.(title, steps);
  const epsilon: number[] = [];
  const clipped: number[] = [];
  const points = await follow(trainer, steps, evaluate, (result) => {
    epsilon.push(result.epsilon);
    clipped.push(result.samples === 0 ? 0 : result.clipped / result.samples);
    events.step?.();
  });
  await trainer.release();
  events.ends?.({ points });
  return { points, epsilon, clipped, seconds: (performance.now() - start) / 1000 };
}

/** Both trainings, from the same initial weights. The seed sets these and the plain batches; the noise is secret. */
export async function study(digits: Split, seed: number, settings: Settings, events: Events = {}): Promise<Pair> {
  const model = network(seed);
  const evaluate = await evaluator(model, digits.test);
  return {
    seed,
    plain: await learnPlainly(model, digits, seed, evaluate, events),
    private: await learnPrivately(model, digits, settings, evaluate, `private, seed ${seed}`, events),
  };
}
