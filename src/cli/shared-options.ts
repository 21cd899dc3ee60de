/** Options that several commands share. */
import { type Command, Option } from "commander";
import { lossNames } from "../nn/as-loss.js";
import { lossName } from "./loss.js";
import { choice, repeatable, required } from "./options.js";
import { belowOne, fromZero, optimizers, positive, scheduleNames } from "./train-options.js";
import { collect, dimensions, fixedValues, number, sampleAxes, wholeNumber } from "./usage.js";

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
          'axis of an input, or of "output", that holds the samples (default: 0), or NAME=shared',
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
          "make an input a constant, the same for all samples: a number, true, false, or 1,2,3",
        ),
        fixedValues,
      ),
    )
    .option("--strict", "refuse a model whose exporter computed constants from parameters")
    .option("--no-tie", "treat weights that the file stores twice as different parameters")
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
    .addOption(required("--loss <name>", `${lossNames}`, lossName))
    .option("--label-smoothing <s>", "share of each label that is spread over all classes (cross_entropy)", smoothing)
    .option("--ignore-index <label>", "label to ignore (cross_entropy, nll)", wholeNumber(Number.NEGATIVE_INFINITY))
    .option(
      "--class-axis <k>",
      "axis of the classes in the output (cross_entropy, nll; default: the one that the labels lack; 1 if several fit)",
      wholeNumber(Number.NEGATIVE_INFINITY),
    )
    .option("--output <name>", "output that the loss uses (default: the first)")
    .addOption(repeatable(new Option("--parameters <glob>", "only these parameters; !GLOB leaves some out"), collect))
    .addOption(repeatable(new Option("--frozen <glob>", "hold these parameters fixed"), collect));
}

/** A command that reads data. */
export function withData(program: Command, name: string, what: string, example: string): Command {
  return running(
    withLoss(program, name, what, example).addOption(
      required("--data <file>", 'safetensors or npz file with the inputs and "target"'),
    ),
  );
}

/** A command that runs the model. */
export function running(command: Command): Command {
  return command
    .option("--allow-not-finite", "compute even if the data holds NaN or infinity")
    .option("--threads <n>", "threads to use (default: all cores)", wholeNumber(1));
}

/** The option of commands that compute chunks of the data independently. */
export function inWorkers(command: Command): Command {
  return command.option(
    "--workers <n>",
    "compute in so many worker threads, of --threads each (default 1)",
    wholeNumber(1),
  );
}

/** The options of an optimizer. */
export function optimizing(command: Command): Command {
  return command
    .addOption(choice("--optimizer <name>", "how the weights follow the gradients", optimizers).default("adam"))
    .option("--learning-rate <r>", "default 0.001 for adam and adamw", positive)
    .option("--momentum <m>", "of sgd (default: 0)", belowOne)
    .option("--weight-decay <w>", "default 0, of adamw 0.01", fromZero)
    .addOption(
      choice("--schedule <name>", "course of the learning rate after its rise", scheduleNames).default("constant"),
    )
    .option("--warm-up <K>", "steps over which the learning rate rises at first", wholeNumber(1));
}

function smoothing(text: string): number {
  return number(text, (value) => value >= 0 && value <= 1, "a number from 0 to 1");
}
