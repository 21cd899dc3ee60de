/** A report on a user's model and data: the public entry point. */

import { checkOptions, invalidArgument, type OptionNames } from "../arguments.js";
import type { Model } from "../graph/model.js";
import type { Module } from "../nn/module.js";
import type { Batch } from "../program/given-data.js";
import { givenObjective } from "../program/given-objective.js";
import { modelOptions, objectiveOptions } from "../program/options.js";
import type { ReportContent, ReportOptions } from "./types.js";

const optionNames: OptionNames<ReportOptions> = {
  ...objectiveOptions,
  ...modelOptions,
  out: true,
  title: true,
  show: true,
  rate: true,
  ids: true,
  texts: true,
  classNames: true,
  scores: true,
  threads: true,
  allowNotFinite: true,
  onNotFinite: true,
  onProgress: true,
};

/**
 * Writes a page that shows each sample's loss and gradient norm, by class and by parameter, and the samples themselves,
 * which can be sorted, filtered and searched. The page is one self-contained file; the same numbers are written beside
 * it as CSV and JSON.
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
    throw invalidArgument("The name of a report (out) must end in .html; correct it.");
  const { requireOwnFiles, writePage } = await import("./write.js");
  await requireOwnFiles(options.out);
  const content = await reportContent(model, data, options);
  return writePage(content, options.out);
}

/** What `writeReport` writes. Throws what it throws, except FILE_UNWRITABLE. */
export async function reportContent(
  model: Model | Module,
  data: Batch | string,
  options: Omit<ReportOptions, "out">,
): Promise<ReportContent> {
  const objective = await givenObjective(model, "writeReport", options, options);
  // The compiler and the runtime are loaded when they are first used.
  const [{ readNamed }, { prepare }, { warnNotFinite }, { contentOf }] = await Promise.all([
    import("../program/read-batch.js"),
    import("../program/feeds.js"),
    import("../program/found-not-finite.js"),
    import("./collect.js"),
  ]);
  const { batch, ids } =
    typeof data === "string" ? await readNamed(data, objective.expected.keys()) : { batch: data, ids: undefined };
  const { feeds, samples } = prepare(batch, objective.expected, options.allowNotFinite ?? false);
  if (samples === 0) throw invalidArgument("There are no samples to report on; give at least one.");
  const named = options.ids ?? ids;
  for (const [name, list] of Object.entries({ ids: named, texts: options.texts }))
    if (list && list.length !== samples)
      throw invalidArgument(`There are ${list.length} ${name} for ${samples} samples; give one for each.`);
  const { onNotFinite = warnNotFinite } = options;
  return contentOf(objective, feeds, { ...options, onNotFinite, ...(named ? { ids: named } : {}) });
}
