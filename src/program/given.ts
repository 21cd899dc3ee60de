/** Checks what a run is given beside its data, and names it as the program's inputs are named. */

import { parameterValue } from "../compile/objective.js";
import type { ProgramGraph } from "../compile/program-graph.js";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import type { Value } from "../graph/value.js";
import { entryOf } from "../present.js";
import { copiesOf } from "../tensor/data.js";
import { areFinite } from "../tensor/finite.js";
import { floatsIn, type Tensor } from "../tensor/tensor.js";
import type { Wants } from "../wants/want.js";
import { type Dataset, isBatch } from "./given-data.js";
import type { HeldValues } from "./held.js";
import type { OtherBatch } from "./others.js";
import { type MaxNorms, scalarFeeds } from "./scalars.js";

/** What a run may be given beside its data. */
export interface GivenOptions {
  /** Values of parameters, by name, in place of the model's own: `[...shape]` each, float32. Default: the model's own. */
  readonly parameters?: Readonly<Record<string, Tensor>>;
  /**
   * Vectors for wants that take one (`want.dot`, `want.hvp`, ...), by the name of the want, then of the parameter: `[...shape]`
   * each, float32 and finite. Default: those with which the want was made.
   */
  readonly vectors?: Readonly<Record<string, Readonly<Record<string, Tensor>>>>;
  /**
   * Norms to which an adjustable `want.clippedSum` clips, by the name of the want: one number for all of its groups, or a number
   * for each group ("all" if the whole gradient is clipped). Default: those with which the want was made.
   */
  readonly maxNorms?: MaxNorms;
  /**
   * Another batch for `want.cross`, by the name of the want, with as many samples as the batch with which the want was made.
   * Default: that batch.
   */
  readonly others?: Readonly<Record<string, OtherBatch>>;
  /**
   * The data is read at the call, so you may overwrite its arrays at once. If it is not computed at once (but in parts, in
   * chunks, or with another batch), that takes a copy. `true` saves the copy; the arrays must then not change until the end.
   * Default false.
   */
  readonly inPlace?: boolean;
}

/** Copies a batch that may be overwritten. Data that comes batch by batch, or from a file, is read when it is needed. */
export function ownDataset(dataset: Dataset, { inPlace = false }: GivenOptions): Dataset {
  return inPlace || !isBatch(dataset) ? dataset : copiesOf(dataset);
}

/** Copies what is given beside the data, which may be overwritten. */
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
 * What is fed beside the data and the factors of other batches. The parameters are those that the loaded program does not
 * hold, or all of them if some are given or have been overwritten.
 * @throws PergradError MISSING_TENSOR, SHAPE_MISMATCH, INVALID_ARGUMENT.
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

/** The wants' own inputs. Throws MISSING_TENSOR, SHAPE_MISMATCH, INVALID_ARGUMENT. */
export function wantFeeds(
  wants: Wants,
  { vectors, scalars }: Pick<ProgramGraph, "vectors" | "scalars">,
  given: Pick<GivenOptions, "vectors" | "maxNorms">,
): Record<string, Tensor> {
  return { ...vectorFeeds(wants, vectors, given.vectors), ...scalarFeeds(scalars, given.maxNorms) };
}

/** The values of all parameters that the program reads: those given, else the model's. Throws MISSING_TENSOR, SHAPE_MISMATCH. */
export function parameterFeeds(
  model: Pick<Model, "parameters">,
  used: ProgramGraph["parameters"],
  given?: GivenOptions["parameters"],
): Record<string, Tensor> {
  if (given) requireKnown(model, used, given);
  const feeds: Record<string, Tensor> = {};
  for (const parameter of used) {
    const { name } = parameter;
    feeds[name] = checkShape("The parameter", parameter, name, given?.[name] ?? parameterValue(model, parameter));
  }
  return feeds;
}

/** Throws MISSING_TENSOR. */
function requireKnown(
  model: Pick<Model, "parameters">,
  used: ProgramGraph["parameters"],
  given: Readonly<Record<string, Tensor>>,
): void {
  const names = new Set(used.map(({ name }) => name));
  const unknown = Object.keys(given).find((name) => !names.has(name) && !Object.hasOwn(model.parameters, name));
  if (unknown !== undefined)
    throw new PergradError(
      "MISSING_TENSOR",
      `The model has no parameter "${unknown}"; leave it out, or correct its name.`,
    );
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
      `"${want}" takes inner products with vectors, but there is none for the parameter "${parameter}"; give one to run (\`vectors\`) or to want.dot.`,
    );
  });
  return Object.fromEntries(fed);
}

/** Throws NOT_FINITE, and names the vector, if one holds NaN or infinity. */
export function requireFiniteVectors(vectors: ProgramGraph["vectors"], feeds: Readonly<Record<string, Tensor>>): void {
  const found = vectors.find(({ value }) => !areFinite(floatsIn(entryOf(feeds, value.name))));
  if (!found) return;
  throw new PergradError(
    "NOT_FINITE",
    `The vector of "${found.want}" for "${found.parameter}" holds NaN or infinity; give finite numbers.`,
  );
}

function checkShape(whose: string, { dtype, shape }: Value, name: string, tensor: Tensor): Tensor {
  const fits = tensor.dims.length === shape.length && tensor.dims.every((dim, axis) => dim === shape[axis]);
  if (tensor.dtype === dtype && fits) return tensor;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `${whose} "${name}" is ${tensor.dtype} [${tensor.dims.join(", ")}], but the model needs ${dtype} [${shape.join(", ")}]; give that.`,
  );
}
