/** Commands that examine a model and what pergrad makes of it: explain, check, inspect. */
import { type Command, Option } from "commander";
import { type CheckCommandOptions, checkModel } from "../check.js";
import { programs, wantNames } from "../explain.js";
import { type AnyExplainOptions, explainAny } from "../explain-method.js";
import { type InspectOptions, inspect } from "../inspect.js";
import { method, methodWords, withApproximation } from "../method-options.js";
import { repeatable } from "../options.js";
import { ofModel, withData, withLoss } from "../shared-options.js";
import { threadCount, wholeNumber } from "../usage.js";
import type { Runner } from "./run.js";

export function explainCommand(program: Command, run: Runner): void {
  withApproximation(withLoss(program, "explain", "show how each parameter's gradients are computed", ""))
    .option("--data <file>", "data from which symbolic dimensions and the shape of the target are taken")
    .addOption(
      repeatable(
        new Option(
          "--want <list>",
          `what one program computes, separated by commas, of ${wantNames} (default: the first three, one program each)`,
        ),
        programs,
      ),
    )
    .option("--graph", "print the graph that the runtime executes, one node per line")
    .option("--rewrites", "print which rewriting rules fired, and where")
    .option("--profile", "run the program on the data, or on random numbers, and print time and bytes of each node")
    .option("--samples <K>", "with --profile: number of samples (default: at most 64)", wholeNumber(1))
    .option("--threads <n>", "with --profile: number of threads (default: one for each core)", threadCount)
    .option("--save-stages <folder>", "write the graph of each stage into this folder, as a numbered .onnx file")
    .option(
      "--method <name>",
      `show instead how this method of attribute approximates each parameter: ${methodWords.join(", ")}`,
      method,
    )
    .option("--json", "print JSON")
    .action(run.onModel<AnyExplainOptions>(explainAny));
}

export function checkCommand(program: Command, run: Runner): void {
  withData(program, "check", "compare gradients with a loop over samples and with finite differences", "")
    .option("--samples <K>", "number of samples to compare, from the first one (default: at most 8)", wholeNumber(1))
    .option(
      "--differences <K>",
      "number of gradient elements to compare with finite differences (default: 4 per parameter, at most 64)",
      wholeNumber(0),
    )
    .option("--no-second-derivatives", "compare no second derivatives, which take long for deep recurrent models")
    .option("--json", "print JSON")
    .action(run.onModel<CheckCommandOptions>(checkModel));
}

export function inspectCommand(program: Command, run: Runner): void {
  ofModel(program, "inspect", "show what a model contains, and what pergrad would do with it", "")
    .option("--data <file>", "data from which symbolic dimensions are taken")
    .option("--json", "print JSON")
    .action(run.onModel<InspectOptions>(inspect));
}
