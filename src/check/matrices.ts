/**
 * Compares results that use all columns of the curvature, or all rows of the Jacobian, with those of single samples in
 * float64: a plain product with each unit vector, a plain backward pass for each element of the output. For small
 * models.
 */
import type { Objective, ObjectiveOptions } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import type { Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { elementFactor } from "../ops/build.js";
import { definitionOf } from "../ops/registry.js";
import { entryOf, nth, present } from "../present.js";
import { prepare } from "../program/feeds.js";
import type { Data } from "../tensor/data.js";
import type { KroneckerFactors } from "../wants/kronecker.js";
import { type ByParameter, type Results, want } from "../wants/want.js";
import { AloneValues } from "./alone-values.js";
import { furthest, largestFinite, relative, tolerance } from "./comparison.js";
import type { ComparedCurvature } from "./curvature.js";
import { type OnFirstSamples, onFirstSamples } from "./first-samples.js";
import { type Judged, resultOf, seeOwnRounding } from "./judged.js";
import { type FactorsOptions, PlainFactors, type SampleTargets } from "./kronecker.js";
import { Reference, type ReferenceParts } from "./oracle.js";
import { type PlainProducts, productNames, unitsLike } from "./products.js";
import type { CheckedWant } from "./wants.js";
import { workOf } from "./work.js";

/** Both kinds, and both approximations for positions. */
const ofLabels: FactorsOptions = { kind: "empirical", approximation: "expand" };
const ofModel: FactorsOptions = { kind: "type2", approximation: "reduce" };

const wants = {
  ggnDiagonal: want.ggnDiagonal(),
  hessianDiagonal: want.hessianDiagonal(),
  trace: want.trace(),
  jacobian: want.jacobian(),
  ntk: want.ntk(),
  ofLabels: want.kroneckerFactors(ofLabels),
  ofModel: want.kroneckerFactors(ofModel),
};

const factorsName = "kroneckerFactors";

/** The wants that are compared here. */
const matrixNames = ["ggnDiagonal", "hessianDiagonal", "trace", "jacobian", "ntk", factorsName] as const;

/** The most samples that are compared. */
const mostSamples = 3;
/** The number of numbers that the reference reads and writes in no more than a few seconds. */
const affordable = 2 ** 26;
/** The least cost of a node, and of a loop of some steps, in such numbers. */
const leastWork = { node: 2 ** 9, loop: 2 ** 17 };

/** See `vanishing` in curvature.ts. */
const vanishing = 1e-3;

type Found = Results<typeof wants>;
type Parts = ReferenceParts & Pick<PlainProducts, "vectors" | "skipped" | "jacobian">;
/** Numbers by want and by parameter, or for all samples together. */
type Numbers = ReadonlyMap<string, ReadonlyMap<string, Float64Array>>;

/** Stands for all parameters together: no parameter has such a name. */
const whole = "\0all";

/**
 * Compares the first few samples, unless that would take long.
 * @param gradients as computed by a program
 */
export async function comparedMatrices(
  objective: Objective,
  data: Readonly<Record<string, Data>>,
  options: ObjectiveOptions & { readonly samples: number },
  parts: Parts,
  gradients: ByParameter,
): Promise<ComparedCurvature> {
  if (options.samples === 0 || parts.products.size === 0) return { wants: [], skipped: [] };
  if (!Object.values(gradients).every(({ data }) => data.every(Number.isFinite)))
    return leftOut("The gradients are not finite in float32.");
  const unknown = parts.skipped.find(({ want: name }) => productNames.some((own) => own === name));
  if (unknown) return leftOut(unknown.reason);
  const size = parts.names.reduce((sum, _, k) => sum + elementFactor(nth(parts.trained, k).shape), 0);
  if (size === 0) return { wants: [], skipped: [] };
  const { output } = objective;
  const elements = elementFactor(output.shape.slice(1));
  const ofOne = size * workOfOne([...parts.products.values()]) + elements * workOfOne(present(parts.jacobian).rows);
  const samples = Math.min(options.samples, mostSamples, Math.floor(affordable / ofOne));
  if (samples === 0)
    return leftOut(
      "The reference of this model would take too long, with a product for each element of its parameters.",
    );
  let run: OnFirstSamples<Found>;
  try {
    run = await onFirstSamples(objective, data, { ...options, samples }, () => wants);
  } catch (error) {
    if (!(error instanceof PergradError) || error.code !== "UNSUPPORTED_OP") throw error;
    return leftOut(error.message);
  }
  const reference = new Reference(parts);
  const factors = new PlainFactors(reference, objective, present(parts.jacobian).notFiniteInputs);
  const each = Array.from({ length: samples }, (_, n) => ofSample(reference, factors, parts, n));
  const expected = new Map([...inFloat64(each, parts.names), ...factorsInFloat64(factors, run.found, each)]);
  const lost = [...expected.values()].some((own) => [...own.values()].some((all) => !all.every(Number.isFinite)));
  if (lost) return leftOut("In float64 the second derivatives of this model and data are not finite.");
  const slope = Math.max(0, ...each.flatMap(({ gradients }) => gradients.map(largestFinite)));
  const alone = () => factorsAlone(factors, objective, data, run.found, samples);
  const compared = await resultsOf(run, expected, slope, alone);
  const missing = matrixNames.filter((name) => !compared.some((own) => own.want === name));
  return { wants: compared, skipped: missing.map((name) => ({ want: name, reason: notFollowed })) };
}

const notFollowed =
  "No weight of this model is read as it is, or transposed, by a product, a convolution or a look-up outside loops, and no parameter is in no layer.";

/** The work for one direction. */
function workOfOne(values: readonly Value[]): number {
  return nodesBefore(values).reduce((total, node) => {
    const { body, recurrent } = definitionOf(node) ?? {};
    return total + (body || recurrent ? leastWork.loop : leastWork.node);
  }, workOf(values));
}

function leftOut(reason: string): ComparedCurvature {
  return { wants: [], skipped: matrixNames.map((name) => ({ want: name, reason })) };
}

/** One sample in float64. */
interface OfSample {
  readonly gradients: readonly Float64Array[];
  /** For each element of the output, its derivative by parameter. */
  readonly jacobian: readonly ReadonlyMap<string, Float64Array>[];
  /** By `<want>/<parameter>` of the products. */
  readonly diagonals: ReadonlyMap<string, Float64Array>;
  readonly ofLabels: SampleTargets;
  readonly ofModel: SampleTargets;
}

/** The reference keeps only one sample's activations, so everything about a sample is computed together. */
function ofSample(reference: Reference, factors: PlainFactors, parts: Parts, sample: number): OfSample {
  return {
    gradients: [...reference.sample(sample).gradients.values()],
    jacobian: jacobianOf(reference, parts, sample),
    diagonals: diagonalsOf(reference, parts, sample),
    ofLabels: factors.sample(sample, ofLabels.kind),
    ofModel: factors.sample(sample, ofModel.kind),
  };
}

/** By want and parameter, with the samples in order. */
function inFloat64(samples: readonly OfSample[], names: readonly string[]): Numbers {
  const joined = (of: (sample: OfSample) => ArrayLike<number>) =>
    Float64Array.from(samples.flatMap((sample) => Array.from(of(sample))));
  const each = (of: (name: string, sample: OfSample) => ArrayLike<number>) =>
    new Map(names.map((name) => [name, joined((sample) => of(name, sample))]));
  const hessian = (name: string, { diagonals }: OfSample) => present(diagonals.get(`hvp/${name}`));
  const traces = each((name, sample) => [sumOf(hessian(name, sample))]);
  const total = joined((sample) => [names.reduce((sum, name) => sum + sumOf(hessian(name, sample)), 0)]);
  const jacobian = each((name, sample) => sample.jacobian.flatMap((row) => Array.from(present(row.get(name)))));
  const products = ({ jacobian: rows }: OfSample, other: OfSample) =>
    rows.map((row, o) =>
      names.reduce((sum, name) => sum + dot(present(row.get(name)), present(nth(other.jacobian, o).get(name))), 0),
    );
  const kernel = joined((sample) => samples.map((other) => sumOf(products(sample, other))));
  return new Map<string, ReadonlyMap<string, Float64Array>>([
    ["ggnDiagonal", each((name, { diagonals }) => present(diagonals.get(`ggnProduct/${name}`)))],
    ["hessianDiagonal", each(hessian)],
    ["trace", new Map([...traces, [whole, total]])],
    ["jacobian", jacobian],
    ["ntk", new Map([[whole, kernel]])],
  ]);
}

/** By `<want>/<side>` and parameter, since sides have different sizes. */
function factorsInFloat64(
  factors: PlainFactors,
  { ofLabels: first, ofModel: second }: Found,
  samples: readonly OfSample[],
): Numbers {
  const [labels, model] = [samples.map((each) => each.ofLabels), samples.map((each) => each.ofModel)];
  return bySide({ ofLabels: factors.of(first, ofLabels, labels), ofModel: factors.of(second, ofModel, model) });
}

/**
 * The factors for labels, from float32 values of each sample alone, computed without per-sample code. The other kinds
 * need values that a program computes only within its factors.
 */
async function factorsAlone(
  factors: PlainFactors,
  objective: Objective,
  data: Readonly<Record<string, Data>>,
  { ofLabels: found }: Found,
  count: number,
): Promise<Numbers> {
  const wanted = new Map(factors.readForLabels.map((value, k) => [`value/${k}`, value]));
  const { feeds } = prepare(data, objective.expected, true);
  const values = await AloneValues.compile(objective, feeds, wanted, new Map(), {});
  const samples: ReadonlyMap<Value, Float64Array>[] = [];
  try {
    for (let n = 0; n < count; n++) {
      const own = await values.sample(n, 0);
      samples.push(
        new Map([...wanted].map(([name, value]) => [value, Float64Array.from(entryOf(own, name).data, Number)])),
      );
    }
  } finally {
    await values.release();
  }
  const read = (n: number, of: readonly Value[]) => of.map((value) => present(nth(samples, n).get(value)));
  const alone = samples.map((_, n) => factors.sample(n, ofLabels.kind, read));
  return bySide({ ofLabels: factors.of(found, ofLabels, alone) });
}

function bySide<D>(all: Readonly<Record<string, ReadonlyMap<string, D>>>): Map<string, Map<string, D>> {
  const sides = new Map<string, Map<string, D>>();
  for (const [name, tensors] of Object.entries(all))
    for (const [tensor, data] of tensors) {
      const [side = "", ...parameter] = tensor.split("/");
      const key = `${factorsName}/${name}/${side}`;
      sides.set(key, (sides.get(key) ?? new Map<string, D>()).set(parameter.join("/"), data));
    }
  return sides;
}

/** What a program returned, by the names of its tensors. */
function tensorsOf({ layers, blocks, diagonals }: KroneckerFactors): Map<string, Float32Array> {
  const sides = Object.entries(layers).flatMap(([name, { A, B }]) => [
    [`A/${name}`, A.data] as const,
    [`B/${name}`, B.data] as const,
  ]);
  const whole = (kind: string, all: ByParameter) =>
    Object.entries(all).map(([name, { data }]) => [`${kind}/${name}`, data] as const);
  return new Map([...sides, ...whole("block", blocks), ...whole("diagonal", diagonals)]);
}

const sumOf = (numbers: ArrayLike<number>) => Array.from(numbers).reduce((sum, x) => sum + x, 0);
const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * (b[i] ?? Number.NaN), 0);

