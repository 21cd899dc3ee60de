/**
 * What a program makes of all columns of the curvature, or of all rows of the Jacobian, held against the same of single samples
 * in float64: a plain product with each unit vector, a plain backward pass for each element of the output. Of small models.
 */
import type { Objective, ObjectiveOptions } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import { factorOf } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { elementFactor } from "../ops/build.js";
import { definitionOf } from "../ops/registry.js";
import { entryOf, nth, present } from "../present.js";
import type { Data } from "../tensor/data.js";
import { type ByParameter, type Results, want } from "../wants/want.js";
import { furthest, largestFinite, relative, tolerance } from "./comparison.js";
import type { ComparedCurvature } from "./curvature.js";
import { type OnFirstSamples, onFirstSamples } from "./first-samples.js";
import { type Judged, resultOf, seeOwnRounding } from "./judged.js";
import { Reference, type ReferenceParts } from "./oracle.js";
import { type PlainProducts, productNames } from "./products.js";
import type { CheckedWant } from "./wants.js";
import { workOf } from "./work.js";

const wants = {
  ggnDiagonal: want.ggnDiagonal(),
  hessianDiagonal: want.hessianDiagonal(),
  trace: want.trace(),
  jacobian: want.jacobian(),
  ntk: want.ntk(),
};

/** The wants that are compared here. */
export const matrixNames = Object.keys(wants) as readonly (keyof typeof wants)[];

/** Samples that are compared, at most. */
const mostSamples = 3;
/** Numbers that the reference reads and writes in no more than a few seconds. */
const affordable = 2 ** 26;
/** What a node, and a loop over some steps, take it at least, in such numbers. */
const leastWork = { node: 2 ** 9, loop: 2 ** 17 };

/** See `vanishing` in curvature.ts. */
const vanishing = 1e-3;

type Found = Results<typeof wants>;
type Parts = ReferenceParts & Pick<PlainProducts, "vectors" | "skipped" | "jacobian">;
/** Numbers by want and by parameter, or for all samples together. */
type Numbers = ReadonlyMap<string, ReadonlyMap<string, Float64Array>>;

/** Of all parameters together: no parameter has such a name. */
const whole = "\0all";

/**
 * Compares the first few samples, where that takes no long time.
 * @param gradients as a program computed them
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
  const expected = inFloat64(new Reference(parts), parts, samples);
  const lost = [...expected.values()].some((own) => [...own.values()].some((all) => !all.every(Number.isFinite)));
  if (lost) return leftOut("In float64 the second derivatives of this model and data are not finite.");
  return { wants: await resultsOf(run, expected, parts, samples), skipped: [] };
}

/** Of values for one direction. */
function workOfOne(values: readonly Value[]): number {
  return nodesBefore(values).reduce((total, node) => {
    const { body, recurrent } = definitionOf(node) ?? {};
    return total + (body || recurrent ? leastWork.loop : leastWork.node);
  }, workOf(values));
}

function leftOut(reason: string): ComparedCurvature {
  return { wants: [], skipped: matrixNames.map((name) => ({ want: name, reason })) };
}

/** By want and parameter, of the samples one after another. */
function inFloat64(reference: Reference, parts: Parts, samples: number): Numbers {
  const rows = Array.from({ length: samples }, (_, n) => jacobianOf(reference, parts, n));
  const [elements = 0] = rows.map(({ length }) => length);
  const columns = Array.from({ length: samples }, (_, n) => diagonalsOf(reference, parts, n));
  const joined = (of: (n: number) => ArrayLike<number>) =>
    Float64Array.from(Array.from({ length: samples }, (_, n) => Array.from(of(n))).flat());
  const each = (of: (name: string, n: number) => ArrayLike<number>) =>
    new Map(parts.names.map((name) => [name, joined((n) => of(name, n))]));
  const hessian = (name: string, n: number) => present(nth(columns, n).get(`hvp/${name}`));
  const traces = each((name, n) => [sumOf(hessian(name, n))]);
  const total = joined((n) => [parts.names.reduce((sum, name) => sum + sumOf(hessian(name, n)), 0)]);
  const jacobian = each((name, n) => nth(rows, n).flatMap((row) => Array.from(present(row.get(name)))));
  const products = (n: number, m: number) =>
    Array.from({ length: elements }, (_, o) =>
      parts.names.reduce(
        (sum, name) => sum + dot(present(nth(nth(rows, n), o).get(name)), present(nth(nth(rows, m), o).get(name))),
        0,
      ),
    );
  const kernel = joined((n) => Array.from({ length: samples }, (_, m) => sumOf(products(n, m))));
  return new Map<string, ReadonlyMap<string, Float64Array>>([
    ["ggnDiagonal", each((name, n) => present(nth(columns, n).get(`ggnProduct/${name}`)))],
    ["hessianDiagonal", each(hessian)],
    ["trace", new Map([...traces, [whole, total]])],
    ["jacobian", jacobian],
    ["ntk", new Map([[whole, kernel]])],
  ]);
}

