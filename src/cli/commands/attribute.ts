/** The command attribute. */
import type { Command } from "commander";
import { type AttributeOptions, attribute } from "../attribute.js";
import { attributeOnCluster } from "../attribute-on-cluster.js";
import { method, methodWords, rates, withApproximation } from "../method-options.js";
import { choice, required } from "../options.js";
import { tables, withFolder } from "../outputs.js";
import { running, withLoss } from "../shared-options.js";
import { fromZero, positive, seed } from "../train-options.js";
import type { Runner } from "./run.js";

export function attributeCommand(program: Command, run: Runner): void {
  const what = "write what each training sample does to the loss of each query";
  const example = "--method influence --out scores.safetensors";
  const data = "--train train.safetensors --query query.safetensors ";
  withApproximation(withFolder(running(withLoss(program, "attribute", what, example, data)), tables))
    .argument("[checkpoints...]", "more weights of the same model: .onnx, or .safetensors by parameter")
    .option("--train <file>", 'safetensors or npz file with the training samples: inputs and "target" (required here)')
    .option(
      "--ray <url>",
      "compute on the Ray cluster with this dashboard; --data has the training samples, and --out is a folder",
    )
    .option("--data <glob>", "with --ray: a folder or a glob of Parquet files with the training samples")
    .addOption(required("--query <file>", "the same with the samples that are to be explained"))
    .addOption(required("--method <name>", `how: ${methodWords.join(", ")}`, method))
    .option(
      "--damping <d>",
      "number added to the matrix's diagonal (default: measured on held-out training samples)",
      fromZero,
    )
    .option("--learning-rates <list>", "of tracin: one for each checkpoint, MODEL first, with commas between", rates)
    .option("--cosine", "of tracin: divide gradients by their norms")
    .addOption(choice("--by <name>", "of relatif: what scores are relative to (default: loss)", ["loss", "parameters"]))
    .option("--seed <n>", "of trak and logra: of the projection (default: 0)", seed)
    .option("--projection <file>", 'of trak: a file with "projection" [parameters, dims] in place of a random one')
    .option("--l2 <f>", "of representer: factor of the penalty on the last layer's weights", positive)
    .option("--self", 'write each training sample\'s score with itself too, as "self"')
    .option(
      "--leave-out",
      'of influence and several models: write by how much losses grow without a sample, as "change", and the "error"',
    )
    .action(async (model: string, checkpoints: readonly string[], options: AttributeOptions, command) =>
      run.onModel<AttributeOptions>((file, given, ...rest) => {
        const attributed = given.ray === undefined ? attribute : attributeOnCluster;
        return attributed(file, checkpoints, given, ...rest);
      })(model, options, command),
    );
}
