/** Commands that write each sample's gradient, or quantities of it: grads, norms, clipped-sum, project. */
import type { Command } from "commander";
import {
  type ComputeOptions,
  clippedSum,
  type GradsOptions,
  grads,
  norms,
  type ProjectCommandOptions,
  project,
} from "../compute.js";
import { repeatable, required } from "../options.js";
import { tables, withCluster } from "../outputs.js";
import { withData } from "../shared-options.js";
import { seed } from "../train-options.js";
import { type MaxNorm, maxNorm, wholeNumber } from "../usage.js";
import type { Runner } from "./run.js";

export function gradsCommand(program: Command, run: Runner): void {
  withCluster(withData(program, "grads", "write each sample's loss and gradients", "--out grads.safetensors"))
    .option("--float16", "write the gradients in half precision; numbers beyond 65504 become infinite")
    .action(run.onModel<GradsOptions>(grads));
}

export function normsCommand(program: Command, run: Runner): void {
  withCluster(
    withData(
      program,
      "norms",
      "write the norm of each sample's gradient, in total and by parameter",
      "--out norms.safetensors",
    ),
    tables,
  ).action(run.onModel<ComputeOptions>(norms));
}

export function clippedSumCommand(program: Command, run: Runner): void {
  withCluster(
    withData(program, "clipped-sum", "write the sum of the clipped gradients", "--max-norm 1 --out sum.safetensors"),
  )
    .addOption(
      repeatable(
        required("--max-norm <C>", "clip norm of each sample's gradient, or NAME=C for the part of each parameter"),
        maxNorm,
      ),
    )
    .option("--leave-out-not-finite", "leave samples whose gradient is not finite out of the sum, and count them")
    .action(run.onModel<ComputeOptions & { readonly maxNorm: MaxNorm }>(clippedSum));
}

export function projectCommand(program: Command, run: Runner): void {
  withCluster(
    withData(
      program,
      "project",
      "write a random projection of each sample's gradient that preserves inner products",
      "--dims 512 --out projected.safetensors",
    ),
  )
    .addOption(required("--dims <D>", "numbers to which each gradient is projected", wholeNumber(1)))
    .option("--seed <n>", "seed of the projection (default: 0)", seed)
    .action(run.onModel<ProjectCommandOptions>(project));
}
