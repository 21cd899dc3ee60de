/** A report on anybody's model and data: callers enter here. */
import { checkOptions, invalidArgument, type OptionNames } from "../arguments.js";
import { objectiveOf } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import { asModel } from "../nn/given-model.js";
import type { Module } from "../nn/module.js";
import type { Batch } from "../program/dataset.js";
import { modelOptions, objectiveOptions } from "../program/options.js";
import type { ReportOptions } from "./types.js";

const optionNames: OptionNames<ReportOptions> = {
  ...objectiveOptions,
  ...modelOptions,
  out: true,
  title: true,
  show: true,
  ids: true,
  texts: true,
  classNames: true,
  scores: true,
  threads: true,
  allowNotFinite: true,
};

/**
 * Writes a page that shows each sample's loss and gradient norm, by class and by parameter, and the samples themselves,
 * to be sorted, filtered and searched: one file that needs no other, with the same numbers as CSV and JSON beside it.
 * @param data all samples by the inputs' names, or the path of a file
 * @returns the paths of what was written, the page first
 * @throws PergradError FILE_UNWRITABLE, INVALID_ARGUMENT, and what `perSample` and its runs throw.
 */
export async function writeReport(
  model: Model | Module,
  data: Batch | string,
  options: ReportOptions,
): Promise<string[]> {
  checkOptions("writeReport(model, data, options)", options, optionNames);
  if (typeof options.out !== "string" || !/\.html?$/i.test(options.out))
    throw invalidArgument("A report's name, out, must end in .html; correct it.");
  const objective = objectiveOf(asModel(model, "writeReport", options), options);
  // The compiler and the runtime are loaded when they are first used.
  const [{ readBatch }, { prepare }, { contentOf }, { writePage }] = await Promise.all([
    import("../program/read-batch.js"),
    import("../program/feeds.js"),
    import("./collect.js"),
    import("./write.js"),
  ]);
  const batch = typeof data === "string" ? await readBatch(data, objective.expected.keys()) : data;
  const { feeds, samples } = prepare(batch, objective.expected, options.allowNotFinite ?? false);
  for (const [name, list] of Object.entries({ ids: options.ids, texts: options.texts }))
    if (list && list.length !== samples)
      throw invalidArgument(`There are ${list.length} ${name} for ${samples} samples; give one for each.`);
  return writePage(await contentOf(objective, feeds, options), options.out);
}
