/** Commands that examine a model and what pergrad makes of it: explain, check, inspect. */
import { type Command, Option } from "commander";
import { type CheckCommandOptions, checkModel } from "../check.js";
import { programs, wantNames } from "../explain.js";
import { type AnyExplainOptions, explainAny } from "../explain-method.js";
import { type InspectOptions, inspect } from "../inspect.js";
import { method, methodWords, withApproximation } from "../method-options.js";
import { repeatable } from "../options.js";
import { ofModel, withData, withLoss } from "../shared-options.js";
import { wholeNumber } from "../usage.js";
import type { Runner } from "./run.js";

export function explainCommand(program: Command, run: Runner): void {
  withApproximation(withLoss(program, "explain", "show how each parameter's gradients are computed", ""))
    .option("--data <file>", "data that gives symbolic dimensions and the target's shape")
    .addOption(
      repeatable(
        new Option(
          "--want <list>",
          `wants of one program, of ${wantNames}; default: the first three, one program each`,
        ),
        programs,
      ),
    )
    .option("--graph", "print the graph that the runtime executes, one line for each node")
    .option("--rewrites", "print which rewriting rules fired, and where")
    .option("--profile", "print time and bytes by node, for data or random numbers")
    .option("--samples <K>", "samples that --profile runs (default: at most 64)", wholeNumber(1))
    .option("--threads <n>", "threads that --profile uses (default: all cores)", wholeNumber(1))
    .option("--save-stages <folder>", "write the graph of each stage there, as numbered .onnx files")
    .option(
      "--method <name>",
      `of attribute (${methodWords.join(", ")}): show by which approximation each parameter takes part`,
      method,
    )
    .option("--json", "print JSON")
    .action(run.onModel<AnyExplainOptions>(explainAny));
}

export function checkCommand(program: Command, run: Runner): void {
  withData(program, "check", "compare gradients with a loop over samples and with finite differences", "")
    .option("--samples <K>", "samples to compare, from the front (default: at most 8)", wholeNumber(1))
    .option(
      "--differences <K>",
      "gradient elements to compare with finite differences, in all (default: 4 per parameter, at most 64)",
      wholeNumber(0),
    )
    .option("--no-second-derivatives", "leave out second derivatives, which take long in deep recurrent models")
    .option("--json", "print JSON")
    .action(run.onModel<CheckCommandOptions>(checkModel));
}

export function inspectCommand(program: Command, run: Runner): void {
  ofModel(program, "inspect", "show what is in a model, and what pergrad would do with it", "")
    .option("--data <file>", "data that gives symbolic dimensions")
    .option("--json", "print JSON")
    .action(run.onModel<InspectOptions>(inspect));
}