/** The diagonals of one sample's matrices, by `<want>/<parameter>` of the products, from their columns. */
function diagonalsOf(
  reference: Reference,
  { names, products, vectors }: Parts,
  sample: number,
): Map<string, Float64Array> {
  const none = [...vectors.values()].map(({ value, tensor: { dims, data } }) => {
    return [value, { dims, data: new Float64Array(data.length) }] as const;
  });
  const diagonals = new Map<string, Float64Array>();
  for (const name of names) {
    const size = reference.sizeOf(name);
    const keys = productNames.map((kind) => `${kind}/${name}`);
    const own = keys.map((key) => present(products.get(key)));
    const { value, tensor } = present(vectors.get(name));
    const found = keys.map(() => new Float64Array(size));
    for (let index = 0; index < size; index++) {
      const unit = { dims: tensor.dims, data: Float64Array.from({ length: size }, (_, k) => (k === index ? 1 : 0)) };
      const columns = reference.values(sample, own, new Map([...none, [value, unit]]));
      for (const [k, column] of columns.entries()) nth(found, k)[index] = column[index] ?? Number.NaN;
    }
    for (const [k, key] of keys.entries()) diagonals.set(key, nth(found, k));
  }
  return diagonals;
}

/** For each element of one sample's output, its derivative by parameter. */
function jacobianOf(reference: Reference, { names, jacobian }: Parts, sample: number): Map<string, Float64Array>[] {
  const { seed, rows } = present(jacobian);
  return unitsLike(seed).map((unit) => {
    const found = reference.values(sample, rows, new Map([[seed, unit]]));
    return new Map(found.map((row, k) => [nth(names, k), row]));
  });
}

