/** Commands that write a page on a data set: report, clean. */
import { type Command, Option } from "commander";
import { type CleanCommandOptions, clean } from "../clean.js";
import { choice, repeatable, required } from "../options.js";
import { outOption, pageFile, tables } from "../outputs.js";
import { type ReportCommandOptions, report } from "../report.js";
import { optimizing, withData } from "../shared-options.js";
import { positive } from "../train-options.js";
import { collect, wholeNumber } from "../usage.js";
import type { Runner } from "./run.js";

export function reportCommand(program: Command, run: Runner): void {
  showing(
    withData(
      program,
      "report",
      "write a page with the losses and gradient norms of a data set",
      "--report report.html",
    ),
  )
    .addOption(
      required(
        "--report <file>",
        "page to write, .html; its numbers are written beside it, as .csv and .json",
        pageFile,
      ),
    )
    .action(run.onModel<ReportCommandOptions>(report));
}

export function cleanCommand(program: Command, run: Runner): void {
  const what = "find wrong labels, copies, outliers and useless samples: a score of each kind for each sample";
  optimizing(
    showing(withData(program, "clean", what, "--out scores.csv"))
      .option(
        "--report <file>",
        "write a page too, .html; its numbers are written beside it, as .csv and .json",
        pageFile,
      )
      .addOption(outOption(tables))
      .addOption(
        repeatable(
          new Option(
            "--checkpoint <file>",
            "parameters at a time of the training, .onnx, .safetensors or .npz; give them in order, the last in place of the model's own",
          ),
          collect,
        ),
      )
      .option("--dims <D>", "numbers to which each gradient is projected (default: 512)", wholeNumber(1))
      .option("--neighbours <k>", "neighbours that a sample is compared with (default: 10)", wholeNumber(1))
      .option(
        "--damping <d>",
        "damping of self_influence (default: a tenth of the mean eigenvalue of the Fisher matrix)",
        positive,
      )
      .option("--epochs <E>", "train the model here, and cross-validate: passes over the data", wholeNumber(1))
      .option("--batch-size <B>", "with --epochs: samples per step", wholeNumber(1))
      .option(
        "--folds <K>",
        "with --epochs: parts of the data, each predicted by a model trained on the others (default: 5)",
        wholeNumber(2),
      ),
  ).action(run.onModel<CleanCommandOptions>(clean));
}

const shows = ["image", "text", "table", "sound", "none"] as const;

/** Options for how the samples of a page are shown. */
function showing(command: Command): Command {
  return command
    .addOption(
      choice(
        "--show <how>",
        "how samples are shown (default: sound with --rate, text with --texts, image if an input looks like one, else table)",
        shows,
      ),
    )
    .option("--rate <Hz>", "sampling rate of sounds", wholeNumber(1))
    .option("--ids <file>", "a name for each sample: the lines of a text file, or a JSON array")
    .option("--texts <file>", "a text for each sample, in the same form")
    .option("--class-names <list>", "names of all classes, separated by commas, or the file NAME.classes.json of pack")
    .option("--title <text>", "title of the page (default: Gradients of N samples)");
}
