/** Options that several commands share. */
import { type Command, Option } from "commander";
import { lossNames } from "../nn/as-loss.js";
import { lossName } from "./loss.js";
import { choice, repeatable, required } from "./options.js";
import { belowOne, fromZero, optimizers, positive, scheduleNames } from "./train-options.js";
import { collect, dimensions, fixedValues, number, sampleAxes, threadCount, wholeNumber } from "./usage.js";

/** A command with a model, and the options for reading it. */
export function ofModel(program: Command, name: string, what: string, example: string): Command {
  return program
    .command(name)
    .description(`${what[0]?.toUpperCase()}${what.slice(1)}.`)
    .summary(what)
    .argument("<model>", "ONNX file")
    .addOption(
      repeatable(
        new Option(
          "--sample-axis <name=axis>",
          'axis of an input, or of "output", along which the samples lie (default: 0), or NAME=shared',
        ),
        sampleAxes,
      ),
    )
    .addOption(
      repeatable(new Option("--dim <name=size>", "size of a symbolic dimension (default: from the data)"), dimensions),
    )
    .addOption(
      repeatable(
        new Option(
          "--fix <name=value>",
          "make an input a constant, the same for all samples: a number, true, false, or a list such as 1,2,3",
        ),
        fixedValues,
      ),
    )
    .option("--strict", "refuse a model if its exporter computed constants from parameters")
    .option("--no-tie", "treat each copy of a weight that the file stores twice as a parameter of its own")
    .addHelpText("after", `\nExample: pergrad ${name} model.onnx ${example}`.trimEnd());
}

/** Adds the options that all these commands have. */
export function withLoss(
  program: Command,
  name: string,
  what: string,
  example: string,
  data = name === "explain" ? "" : "--data data.safetensors ",
): Command {
  const line = `${data}--loss cross_entropy ${example}`;
  return ofModel(program, name, what, line)
    .addOption(required("--loss <name>", `the loss: ${lossNames}`, lossName))
    .option(
      "--label-smoothing <s>",
      "for cross_entropy: share of each label that is spread over all classes",
      smoothing,
    )
    .option(
      "--ignore-index <label>",
      "for cross_entropy and nll: samples or positions with this label do not count",
      wholeNumber(Number.NEGATIVE_INFINITY),
    )
    .option(
      "--class-axis <k>",
      "for cross_entropy and nll: axis of the classes in the output (default: the axis that the labels lack; 1 if several fit)",
      wholeNumber(Number.NEGATIVE_INFINITY),
    )
    .option("--output <name>", "the output that the loss reads (default: the first)")
    .addOption(
      repeatable(
        new Option("--parameters <glob>", "compute gradients for these parameters only; !GLOB leaves some out"),
        collect,
      ),
    )
    .addOption(repeatable(new Option("--frozen <glob>", "compute no gradients for these parameters"), collect));
}

/** A command that reads data. */
export function withData(program: Command, name: string, what: string, example: string): Command {
  return running(
    withLoss(program, name, what, example).addOption(
      required("--data <file>", 'the inputs and "target", .safetensors or .npz'),
    ),
  );
}

/** A command that runs the model. */
export function running(command: Command): Command {
  return command
    .option("--allow-not-finite", "compute even if the data holds NaN or infinity")
    .option("--threads <n>", "number of threads (default: one for each core)", threadCount);
}

/** The option of commands that compute chunks of the data independently. */
export function inWorkers(command: Command): Command {
  return command.option(
    "--workers <n>",
    "compute in this many worker threads, each with --threads (default: 1)",
    threadCount,
  );
}

/** The options of an optimizer. */
export function optimizing(command: Command): Command {
  return command
    .addOption(choice("--optimizer <name>", "how the weights follow the gradients (default: adam)", optimizers))
    .option("--learning-rate <r>", "learning rate (default: 0.001 for adam and adamw; sgd has none)", positive)
    .option("--momentum <m>", "for sgd: momentum (default: 0)", belowOne)
    .option("--weight-decay <w>", "weight decay (default: 0, for adamw 0.01)", fromZero)
    .addOption(
      choice("--schedule <name>", "course of the learning rate after the warm-up (default: constant)", scheduleNames),
    )
    .option("--warm-up <K>", "steps in which the learning rate rises to its value (default: 0)", wholeNumber(1));
}

function smoothing(text: string): number {
  return number(text, (value) => value >= 0 && value <= 1, "a number from 0 to 1");
}
