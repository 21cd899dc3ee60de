/** Compares the loop with finite differences, for a few elements spread over parameters and samples. */

import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { leadingOf, nth } from "../present.js";
import { areFinite } from "../tensor/finite.js";
import { furthest, type ParameterErrors } from "./comparison.js";
import type { Reference } from "./oracle.js";

/** The default numbers of elements to try: for each parameter, and in all. */
const defaults = { each: 4, all: 64 };

/**
 * Steps that are tried in turn for one element, each times its size (at least 1). The first is so small that few
 * activations cross a kink, and its rounding, of about 1e-8, is well below what is close enough. The large ones are for
 * losses that are much larger than their gradient.
 */
const steps = [1e-7, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3] as const;
/** An error, relative to the parameter's scale, that is small enough to stop trying other steps. */
const closeEnough = 1e-5;
/**
 * Steps for several elements: the more elements move, the more activations cross a kink. The first step with small
 * enough rounding counts.
 */
const jointSteps = [1e-9, 1e-8, 1e-7] as const;
/** The rounding of a loss in float64, relative to its size, in a model of many layers. */
const lossRounding = 2 ** -46;
/** The number of elements that are moved together at first. */
const together = 16;

/**
 * Elements on which the loss depends less are moved further, up to this many times, so that their effect shows beside
 * others.
 */
const maxStretched = 100;

/** An element to be tried. */
export interface Try {
  readonly parameter: string;
  readonly index: number;
  /** By the loop. */
  readonly gradient: number;
  /** What an error is relative to. */
  readonly scale: number;
  /**
   * How far it is moved together with others, and in which direction: random, so that errors of several elements do not
   * cancel.
   */
  readonly weight: number;
}

export interface DifferencesOptions {
  readonly differences?: number;
  readonly seed?: number;
}

function isKnown(gradients: ReadonlyMap<string, Float64Array>, parameter: string): boolean {
  return areFinite(gradients.get(parameter) ?? new Float64Array());
}

/** Chooses the elements to try. */
export class Differences {
  readonly #random;
  /** The parameter and the sample of each element. */
  readonly #chosen: readonly (readonly [ParameterErrors, number])[];