/** What a program returned, in the same form. */
function returned({
  ntk,
  trace,
  ofLabels,
  ofModel,
  ...others
}: Found): ReadonlyMap<string, ReadonlyMap<string, Float32Array>> {
  const byParameter = Object.entries(others).map(
    ([name, own]) => [name, new Map(Object.entries(own).map(([parameter, { data }]) => [parameter, data]))] as const,
  );
  const traces = Object.entries(trace.parameters).map(([parameter, { data }]) => [parameter, data] as const);
  return new Map([
    ...byParameter,
    ["trace", new Map([...traces, [whole, trace.total.data]])],
    ["ntk", new Map([[whole, ntk.data]])],
    ...bySide({ ofLabels: tensorsOf(ofLabels), ofModel: tensorsOf(ofModel) }),
  ]);
}

/** One parameter's numbers for all samples. */
interface ComparedMatrix extends Judged {
  readonly expected: Float64Array;
}

/**
 * @param slope the largest element of the gradients
 * @param aloneValues the numbers of samples alone, needed only if some differ
 */
async function resultsOf(
  run: OnFirstSamples<Found>,
  expected: Numbers,
  slope: number,
  aloneValues: () => Promise<Numbers>,
): Promise<CheckedWant[]> {
  const own = returned(run.found);
  const all = [...expected].flatMap(([name, numbers]) =>
    [...numbers].map(([parameter, exact]): ComparedMatrix => {
      const found = own.get(name)?.get(parameter) ?? [];
      return { want: name, parameter, expected: exact, found, difference: furthest(found, exact), ownRounding: 0 };
    }),
  );
  const scaleOf = scales(all, slope);
  const beyond = all.filter((each) => relative(each.difference, scaleOf(each)) > tolerance.loop);
  const alone = beyond.length > 0 ? await aloneValues() : new Map<string, ReadonlyMap<string, Float64Array>>();
  for (const each of beyond) {
    const numbers = alone.get(each.want)?.get(each.parameter);
    if (numbers) each.alone = furthest(numbers, each.expected);
  }
  await seeOwnRounding(
    beyond,
    run,
    (moved, { want: name, parameter }) => returned(moved).get(name)?.get(parameter) ?? [],
  );
  return matrixNames.flatMap((name) => {
    const ofWant = all.filter((each) => each.want === name || each.want.startsWith(`${name}/`));
    if (ofWant.length === 0) return [];
    const result = resultOf(name, ofWant, scaleOf);
    return result.worst === whole ? { ...result, worst: "all" } : result;
  });
}

/**
 * What differences are relative to: the parameter's largest number, or a share of the largest of the want or the
 * gradients.
 */
function scales(all: readonly ComparedMatrix[], slope: number): (each: ComparedMatrix) => number {
  const peaks: Record<string, number> = {};
  for (const { want: name, expected } of all) peaks[name] = Math.max(peaks[name] ?? slope, largestFinite(expected));
  return ({ want: name, expected }) => Math.max(largestFinite(expected), vanishing * entryOf(peaks, name));
}
