/** The command curvature. */
import type { Command } from "commander";
import { type CurvatureCommandOptions, curvatureNames, curvatureOf, curvatureWants } from "../curvature.js";
import { required } from "../options.js";
import { withOutput } from "../outputs.js";
import { withData } from "../shared-options.js";
import type { Runner } from "./run.js";

export function curvatureCommand(program: Command, run: Runner): void {
  withOutput(
    withData(
      program,
      "curvature",
      "write second derivatives of each sample's loss: products with a vector, diagonals, traces",
      "--want hvp,ggn-diagonal --vector v.safetensors --out curvature.safetensors",
    ),
  )
    .addOption(required("--want <list>", `what to compute, separated by commas, of ${curvatureNames}`, curvatureWants))
    .option(
      "--vector <file>",
      'for hvp and ggn-product: the vector, as "v/PARAMETER" for each parameter, .safetensors or .npz',
    )
    .action(run.onModel<CurvatureCommandOptions>(curvatureOf));
}