const sumOf = (numbers: ArrayLike<number>) => Array.from(numbers).reduce((sum, x) => sum + x, 0);
const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * (b[i] ?? Number.NaN), 0);

/** The diagonals of one sample's matrices, by `<want>/<parameter>` of the products: from their columns. */
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

/** For each element of one sample's output its derivative, by parameter. */
function jacobianOf(reference: Reference, { names, jacobian }: Parts, sample: number): Map<string, Float64Array>[] {
  const { seed, rows } = present(jacobian);
  const [, ...own] = seed.shape;
  const size = elementFactor(own);
  const dims = [1, ...own.map(factorOf)];
  return Array.from({ length: size }, (_, element) => {
    const data = Float64Array.from({ length: size }, (_, k) => (k === element ? 1 : 0));
    const found = reference.values(sample, rows, new Map([[seed, { dims, data }]]));
    return new Map(found.map((row, k) => [nth(names, k), row]));
  });
}

/** What a program returned, in the same form. */
function returned({ ntk, trace, ...others }: Found): ReadonlyMap<string, ReadonlyMap<string, Float32Array>> {
  const byParameter = Object.entries(others).map(
    ([name, own]) => [name, new Map(Object.entries(own).map(([parameter, { data }]) => [parameter, data]))] as const,
  );
  const traces = Object.entries(trace.parameters).map(([parameter, { data }]) => [parameter, data] as const);
  return new Map([
    ...byParameter,
    ["trace", new Map([...traces, [whole, trace.total.data]])],
    ["ntk", new Map([[whole, ntk.data]])],
  ]);
}

/** One parameter's numbers of all samples. */
interface Compared extends Judged {
  readonly expected: Float64Array;
}

async function resultsOf(
  run: OnFirstSamples<Found>,
  expected: Numbers,
  parts: Parts,
  samples: number,
): Promise<CheckedWant[]> {
  const own = returned(run.found);
  const all = [...expected].flatMap(([name, numbers]) =>
    [...numbers].map(([parameter, exact]): Compared => {
      const found = own.get(name)?.get(parameter) ?? [];
      return { want: name, parameter, expected: exact, found, difference: furthest(found, exact), ownRounding: 0 };
    }),
  );
  const scaleOf = scales(all, parts, samples);
  const beyond = all.filter((each) => relative(each.difference, scaleOf(each)) > tolerance.loop);
  await seeOwnRounding(
    beyond,
    run,
    (moved, { want: name, parameter }) => returned(moved).get(name)?.get(parameter) ?? [],
  );
  return matrixNames.map((name) => {
    const ofWant = all.filter((each) => each.want === name);
    const result = resultOf(name, ofWant, scaleOf);
    return result.worst === whole ? { ...result, worst: "all" } : result;
  });
}

/** What differences are relative to: the largest number of the parameter, or a part of the want's or of the gradients' largest. */
function scales(all: readonly Compared[], parts: Parts, samples: number): (each: Compared) => number {
  const reference = new Reference(parts);
  const slopes = Array.from({ length: samples }, (_, n) =>
    [...reference.sample(n).gradients.values()].map(largestFinite),
  );
  const slope = Math.max(0, ...slopes.flat());
  const peaks: Record<string, number> = {};
  for (const { want: name, expected } of all) peaks[name] = Math.max(peaks[name] ?? slope, largestFinite(expected));
  return ({ want: name, expected }) => Math.max(largestFinite(expected), vanishing * entryOf(peaks, name));
}
