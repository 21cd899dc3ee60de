/** What a run is given besides its data: checked, and named as the program's inputs are. */

import { parameterValue } from "../compile/objective.js";
import type { ProgramGraph } from "../compile/program-graph.js";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import type { Value } from "../graph/value.js";
import { copiesOf } from "../tensor/data.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Wants } from "../wants/want.js";
import { type Dataset, isBatch } from "./dataset.js";
import type { HeldValues } from "./held.js";
import type { OtherBatch } from "./others.js";
import { type MaxNorms, scalarFeeds } from "./scalars.js";

export interface GivenOptions {
  /** Other values of parameters than the model's own, by name. */
  readonly parameters?: Readonly<Record<string, Tensor>>;
  /** What `want.dot` takes inner products with, by the name of the want, then of the parameter. */
  readonly vectors?: Readonly<Record<string, Readonly<Record<string, Tensor>>>>;
  /**
   * What `want.clippedSum` clips to, where it is adjustable, by the name of the want: a number for all of its
   * groups, or numbers by group ("all" where the whole gradient is clipped).
   */
  readonly maxNorms?: MaxNorms;
  /** Another other batch for `want.cross`, by the name of the want; of as many samples as that which it was given. */
  readonly others?: Readonly<Record<string, OtherBatch>>;
  /**
   * What is given is taken at the call: its arrays may be filled anew at once. Where all is not computed at once (in
   * parts, in chunks, beside another batch) that takes a copy; `true` saves it, and the arrays must then stay as they
   * are until the end. Default false.
   */
  readonly inPlace?: boolean;
}

/** The data of one batch as it is now; what is read batch by batch, or from a file, comes when its turn comes. */
export function ownDataset(dataset: Dataset, { inPlace = false }: GivenOptions): Dataset {
  return inPlace || !isBatch(dataset) ? dataset : copiesOf(dataset);
}

/** What is given besides the data, as it is now. */
export function ownOptions<O extends GivenOptions>(options: O): O {
  const { inPlace = false, parameters, vectors, others } = options;
  if (inPlace) return options;
  const each = <T>(batches: Readonly<Record<string, T>>, copy: (own: T) => T) =>
    Object.fromEntries(Object.entries(batches).map(([want, own]) => [want, copy(own)]));
  return {
    ...options,
    ...(parameters ? { parameters: copiesOf(parameters) } : {}),
    ...(vectors ? { vectors: each(vectors, copiesOf) } : {}),
    ...(others ? { others: each(others, (own) => (typeof own === "string" ? own : copiesOf(own))) } : {}),
  };
}

/**
 * What is fed besides the data and the factors of other batches: of the parameters those that the loaded program does
 * not hold; or all of them, where some are given or were written into since. Throws MISSING_TENSOR, SHAPE_MISMATCH,
 * INVALID_ARGUMENT.
 */
export function givenFeeds(
  model: Pick<Model, "parameters">,
  wants: Wants,
  graph: Pick<ProgramGraph, "parameters" | "vectors" | "scalars">,
  { parameters, vectors, maxNorms }: GivenOptions,
  held: HeldValues,
): Record<string, Tensor> {
  const values = parameterFeeds(model, graph.parameters, parameters);
  return {
    ...(parameters === undefined && held.match(values) ? held.absentFrom(values) : values),
    ...wantFeeds(wants, graph, { ...(vectors ? { vectors } : {}), ...(maxNorms ? { maxNorms } : {}) }),
  };
}

/** The inputs that wants have of their own. Throws MISSING_TENSOR, SHAPE_MISMATCH, INVALID_ARGUMENT. */
export function wantFeeds(
  wants: Wants,
  { vectors, scalars }: Pick<ProgramGraph, "vectors" | "scalars">,
  given: Pick<GivenOptions, "vectors" | "maxNorms">,
): Record<string, Tensor> {
  return { ...vectorFeeds(wants, vectors, given.vectors), ...scalarFeeds(scalars, given.maxNorms) };
}

/** The values of all parameters that the program reads: those given, and the model's. Throws MISSING_TENSOR, SHAPE_MISMATCH. */
export function parameterFeeds(
  model: Pick<Model, "parameters">,
  used: ProgramGraph["parameters"],
  given: GivenOptions["parameters"] = {},
): Record<string, Tensor> {
  const names = new Set(used.map(({ name }) => name));
  const unknown = Object.keys(given).find((name) => !names.has(name) && !Object.hasOwn(model.parameters, name));
  if (unknown !== undefined)
    throw new PergradError(
      "MISSING_TENSOR",
      `The model has no parameter "${unknown}"; leave it out, or correct its name.`,
    );
  const feeds: Record<string, Tensor> = {};
  for (const parameter of used) {
    const { name } = parameter;
    feeds[name] = checkShape("The parameter", parameter, name, given[name] ?? parameterValue(model, parameter));
  }
  return feeds;
}

function vectorFeeds(
  wants: Wants,
  vectors: ProgramGraph["vectors"],
  given: GivenOptions["vectors"] = {},
): Record<string, Tensor> {
  const unknown = Object.keys(given).find((name) => !vectors.some(({ want }) => want === name));
  if (unknown !== undefined)
    throw new PergradError(
      "MISSING_TENSOR",
      `There is no want "${unknown}" that takes inner products with vectors; leave it out, or correct its name.`,
    );
  const fed = vectors.map(({ want, parameter, value }) => {
    const tensor = given[want]?.[parameter] ?? wants[want]?.vectors?.[parameter];
    if (tensor) return [value.name, checkShape(`The vector of "${want}" for`, value, parameter, tensor)] as const;
    throw new PergradError(
      "MISSING_TENSOR",
      `"${want}" takes inner products with vectors, but has none for the parameter "${parameter}"; give it by \`vectors\` to run, or to want.dot.`,
    );
  });
  return Object.fromEntries(fed);
}

function checkShape(whose: string, { dtype, shape }: Value, name: string, tensor: Tensor): Tensor {
  const fits = tensor.dims.length === shape.length && tensor.dims.every((dim, axis) => dim === shape[axis]);
  if (tensor.dtype === dtype && fits) return tensor;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `${whose} "${name}" is ${tensor.dtype} [${tensor.dims.join(", ")}], but the model needs ${dtype} [${shape.join(", ")}]; give that.`,
  );
}
