/** Gradients of pseudo-targets: scalars of each sample, whose gradients have outer products that add up to a curvature matrix. */

import { invalidArgument, kindOf } from "../arguments.js";
import { type Directions, type SumOver, sumOverDirections } from "../autodiff/directions.js";
import { PergradError } from "../errors.js";
import { substitute } from "../graph/body.js";
import { fixedSize, N } from "../graph/dim.js";
import { dimsValue, leaf, type Value } from "../graph/value.js";
import { meant } from "../meant.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import type { Differentiable } from "./differentiable.js";
import { LossHead } from "./loss-head.js";
import { along, type Gradients, pulledBack, type Vectors } from "./products.js";

/** Random vectors of signs: `probes` for each sample, drawn from `seed`. */
export interface Drawn {
  readonly probes: number;
  readonly seed: number;
}

/**
 * "empirical": one pseudo-target, the loss itself, with the true labels. "type2": one for each column of a square root of the
 * loss's second derivative in the output, which gives the exact generalised Gauss-Newton matrix. Drawn: random combinations of
 * these columns, whose mean has the same expectation.
 */
export type PseudoTargetKind = "empirical" | "type2" | Drawn;

/** One pseudo-target's gradients of all parameters, as functions of a leaf, and sums over all pseudo-targets. */
export interface PseudoTargets {
  /** The leaf that selects the pseudo-target. Cotangents depend on it; the inputs of layers do not. */
  readonly seed: Value;
  readonly gradients: Gradients;
  /**
   * The curvature is the sum, over pseudo-targets, of the outer products of `gradients` with these. They are the same gradients
   * if a square root is known, and otherwise those of the second derivative times the seed.
   */
  readonly weighted: Gradients;
  /** Sums, over all pseudo-targets, values that depend on the leaf, or what `over` makes of them. */
  sum(summed: readonly Summed[]): Value[];
}

export interface Summed {
  readonly value: Value;
  /** Sums the values of some pseudo-targets, `[count, ...]`, in another form. Default: as they are. */
  readonly over?: SumOver;
}

export function pseudoTargets(of: Differentiable, kind: PseudoTargetKind): PseudoTargets {
  if (kind === "empirical") return ownLoss(of);
  return kind === "type2" ? rootOfLoss(of) : drawnTargets(of, kind);
}

const valuesOf = (summed: readonly Summed[]) => summed.map(({ value }) => value);
const oversOf = (summed: readonly Summed[]) => summed.map(({ over }) => over);

function ownLoss(of: Differentiable): PseudoTargets {
  const seed = leaf("seed", of.losses, { kind: "input" });
  const gradients = pulledBack(carrying(of, seed), of.losses, seed);
  const ones = build.expand(build.scalar(1, of.losses), of.losses.shape);
  const sum = (summed: readonly Summed[]) => {
    const found = substitute(valuesOf(summed), new Map([[seed, ones]]));
    return summed.map(({ over }, k) => (over ? over(build.unsqueeze(nth(found, k), [0])) : nth(found, k)));
  };
  return { seed, gradients, weighted: gradients, sum };
}

function rootOfLoss(of: Differentiable): PseudoTargets {
  const directions = ofOutput(of);
  const seed = leaf("direction", { dtype: of.output.dtype, shape: [directions.size] }, { kind: "input" });
  const unit = spread(of, seed);
  const root = rootTimes(of, unit);
  const places = root ? columnsOf(of, directions.size) : undefined;
  const many = { ...of, strategy: { ...of.strategy, directions: places?.length ?? directions.size } };
  const gradients = pulledBack(many, of.output, root ?? unit);
  const weighted = root ? gradients : pulledBack(many, of.output, new LossHead(of).times(of.output, unit));
  return {
    seed,
    gradients,
    weighted,
    sum: (summed) => {
      const of = (direction: Value) => substitute(valuesOf(summed), new Map([[seed, direction]]));
      return sumOverDirections({ ...directions, places, of }, oversOf(summed));
    },
  };
}