  constructor(
    compared: readonly ParameterErrors[],
    private readonly reference: Pick<Reference, "sizeOf" | "placeOf">,
    samples: number,
    options: DifferencesOptions,
  ) {
    const { seed = 0, differences } = options;
    const filled = compared
      .filter(({ parameter }) => reference.sizeOf(parameter) > 0)
      .sort((a, b) => reference.placeOf(a.parameter) - reference.placeOf(b.parameter));
    const wanted = differences ?? Math.min(defaults.each * filled.length, defaults.all);
    const length = filled.length === 0 || samples === 0 ? 0 : wanted;
    this.#random = xoroshiro128plus(seed);
    // Evenly: k runs over the parameters once while it goes round the samples.
    this.#chosen = Array.from({ length }, (_, k) => [
      nth(filled, Math.floor((k * filled.length) / length)),
      k % samples,
    ]);
  }

  get total(): number {
    return this.#chosen.length;
  }

  /** The number of elements chosen in sample n that are not tried, as the parameter's gradient there is not finite. */
  without(n: number, gradients: ReadonlyMap<string, Float64Array>): number {
    return this.#in(n).filter(({ parameter }) => !isKnown(gradients, parameter)).length;
  }

  #in(n: number): ParameterErrors[] {
    return this.#chosen.flatMap(([each, sample]) => (sample === n ? [each] : []));
  }

  /**
   * The elements to try in sample n, given its gradients by the loop, in groups that are moved together. A group's
   * parameters follow each other in the model, so that everything before them is computed only once. Parameters whose
   * gradient is not finite have no derivative there to compare with.
   */
  groups(
    n: number,
    gradients: ReadonlyMap<string, Float64Array>,
    scaleOf: (each: ParameterErrors) => number,
  ): { readonly compared: readonly ParameterErrors[]; readonly tries: readonly Try[] }[] {
    const compared = this.#in(n).filter(({ parameter }) => isKnown(gradients, parameter));
    const tries = compared.map((each): Try => {
      const { parameter } = each;
      const index = uniformInt(this.#random, 0, this.reference.sizeOf(parameter) - 1);
      const part = uniformInt(this.#random, -1000, 999);
      const weight = (part < 0 ? part - 1000 : part + 1001) / 2000;
      return {
        parameter,
        index,
        gradient: gradients.get(parameter)?.[index] ?? Number.NaN,
        scale: scaleOf(each),
        weight,
      };
    });
    return Array.from({ length: Math.ceil(tries.length / together) }, (_, k) => {
      const range = [k * together, (k + 1) * together] as const;
      return { compared: compared.slice(...range), tries: tries.slice(...range) };
    });
  }
}

/**
 * How far each gradient is from finite differences. All elements are moved at once, each by its own step: if the loss
 * changes as the gradients predict, each of them is that close. If not, halves of them are tried, down to single
 * elements, each with the step that suits it best: moving a weight that thousands of activations depend on pushes some
 * of them over a kink, fewer as the step shrinks, while rounding grows. A wrong gradient is wrong at every step. Null
 * for an element at a kink: there is no derivative to compare with.
 */
export function differenceErrors(reference: Reference, sample: number, tries: readonly Try[]): (number | null)[] {
  const [first] = tries;
  if (!first) return [];
  if (tries.length === 1) return [alone(reference, sample, first)];
  const errors = jointErrors(reference, sample, tries);
  if (errors.every((error, k) => isClose(error, tries[k]))) return errors;
  const half = tries.length >> 1;
  return [tries.slice(0, half), tries.slice(half)].flatMap((part) => differenceErrors(reference, sample, part));
}

function isClose(error: number, tried: Try | undefined): boolean {
  return error <= closeEnough * (tried?.scale ?? 0);
}

function alone(reference: Reference, sample: number, tried: Try): number | null {
  const { parameter, index, gradient } = tried;
  let least = Number.POSITIVE_INFINITY;
  for (const step of steps) {
    const difference = reference.difference(parameter, sample, index, step);
    least = Math.min(least, furthest([difference], Float64Array.of(gradient)));
    if (isClose(least, tried)) return least;
  }
  return isAtKink(reference, sample, tried) ? null : least;
}

/** Steps to each side. If the loss is smooth, the slopes of the two sides differ ten times as much with the larger. */
const sidesSteps = [1e-6, 1e-5] as const;
/** How much of their difference slopes may change between the steps: rounding, and the curvature of each side. */
const steady = 0.1;

/**
 * Whether the loss has a kink exactly where the element is: a Relu whose input is 0, as a fresh bias makes of an empty
 * patch. The slopes of the two sides then differ however small the step is.
 */
function isAtKink(reference: Reference, sample: number, { parameter, index, scale }: Try): boolean {
  const [near, far] = leadingOf(
    sidesSteps.map((step) => reference.slopes(parameter, sample, index, step)),
    2,
  );
  const gap = Math.abs(near.up - near.down);
  const changed = Math.max(Math.abs(near.up - far.up), Math.abs(near.down - far.down));
  return gap > closeEnough * scale && changed < steady * gap;
}

/** Bounds on the errors of the gradients, each assuming that the others are exact. */
function jointErrors(reference: Reference, sample: number, tries: readonly Try[]): number[] {
  const largest = Math.max(...tries.map(({ scale }) => scale));
  const factors = tries.map(({ parameter, index, weight, scale }) => {
    const louder = Math.min(maxStretched, largest / (scale || largest || 1));
    return weight * louder * reference.stretch(parameter, index);
  });
  const heard = Math.min(...tries.map(({ scale }, k) => closeEnough * scale * Math.abs(nth(factors, k))));
  const rounding = lossRounding * Math.abs(reference.loss(sample));
  const step = jointSteps.find((each) => rounding <= each * heard) ?? jointSteps[2];
  const moves = tries.map(({ parameter, index }, k) => ({ parameter, index, by: step * nth(factors, k) }));
  const expected = tries.reduce((sum, { gradient }, k) => sum + gradient * nth(factors, k), 0);
  const error = Math.abs(reference.halfDifference(sample, moves) / step - expected);
  return factors.map((factor) => (Number.isNaN(error) ? Number.POSITIVE_INFINITY : error / Math.abs(factor)));
}
