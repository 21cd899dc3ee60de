/**
 * Predicts, with an error bar, how the loss of a query would change if training were repeated without a sample or a
 * group of samples. The prediction is of first order in the group's weight (Koh and Liang 2017; Koh et al. 2019, "On
 * the accuracy of influence functions for measuring group effects").
 */
import { checkOptions, invalidArgument, kindOf, type OptionNames, requireTensor } from "../arguments.js";
import { PergradError } from "../errors.js";
import { nth } from "../present.js";
import type { Dataset } from "../program/given-data.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Fit, fitted, type Retrained, removedIn } from "./retrained.js";
import { asCheckpoints, asMethod, type Checkpoints, type ScoreOptions, scoreOptions } from "./scores.js";
import { Table } from "./table.js";

/** Options of `attribution.leaveOut`. */
export interface LeaveOutOptions extends ScoreOptions {
  /** Groups of training samples that are left out together, by number. Default: each sample alone. */
  readonly groups?: readonly (readonly number[])[];
  /** Trainings without some samples, for calibration. Without them, several models are needed. Default: none. */
  readonly retrained?: Retrained;
}

const leaveOutOptions: OptionNames<LeaveOutOptions> = { ...scoreOptions, groups: true, retrained: true };

const retrainedTensors: OptionNames<Retrained> = { subsets: true, losses: true };

/** The prediction. */
export interface LeaveOut {
  /** By how much each query's loss grows if a group is left out, `[Q, G]`. */
  readonly change: Tensor<"float64">;
  /** The standard error of `change`, `[Q, G]`. */
  readonly error: Tensor<"float64">;
  /** Where the error comes from. */
  readonly errorOf: "models" | "retrained";
  /** The factor by which predictions were multiplied to fit the retrainings; 1 if there were none. */
  readonly slope: number;
}

/**
 * By how much the loss of each query grows if training samples are left out, alone or in groups. If k of N samples are
 * left out of a mean loss, the change is the sum over them of s - mean(s), divided by N - k, where s is the influence
 * on the query.
 *
 * The error has one of two sources. With `retrained`, a line is fitted to the losses after trainings without some
 * samples (one slope for all queries). The error is, for each query, the root mean square of the line's error on each
 * training when it is fitted without that training (jackknife residuals: Barber et al. 2021, "Predictive inference with
 * the jackknife+"). It says how far the loss after one such training is from the prediction, so leave out about as many
 * samples there as in the groups. Without `retrained`, with K models (trained from different initial weights, or
 * checkpoints), it is the jackknife's standard error of their mean (Tukey 1958): it covers the choice of the model, not
 * what first order leaves out.
 * @param model a model, or several of the same graph
 * @param options the method must be `influence`; with `retrained` it may be any
 * @throws PergradError INVALID_ARGUMENT (neither several models nor retrainings; another method without retrainings;
 *   groups that are not numbers of samples), SHAPE_MISMATCH, and what `attribution.scores` throws.
 */
export async function leaveOut(
  model: Checkpoints,
  train: Dataset,
  queries: Dataset,
  options: LeaveOutOptions,
): Promise<LeaveOut> {
  checkOptions("attribution.leaveOut(model, train, queries, options)", options, leaveOutOptions);
  const { groups, retrained, ...own } = options;
  if (retrained !== undefined) {
    checkOptions("The retrained of attribution.leaveOut", retrained, retrainedTensors);
    requireTensor("The subsets of retrained", retrained.subsets);
    requireTensor("The losses of retrained", retrained.losses);
  }
  const tables = await tablesOf(model, train, queries, own, retrained !== undefined);
  const first = nth(tables, 0);
  const members = groups ? groupsOf(groups, first.columns) : Array.from({ length: first.columns }, (_, n) => [n]);
  const each = tables.map((table) => predicted(table, members));
  const mean = meanOf(each);
  if (!retrained) return { change: mean.tensor, error: ofModels(each, mean).tensor, errorOf: "models", slope: 1 };
  const fit = fitted(predicted(meanOf(tables), removedIn(retrained, first.columns)), retrained);
  return byFit(mean, fit);
}

function byFit(mean: Table, { slope, errors }: Fit): LeaveOut {
  return {
    change: mean.map((value) => slope * value).tensor,
    error: mean.map((_, m) => errors[m] ?? Number.NaN).tensor,
    errorOf: "retrained",
    slope,
  };
}

/** Each model's scores, or, with retrainings, the scores of all models. Throws INVALID_ARGUMENT. */
async function tablesOf(
  model: Checkpoints,
  train: Dataset,
  queries: Dataset,
  options: ScoreOptions,
  calibrated: boolean,
): Promise<readonly Table[]> {
  const method = asMethod(options.method);
  if (!method.each && !calibrated)
    throw invalidArgument(
      `The scores of ${method.name} are not changes of a loss; use attribution.influence(...), or give trainings without some samples (retrained), which show how large changes are.`,
    );
  const checkpoints = asCheckpoints(model, "attribution.leaveOut", options, queries);
  if (checkpoints.length < 2 && !calibrated)
    throw invalidArgument(
      "An error bar needs several models (trained from different initial weights), or trainings without some samples (retrained); give one of these.",
    );
  try {
    const setting = { checkpoints, train };
    return method.each ? await method.each(setting, queries) : [(await method.scores(setting, queries)).table];
  } finally {
    for (const checkpoint of checkpoints) await checkpoint.release();
  }
}

/** The predicted changes for groups, `[Q, G]`. */
function predicted(scores: Table, groups: readonly (readonly number[])[]): Table {
  const samples = scores.columns;
  const means = Array.from({ length: scores.rows }, (_, m) => scores.row(m).reduce((sum, s) => sum + s, 0) / samples);
  return new Table(scores.rows, groups.length).map((_, m, g) => {
    const group = nth(groups, g);
    const sum = group.reduce((total, n) => total + scores.at(m, n) - nth(means, m), 0);
    return sum / (samples - group.length);
  });
}

function meanOf(tables: readonly Table[]): Table {
  return nth(tables, 0).map((_, m, n) => tables.reduce((sum, table) => sum + table.at(m, n), 0) / tables.length);
}

/** The jackknife's standard error of the mean. */
function ofModels(each: readonly Table[], mean: Table): Table {
  const count = each.length;
  return mean.map((middle, m, g) => {
    const squares = each.reduce((sum, table) => sum + (table.at(m, g) - middle) ** 2, 0);
    return Math.sqrt(squares / (count * (count - 1)));
  });
}

/** Throws INVALID_ARGUMENT. */
function groupsOf(groups: readonly (readonly number[])[], samples: number): readonly (readonly number[])[] {
  const given: unknown = groups;
  if (!Array.isArray(given) || !given.every(Array.isArray))
    throw invalidArgument(`The groups must be lists of numbers of training samples, not ${kindOf(given)}.`);
  for (const [g, group] of groups.entries()) {
    const odd = group.find((n) => !(Number.isSafeInteger(n) && n >= 0 && n < samples));
    if (odd !== undefined)
      throw invalidArgument(
        `Group ${g} holds ${kindOf(odd)}, but training samples are numbered from 0 to ${samples - 1}; give their numbers.`,
      );
    if (new Set(group).size < group.length)
      throw invalidArgument(`Group ${g} holds a training sample twice; give each once.`);
    if (group.length >= samples)
      throw new PergradError("INVALID_ARGUMENT", `Group ${g} holds all training samples; leave some to train on.`);
  }
  return groups;
}
