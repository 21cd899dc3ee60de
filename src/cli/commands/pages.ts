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
  showing(withData(program, "report", "write a page on a data set's losses and gradient norms", "--report report.html"))
    .addOption(required("--report <file>", "where to write the page, .html; numbers go beside it", pageFile))
    .action(run.onModel<ReportCommandOptions>(report));
}

export function cleanCommand(program: Command, run: Runner): void {
  const what = "score each sample: a wrong label, a copy, an outlier, of no use";
  optimizing(
    showing(withData(program, "clean", what, "--out scores.csv"))
      .option("--report <file>", "write a page too, .html, with its numbers beside it", pageFile)
      .addOption(outOption(tables))
      .addOption(
        repeatable(
          new Option(
            "--checkpoint <file>",
            "parameters at a time of the training, in order: .onnx, .safetensors or .npz",
          ),
          collect,
        ),
      )
      .option("--dims <D>", "numbers that each gradient is projected to (default: 512)", wholeNumber(1))
      .option("--neighbours <k>", "neighbours of each sample (default: 10)", wholeNumber(1))
      .option("--damping <d>", "of self_influence (default: a tenth of the Fisher matrix's mean eigenvalue)", positive)
      .option(
        "--epochs <E>",
        "train the untrained model here, and cross-validate: passes over the data",
        wholeNumber(1),
      )
      .option("--batch-size <B>", "and: samples per step", wholeNumber(1))
      .option(
        "--folds <K>",
        "and: parts of the data, each predicted by a model trained on the others (default: 5)",
        wholeNumber(2),
      ),
  ).action(run.onModel<CleanCommandOptions>(clean));
}

const shows = ["image", "text", "table", "sound", "none"] as const;

/** Options for how the samples of a page are shown. */
function showing(command: Command): Command {
  return command
    .addOption(
      choice("--show <how>", "samples as pictures, texts, rows of numbers or sounds (default: as fits)", shows),
    )
    .option("--rate <Hz>", "of sounds: numbers that make a second", wholeNumber(1))
    .option("--ids <file>", "a name for each sample: a line of a text file, or an entry of a JSON array")
    .option("--texts <file>", "a text for each sample, in the same way")
    .option(
      "--class-names <list>",
      "names of the classes, with commas between, or the file NAME.classes.json that pack wrote",
    )
    .option("--title <text>", "title of the page");
}
