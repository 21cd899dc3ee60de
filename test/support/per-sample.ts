import { expect } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { perSampleGradients } from "../../src/autodiff/per-sample.js";
import { plain, reverse } from "../../src/autodiff/reverse.js";
import type { Array64 } from "../../src/float64/array64.js";
import type { Factored, Method } from "../../src/gradients/factored.js";
import { gramMethods, pairProducts } from "../../src/gradients/pairs.js";
import { projections } from "../../src/gradients/projection.js";
import { shifted } from "../../src/gradients/shifted.js";
import { drawShifts, placedElements, type Shifts } from "../../src/gradients/shifts.js";
import { drawSigns, type Signs } from "../../src/gradients/signs.js";
import { Sum } from "../../src/gradients/sum.js";
import { factorOf, type Shape } from "../../src/graph/dim.js";
import type { Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import type { BuildStrategy } from "../../src/ops/build-strategy.js";
import { build } from "../../src/ops/registry.js";
import { simplify } from "../../src/optimise/simplify.js";

/** A graph with its data: what per-sample gradients are compared on. */
export interface Case {
  /** `[N]` */
  readonly losses: Value;
  readonly parameters: ReadonlyMap<Value, Array64>;
  readonly inputs: ReadonlyMap<Value, { readonly axis: number; readonly array: Array64 }>;
  readonly samples: number;
}

/** Deterministic numbers that are neither round nor equal. */
export function numbers(dims: readonly number[], seed: number): Array64 {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const data = Float64Array.from({ length: size }, (_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233) * 1.3);
  return { dims, data };
}

export function takeSample64({ dims, data }: Array64, axis: number, sample: number): Array64 {
  const size = (list: readonly number[]) => list.reduce((product, dim) => product * dim, 1);
  const [before, all, behind] = [size(dims.slice(0, axis)), dims[axis] ?? 1, size(dims.slice(axis + 1))];
  const taken: number[] = [];
  for (let b = 0; b < before; b++) {
    const start = (b * all + sample) * behind;
    taken.push(...data.subarray(start, start + behind));
  }
  return { dims: dims.map((dim, k) => (k === axis ? 1 : dim)), data: Float64Array.from(taken) };
}

/** The loop: plain reverse mode on one sample after another, `[N][parameter]`. */
export function loopGradients(test: Case): Map<Value, Float64Array[]> {
  const seed = build.expand(build.scalar(1, test.losses), test.losses.shape);
  const targets = [...test.parameters.keys()];
  const found = reverse(new Map([[test.losses, seed]]), new Set(targets), plain);
  const values = targets.map((target) => found.get(target) ?? build.zeros(target.shape, target.dtype));
  const result = new Map<Value, Float64Array[]>(targets.map((target) => [target, []]));
  for (let n = 0; n < test.samples; n++) {
    const feeds = new Map<Value, Array64>(test.parameters);
    for (const [input, { axis, array }] of test.inputs) feeds.set(input, takeSample64(array, axis, n));
    evaluateGraph(values, feeds, 1).forEach(({ data }, k) => {
      result.get(targets[k] as Value)?.push(data);
    });
  }
  return result;
}

const element = (i: number) => Math.cos(1.7 * i);

/** A vector of a parameter's shape. */
function vectorFor({ shape }: Factored): Value {
  const dims = shape.map(factorOf);
  const size = dims.reduce((product, dim) => product * dim, 1);
  return build.constant({ dtype: "float32", dims, data: Float32Array.from({ length: size }, (_, i) => element(i)) });
}

/** Signs to project a gradient by. */
function signsFor({ shape }: Pick<Factored, "shape">): Signs {
  return drawSigns(3, "w", shape, 3);
}

/** Signs and shifts to project a gradient by: of more numbers than most sides have elements, or of fewer. */
function shiftsFor({ shape }: Pick<Factored, "shape">, dims: number): Shifts {
  return drawShifts(5, "w", shape, dims);
}

const shiftedDims = [2, 7];

function projectedByShifts(gradient: Float64Array, shifts: Shifts): number[] {
  const { places, signs } = placedElements(shifts);
  const sums = new Float64Array(shifts.dims);
  gradient.forEach((x, i) => {
    const place = places[i] as number;
    sums[place] = (sums[place] as number) + (signs[i] as number) * x;
  });
  return [...sums];
}

/** The projections of one gradient, as they are defined. */
function projected(gradient: Float64Array, { dims, rows, columns }: Signs): number[] {
  return Array.from({ length: dims }, (_, k) =>
    gradient.reduce((sum, x, i) => {
      const [r, c] = [Math.floor(i / columns.size), i % columns.size];
      return sum + x * (rows.data[r * dims + k] ?? 0) * (columns.data[c * dims + k] ?? 0);
    }, 0),
  );
}

/** Inner products of all pairs of samples from all pairs of terms, each by its first method, by its second, and so on. */
function termPairs(gradient: Factored): { name: string; value: Value }[] {
  if (!(gradient instanceof Sum)) return [];
  const pairs = gradient.terms.flatMap((a) => gradient.terms.map((b) => pairProducts(a, b, 3)));
  return Array.from({ length: Math.max(...pairs.map((methods) => methods.length)) }, (_, k) => ({
    name: `pairs by the terms' methods ${k}`,
    value: pairs
      .map((methods) => (methods[Math.min(k, methods.length - 1)] as Method).emit(build))
      .reduce((sum, value) => build.add(sum, value)),
  }));
}

/** Every method of answering every question about one gradient, with the name it goes by. */
export function waysOf(gradient: Factored, weights: Value): { name: string; value: Value }[] {
  return [
    { name: "gradients", value: gradient.materialise(build) },
    ...gradient.squaredNorms().map((method) => ({ name: `norm by ${method.name}`, value: method.emit(build) })),
    ...gradient.weightedSums().map((method) => ({ name: `sum by ${method.name}`, value: method.emit(build, null) })),
    ...gradient
      .weightedSums()
      .map((method) => ({ name: `weighted sum by ${method.name}`, value: method.emit(build, weights) })),
    ...gradient
      .dots()
      .map((method) => ({ name: `dot by ${method.name}`, value: method.emit(build, vectorFor(gradient)) })),
    ...gradient
      .sumsOfSquares()
      .map((method) => ({ name: `squares' sum by ${method.name}`, value: method.emit(build) })),
    ...projections(gradient, signsFor(gradient)).map((method) => ({
      name: `projection by ${method.name}`,
      value: method.emit(build),
    })),
    ...shiftedDims.flatMap((dims) =>
      shifted(gradient, shiftsFor(gradient, dims)).map((method) => ({
        name: `projection to ${dims} by shifts, ${method.name}`,
        value: method.emit(build),
      })),
    ),
    ...gramMethods(gradient).map((method) => ({ name: `pairs by ${method.name}`, value: method.emit(build) })),
    ...termPairs(gradient),
  ];
}

/** What each question's answer must be, from the loop. */
function expected(name: string, loop: readonly Float64Array[], weights: Float64Array, shape: Shape): number[] {
  const size = loop[0]?.length ?? 0;
  if (name === "gradients") return loop.flatMap((gradient) => [...gradient]);
  const dot = (a: Float64Array, f: (i: number) => number) => a.reduce((sum, x, i) => sum + x * f(i), 0);
  if (name.startsWith("dot")) return loop.map((gradient) => dot(gradient, (i) => Math.fround(element(i))));
  const dims = shiftedDims.find((each) => name.startsWith(`projection to ${each} by`));
  if (dims) return loop.flatMap((gradient) => projectedByShifts(gradient, shiftsFor({ shape }, dims)));
  if (name.startsWith("projection")) return loop.flatMap((gradient) => projected(gradient, signsFor({ shape })));
  if (name.startsWith("pairs")) return loop.flatMap((a) => loop.map((b) => dot(a, (i) => b[i] ?? 0)));
  if (name.startsWith("squares"))
    return Array.from({ length: size }, (_, i) => {
      const mean = loop.reduce((sum, gradient) => sum + (gradient[i] ?? 0), 0) / loop.length;
      return loop.reduce((sum, gradient) => sum + ((gradient[i] ?? 0) - mean) ** 2, 0);
    });
  if (name.startsWith("norm")) return loop.map((gradient) => gradient.reduce((sum, x) => sum + x * x, 0));
  const weight = (n: number) => (name.startsWith("weighted") ? (weights[n] ?? 0) : 1);
  return Array.from({ length: size }, (_, i) =>
    loop.reduce((sum, gradient, n) => sum + weight(n) * (gradient[i] ?? 0), 0),
  );
}

export function expectClose(
  actual: ArrayLike<number>,
  wanted: ArrayLike<number>,
  tolerance: number,
  what: string,
  floor = 0,
): void {
  expect(actual.length, `${what}: number of elements`).toBe(wanted.length);
  let scale = floor;
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) {
    scale = Math.max(scale, Math.abs(wanted[i] as number));
    const difference = Math.abs((actual[i] as number) - (wanted[i] as number));
    worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
  }
  expect(worst, `${what}: largest difference, against a largest value of ${scale}`).toBeLessThanOrEqual(
    tolerance * (scale || 1),
  );
}

