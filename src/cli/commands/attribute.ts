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
  const what = "write how much each training sample lowers the loss of each query";
  const example = "--method influence --out scores.safetensors";
  const data = "--train train.safetensors --query query.safetensors ";
  withApproximation(withFolder(running(withLoss(program, "attribute", what, example, data)), tables))
    .argument(
      "[checkpoints...]",
      "more weights of the same model: .onnx, or .safetensors or .npz with a tensor for each parameter",
    )
    .option(
      "--train <file>",
      'the training samples, inputs and "target": .safetensors or .npz (required without --ray)',
    )
    .option(
      "--ray <url>",
      "compute on the Ray cluster with this dashboard; --data holds the training samples, and --out is a folder",
    )
    .option("--data <glob>", "with --ray: the training samples, a folder or a glob of Parquet files")
    .addOption(required("--query <file>", "the samples to explain, in the same form"))
    .addOption(required("--method <name>", `method of attribution: ${methodWords.join(", ")}`, method))
    .option(
      "--damping <d>",
      "for influence, relatif, trak and logra: number added to the diagonal of the matrix (default: measured on held-out training samples)",
      fromZero,
    )
    .option(
      "--learning-rates <list>",
      "for tracin: learning rates, separated by commas, one for each checkpoint, MODEL first",
      rates,
    )
    .option("--cosine", "for tracin: divide gradients by their norms")
    .addOption(
      choice("--by <name>", "for relatif: what scores are relative to (default: loss)", ["loss", "parameters"]),
    )
    .option("--seed <n>", "for trak and logra: seed of the projection (default: 0)", seed)
    .option(
      "--projection <file>",
      'for trak: a file with "projection" [numbers in all parameters, dims], instead of a random projection',
    )
    .option("--l2 <f>", "for representer: factor of the penalty on the weights of the last layer", positive)
    .option("--self", 'also write the score of each training sample with itself, as "self"')
    .option(
      "--leave-out",
      'for influence with several models: also write by how much each loss would grow without a sample, as "change", and its "error"',
    )
    .action(async (model: string, checkpoints: readonly string[], options: AttributeOptions, command) =>
      run.onModel<AttributeOptions>((file, given, ...rest) => {
        const attributed = given.ray === undefined ? attribute : attributeOnCluster;
        return attributed(file, checkpoints, given, ...rest);
      })(model, options, command),
    );
}