/** Throws UNSUPPORTED_OP where no square root is known. */
function drawnTargets(of: Differentiable, drawn: Drawn): PseudoTargets {
  const seed = leaf("signs", of.output, { kind: "input" });
  const gradients = pulledBack(carrying(of, seed), of.output, requireRoot(of, seed));
  return { seed, gradients, weighted: gradients, sum: (summed) => meanOverSigns(of, drawn, seed, summed) };
}

/** The same model, with one more leaf, `[N, ...]`, that carries samples. */
function carrying(of: Differentiable, seed: Value): Differentiable {
  return { ...of, axes: of.axes.and(seed) };
}

/** R times a vector. Throws UNSUPPORTED_OP where no square root is known. */
function requireRoot(of: Differentiable, vector: Value): Value {
  const root = rootTimes(of, vector);
  if (root) return root;
  throw new PergradError(
    "UNSUPPORTED_OP",
    "Drawn labels need a square root of the loss's second derivative, which is not known for this loss; use one of pergrad's losses, or another kind.",
  );
}

/** The means, over random vectors of signs, of values that depend on `signs`, a leaf in the output's shape. */
function meanOverSigns(
  { output }: Differentiable,
  { probes, seed }: Drawn,
  signs: Value,
  summed: readonly Summed[],
): Value[] {
  const values = valuesOf(summed);
  const numbers = build.floats(
    Array.from({ length: probes }, (_, k) => k),
    [probes],
    output,
  );
  const of = (direction: Value) => {
    const probe = build.cast(build.sum(build.mul(direction, numbers)), "int64");
    // Directions that only fill up a loop are zeros, and must add nothing.
    const own = build.mul(signsFor(output, probe, seed), build.sum(direction));
    return substitute(values, new Map([[signs, own]]));
  };
  const sums = sumOverDirections({ size: probes, dtype: output.dtype, of }, oversOf(summed));
  return sums.map((sum) => build.scale(sum, 1 / probes));
}

/** A prime below 2^25: products of two numbers below it are exact in float64 too. */
const prime = 33_554_393;

/**
 * A sign for each element of the output, `[N, ...]`. It depends on the sample's place in the batch, the element's place in the
 * output, the probe and the seed: whole numbers, mixed by squares modulo a prime, so that every runtime draws the same.
 */
function signsFor(output: Value, probe: Value, seed: number): Value {
  const elements = elementFactor(output.shape.slice(1));
  const int = (value: number) => build.ints([value], []);
  const modulo = (value: Value) => build.op("Mod", [value, int(prime)]);
  const samples = build.op("Range", [int(0), dimsValue([N], true), int(1)]);
  const columns = build.ints(
    Array.from({ length: elements }, (_, k) => (k * 7_919_317) % prime),
    [1, elements],
  );
  const rows = build.reshape(modulo(build.mul(modulo(samples), int(15_485_863))), [N, 1]);
  const own = modulo(build.mul(build.add(probe, int(1 + (seed % 1_000_003))), int(22_801_763)));
  let mixed = modulo(build.add(build.add(rows, columns), own));
  for (const factor of [12_582_917, 6_291_469 + (seed % 65_521), 3_145_739])
    mixed = modulo(build.add(modulo(build.mul(mixed, mixed)), modulo(build.mul(mixed, int(factor)))));
  const upper = build.cast(build.greaterOrEqual(mixed, int((prime + 1) / 2)), output.dtype);
  return build.reshape(build.sub(build.scale(upper, 2), build.scalar(1, upper)), output.shape);
}

/** R times a vector, where R is a square root of the loss's second derivative in the output; null if none is known. */
function rootTimes(of: Differentiable, vector: Value): Value | null {
  if (of.root === undefined) return null;
  if (of.root !== "elementwise") return of.root(of.output, vector);
  const ones = build.expand(build.scalar(1, of.output), of.output.shape);
  const second = new LossHead(of).times(of.output, ones);
  return build.mul(build.sqrt(build.op("Max", [second, build.scalar(0, second)])), vector);
}

