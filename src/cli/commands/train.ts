/** Commands that train, and that state how private a training is: train, epsilon. */
import { type Command, Option } from "commander";
import { accountants, type EpsilonCommandOptions, epsilonCommand as epsilonOf } from "../epsilon.js";
import { choice, required } from "../options.js";
import { pageFile } from "../outputs.js";
import { optimizing, withData } from "../shared-options.js";
import { trainModel } from "../train.js";
import {
  clippings,
  fromZero,
  modelFile,
  positive,
  probability,
  samplings,
  seed,
  type TrainCommandOptions,
} from "../train-options.js";
import { number, wholeNumber } from "../usage.js";
import type { Runner } from "./run.js";

export function trainCommand(program: Command, run: Runner): void {
  const what = "train a model, with --private by DP-SGD, and write it with the new weights";
  const example = "--epochs 10 --batch-size 256 --private --epsilon 3 --delta 1e-5 --out trained.onnx";
  optimizing(withData(program, "train", what, example))
    .addOption(required("--out <file>", "file to write the trained model to: .onnx", modelFile))
    .addOption(
      new Option("--epochs <E>", "length of the training: passes over the data").argParser(positive).conflicts("steps"),
    )
    .option("--steps <T>", "length of the training, instead of --epochs: steps", wholeNumber(1))
    .addOption(required("--batch-size <B>", "samples per step, on average", wholeNumber(1)))
    .option("--microbatch-size <b>", "samples computed at a time; changes memory, not results", wholeNumber(1))
    .option(
      "--seed <n>",
      "seed of batches and noise (default: a random one); with --private, the result is then NOT PRIVATE",
      seed,
    )
    .option("--private", "train with differential privacy: clip each sample's gradient and add noise to the sum")
    .addOption(
      new Option("--epsilon <e>", "with --private: the epsilon that all steps together may cost")
        .argParser(positive)
        .conflicts("noiseMultiplier"),
    )
    .option(
      "--noise-multiplier <s>",
      "with --private, instead of --epsilon: standard deviation of the noise over the clip norm",
      fromZero,
    )
    .option(
      "--delta <d>",
      "with --private: the delta of the guarantee, a probability well below 1 / samples",
      probability,
    )
    .option(
      "--max-norm <C>",
      "with --private: clip norm of each sample's gradient; with --clipping adaptive, the first one (default: 1)",
      positive,
    )
    .addOption(choice("--clipping <name>", "with --private: how gradients are clipped (default: flat)", clippings))
    .addOption(
      choice("--sampling <name>", "how batches are drawn (default: shuffled; with --private, poisson)", samplings),
    )
    .option("--replace-batch-norm", "replace batch normalisation, if there is any, with group normalisation")
    .option(
      "--checkpoint <folder>",
      "folder for the state of the run, from which the same command resumes; with --private, also for its ledger",
    )
    .option("--checkpoint-every <K>", "steps between checkpoints (default: 100)", wholeNumber(1))
    .option(
      "--diagnose-page <file>",
      "write a page of diagnostics, .html, which is updated while the training runs",
      pageFile,
    )
    .option("--diagnose-every <K>", "diagnose only every K-th step (default: 1)", wholeNumber(1))
    .action(run.onModel<TrainCommandOptions>(trainModel));
}

/** The command without a model. */
export function epsilonCommand(program: Command, run: Runner): void {
  const above0 = (text: string) => number(text, (value) => value > 0, "a number above 0");
  const probability = (text: string) => number(text, (value) => value >= 0 && value <= 1, "a number from 0 to 1");
  program
    .command("epsilon")
    .description("Compute the epsilon of a private training, or the noise that it needs.")
    .summary("compute the epsilon of a private training, or the noise that it needs")
    .addOption(
      new Option("--noise-multiplier <s>", "standard deviation of the noise over the clip norm")
        .argParser(fromZero)
        .conflicts("targetEpsilon"),
    )
    .option("--target-epsilon <e>", "compute the noise multiplier for this epsilon instead", above0)
    .addOption(
      new Option("--sampling-rate <q>", "probability that a sample is in a batch")
        .argParser(probability)
        .conflicts(["batchSize", "samples"]),
    )
    .option("--batch-size <B>", "instead of --sampling-rate: mean size of a batch", wholeNumber(1))
    .option("--samples <N>", "with --batch-size: number of samples in the data", wholeNumber(1))
    .addOption(new Option("--steps <T>", "number of steps").argParser(wholeNumber(0)).conflicts("epochs"))
    .option("--epochs <E>", "instead of --steps: passes over the data, on average", above0)
    .addOption(required("--delta <d>", "delta of the guarantee, a probability well below 1 / samples", probability))
    .addOption(
      choice("--accountant <name>", "accountant to use (default: all; for --target-epsilon, pld)", accountants),
    )
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nExample: pergrad epsilon --noise-multiplier 1 --batch-size 256 --samples 60000 --epochs 20 --delta 1e-5",
    )
    .action(run.alone<EpsilonCommandOptions>(epsilonOf));
}
