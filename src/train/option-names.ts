/** The names of all training options, to detect misspelt ones. */
import type { OptionNames } from "../arguments.js";
import { modelOptions, objectiveOptions } from "../program/options.js";
import type {
  Kept,
  Length,
  PlainStepOptions,
  PrivateStepOptions,
  PrivateTrainOptions,
  StepOptions,
  StepResult,
  TrainEvents,
  TrainOptions,
} from "./types.js";

const steps: OptionNames<StepOptions<unknown>> = {
  ...objectiveOptions,
  ...modelOptions,
  optimizer: true,
  batchSize: true,
  microbatchSize: true,
  inputs: true,
  threads: true,
  observe: true,
  inPlace: true,
};

const whole: OptionNames<Length & TrainEvents<StepResult> & Kept> = {
  steps: true,
  epochs: true,
  onStep: true,
  signal: true,
  checkpoint: true,
};

const begun = { ...steps, sampling: true, from: true } as const;

const plainSteps: OptionNames<PlainStepOptions<unknown>> = { ...begun, diagnose: true };

const privateSteps: OptionNames<PrivateStepOptions<unknown>> = {
  ...begun,
  noiseMultiplier: true,
  delta: true,
  maxNorm: true,
  groups: true,
  automatic: true,
  adaptive: true,
  accountant: true,
  record: true,
  cluster: true,
};

/** Also for a trainer, whose options may be shared with a training's. */
export const plainTraining: OptionNames<TrainOptions<unknown>> = { ...plainSteps, ...whole };

export const privateTraining: OptionNames<PrivateTrainOptions<unknown>> = {
  ...privateSteps,
  ...whole,
  targetEpsilon: true,
};
