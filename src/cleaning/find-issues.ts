/** Finds samples of a data set that are wrong, duplicated, odd, or useless: the public entry point. */

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
  onNotFinite: true,
  onStage: true,
};

/**
 * Scores every sample of a data set, from 0 to 1, for wrong labels, copies, outliers, and samples that teach nothing,
 * and computes the measures that the literature uses for them. docs/cleaning.md defines all of them.
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
  const [{ issuesOf }, { warnNotFinite }] = await Promise.all([
    import("./scoring.js"),
    import("../program/found-not-finite.js"),
  ]);
  return (await issuesOf(objective, data, { onNotFinite: warnNotFinite, ...options })).issues;
}