function ofOutput({ output }: Differentiable): Omit<Directions, "of"> {
  return { size: elementFactor(output.shape.slice(1)), dtype: output.dtype };
}

/** Places are constants of the graph. If there would be more than this, all columns are computed. */
const mostPlaces = 4096;

/** The elements of the output for which the root's columns may differ from 0; undefined for all. */
function columnsOf({ output, zeroColumns }: Differentiable, size: number): number[] | undefined {
  if (zeroColumns === undefined || size > mostPlaces) return undefined;
  const inner = elementFactor(output.shape.slice(zeroColumns + 1));
  const classes = fixedSize(output.shape, zeroColumns);
  if (classes < 2) return undefined;
  return [...Array(size).keys()].filter((place) => Math.floor(place / inner) % classes < classes - 1);
}

function spread({ output }: Differentiable, direction: Value): Value {
  return build.expand(build.reshape(direction, [1, ...output.shape.slice(1)]), output.shape);
}

const kinds = ["empirical", "type2", "drawn"];

/** The kind of pseudo-targets, from a caller's options. Throws INVALID_ARGUMENT. */
export function kindOfTargets(call: string, { kind, probes, seed }: TargetOptions): PseudoTargetKind {
  if (kind === "drawn") return drawnOf(call, { probes, seed });
  if (kind !== "empirical" && kind !== "type2")
    throw invalidArgument(
      `${call}: the kind must be "empirical", "type2" or "drawn", not ${kindOf(kind)}${meant(String(kind), kinds) || '; say which: { kind: "type2" }.'}`,
    );
  if (probes === undefined && seed === undefined) return kind;
  throw invalidArgument(`${call}: probes and seed are for the kind "drawn"; leave them out for "${kind}".`);
}

/** A caller's options. */
export interface TargetOptions {
  readonly kind: "empirical" | "type2" | "drawn";
  readonly probes?: number | undefined;
  readonly seed?: number | undefined;
}

/** Throws INVALID_ARGUMENT. */
export function drawnOf(call: string, { probes = 1, seed = 0 }: Omit<TargetOptions, "kind">): Drawn {
  if (!Number.isSafeInteger(probes) || probes < 1)
    throw invalidArgument(`${call}: probes must be a whole number from 1 up, not ${kindOf(probes)}.`);
  if (!Number.isSafeInteger(seed) || seed < 0 || seed >= 2 ** 32)
    throw invalidArgument(`${call}: the seed must be a whole number from 0 to 2^32 - 1, not ${kindOf(seed)}.`);
  return { probes, seed };
}

/** The sum of one value. */
export function sumOfOne(targets: PseudoTargets, value: Value): Value {
  return nth(targets.sum([{ value }]), 0);
}

/**
 * The mean of J_n' R_n s (s' R_n' J_n v) over vectors s of random signs. Its expectation is J_n' L_n J_n v, the product with the
 * Fisher matrix for labels that are drawn from the model.
 */
export function drawnFisherProduct(of: Differentiable, drawn: Drawn, vectors: Vectors): Gradients {
  const signs = leaf("signs", of.output, { kind: "input" });
  const seed = requireRoot(of, signs);
  const slopes = along(of, pulledBack(carrying(of, signs), of.output, seed), vectors);
  const ones = of.output.shape.slice(1).map(() => 1);
  const [mean] = meanOverSigns(of, drawn, signs, [{ value: build.mul(seed, build.reshape(slopes, [N, ...ones])) }]);
  // Signs come from a sample's place in the batch, so their sample axis cannot be proved: they are put in afterwards.
  const stand = leaf("mean", of.output, { kind: "input" });
  const found = pulledBack(carrying(of, stand), of.output, stand);
  const given = new Map([[stand, present(mean)]]);
  return new Map([...found].map(([name, each]) => [name, each.withFactors(substitute(each.factors, given))]));
}