/** The factored gradients of a case, built in the methods that are asked for. */
export function gradientsOf(test: Case, choices: BuildStrategy = {}): Map<Value, Factored> {
  const axes = new SampleAxes(new Map([...test.inputs].map(([input, { axis }]) => [input, axis])));
  return perSampleGradients(test.losses, [...test.parameters.keys()], axes, choices);
}

/** All answers of all kinds, in float64, against the loop. Returns the kinds met, by parameter name. */
export function compareWithLoop(test: Case, choices: BuildStrategy = {}): Map<string, string> {
  const gradients = gradientsOf(test, choices);
  const loop = loopGradients(test);
  const weights = build.op("Abs", [test.losses]);
  const weightData = evaluateFull(test, [weights])[0]?.data ?? new Float64Array();
  const kinds = new Map<string, string>();
  for (const [parameter, gradient] of gradients) {
    kinds.set(parameter.name, gradient.kind);
    const asked = waysOf(gradient, weights);
    const values = evaluateFull(test, simplify(asked.map(({ value }) => value)));
    const wanted = loop.get(parameter) ?? [];
    asked.forEach(({ name }, k) => {
      const actual = values[k]?.data ?? [];
      const what = `${parameter.name}, ${gradient.kind}, ${name}`;
      // The loop of an empty batch does not know how long a gradient is: sums are zeros, the rest is empty.
      const answer =
        test.samples === 0 && name.includes("sum")
          ? Array.from(actual, () => 0)
          : expected(name, wanted, weightData, gradient.shape);
      expectClose(actual, answer, 1e-9, what, 1e-6);
    });
  }
  return kinds;
}

function evaluateFull(test: Case, outputs: readonly Value[]): Array64[] {
  const feeds = new Map<Value, Array64>(test.parameters);
  for (const [input, { array }] of test.inputs) feeds.set(input, array);
  return evaluateGraph(outputs, feeds, test.samples);
}
