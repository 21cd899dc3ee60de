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
  const what = "train a model, with --private by DP-SGD, and write it with its new weights";
  const example = "--epochs 10 --batch-size 256 --private --epsilon 3 --delta 1e-5 --out trained.onnx";
  optimizing(withData(program, "train", what, example))
    .addOption(required("--out <file>", "where to write the trained model, .onnx", modelFile))
    .addOption(new Option("--epochs <E>", "passes over the data, on average").argParser(positive).conflicts("steps"))
    .option("--steps <T>", "or: steps to take", wholeNumber(1))
    .addOption(required("--batch-size <B>", "samples per step, on average", wholeNumber(1)))
    .option("--microbatch-size <b>", "samples computed at a time; changes memory, not results", wholeNumber(1))
    .option("--seed <n>", "seed of batches and private noise; private training is then NOT PRIVATE", seed)
    .option("--private", "clip each sample's gradient and add noise to their sum")
    .addOption(
      new Option("--epsilon <e>", "the epsilon that all steps together reach")
        .argParser(positive)
        .conflicts("noiseMultiplier"),
    )
    .option("--noise-multiplier <s>", "or: the noise's standard deviation, over the sensitivity", fromZero)
    .option("--delta <d>", "the probability left out of the guarantee, well below 1 / samples", probability)
    .option("--max-norm <C>", "clip norm of each gradient; the initial one if adaptive (default: 1)", positive)
    .addOption(choice("--clipping <name>", "how gradients are clipped (default: flat)", clippings))
    .addOption(
      choice("--sampling <name>", "how batches are drawn (default: shuffled; with --private, poisson)", samplings),
    )
    .option("--replace-batch-norm", "replace batch normalisation with group normalisation")
    .option(
      "--checkpoint <folder>",
      "keep the run there, or resume it: its state and, for private training, what it has spent",
    )
    .option("--checkpoint-every <K>", "steps between checkpoints (default: 100)", wholeNumber(1))
    .option("--diagnose-page <file>", "a page of diagnostics that is drawn while the training runs, .html", pageFile)
    .option("--diagnose-every <K>", "steps from one that is diagnosed to the next (default: 1)", wholeNumber(1))
    .action(run.onModel<TrainCommandOptions>(trainModel));
}

/** The command without a model. */
export function epsilonCommand(program: Command, run: Runner): void {
  const above0 = (text: string) => number(text, (value) => value > 0, "a number above 0");
  const probability = (text: string) => number(text, (value) => value >= 0 && value <= 1, "a number from 0 to 1");
  program
    .command("epsilon")
    .description("Compute how private a training is, or the noise that it needs.")
    .summary("compute how private a training is, or the noise that it needs")
    .addOption(
      new Option("--noise-multiplier <s>", "standard deviation of the noise over the clip norm")
        .argParser(fromZero)
        .conflicts("targetEpsilon"),
    )
    .option("--target-epsilon <e>", "instead of the noise: the target epsilon", above0)
    .addOption(
      new Option("--sampling-rate <q>", "probability of a sample to be in a batch")
        .argParser(probability)
        .conflicts(["batchSize", "samples"]),
    )
    .option("--batch-size <B>", "instead of the rate: expected size of a batch", wholeNumber(1))
    .option("--samples <N>", "and the number of samples in all", wholeNumber(1))
    .addOption(new Option("--steps <T>", "number of steps").argParser(wholeNumber(0)).conflicts("epochs"))
    .option("--epochs <E>", "instead of the steps: passes over the data, on average", above0)
    .addOption(required("--delta <d>", "probability, well below 1 / samples", probability))
    .addOption(choice("--accountant <name>", "whose bound to print (default: all; for the noise, pld)", accountants))
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nExample: pergrad epsilon --noise-multiplier 1 --batch-size 256 --samples 60000 --epochs 20 --delta 1e-5",
    )
    .action(run.alone<EpsilonCommandOptions>(epsilonOf));
}
