/** Which samples of a data set are wrong, there twice, odd, or of no use: callers enter here. */

import { checkOptions, type OptionNames } from "../arguments.js";
import type { Model } from "../graph/model.js";
import type { Module } from "../nn/module.js";
import type { Batch } from "../program/given-data.js";
import { givenObjective } from "../program/given-objective.js";
import { modelOptions, objectiveOptions } from "../program/options.js";
import type { FindIssuesOptions, Issues } from "./types.js";

const optionNames: OptionNames<FindIssuesOptions> = {
  ...objectiveOptions,
  ...modelOptions,
  checkpoints: true,
  training: true,
  dims: true,
  neighbours: true,
  damping: true,
  threads: true,
  signal: true,
  allowNotFinite: true,
  onStage: true,
};

/**
 * Scores every sample of a data set: wrong labels, copies, outliers, and samples that teach nothing, each from 0 to 1,
 * beside the measures that the literature has for them. docs/cleaning.md defines all of them.
 * @param data all samples by the inputs' names, or the path of a file, which is read several times
 * @throws PergradError INVALID_ARGUMENT, and what `perSample`, its runs and training throw.
 */
export async function findIssues(
  model: Model | Module,
  data: Batch | string,
  options: FindIssuesOptions,
): Promise<Issues> {
  checkOptions("findIssues(model, data, options)", options, optionNames);
  const objective = await givenObjective(model, "findIssues", options, options);
  // The compiler and the runtime are loaded when they are first used.
  const { issuesOf } = await import("./scoring.js");
  return issuesOf(objective, data, options);
}
