/**
 * Influence functions: the change, to first order, in the loss of one sample if another one gets more weight in
 * training (Koh and Liang 2017).
 */
import {
  checkNumber,
  checkOptions,
  checkWhole,
  checkWord,
  invalidArgument,
  kindOf,
  type OptionNames,
} from "../arguments.js";
import { meant } from "../meant.js";
import { nth } from "../present.js";
import type { Dataset } from "../program/given-data.js";
import { option, sentence } from "../sentence.js";
import type { CurvatureKind } from "../solvers/curvature.js";
import type { Checkpoint } from "./checkpoint.js";
import { diagonalDamping, layersDamping, wholeDamping } from "./damping.js";
import { added } from "./gradients.js";
import { ByRows } from "./inverses/by-rows.js";
import { DataInf } from "./inverses/data-inf.js";
import { denseInverse } from "./inverses/dense.js";
import { diagonalInverse } from "./inverses/diagonal.js";
import { ByGaussNewtonKernel } from "./inverses/gauss-newton-kernel.js";
import type { Inverse } from "./inverses/inverse.js";
import {
  type ArnoldiOptions,
  arnoldiInverse,
  type CgOptions,
  cgInverse,
  type LissaOptions,
  lissaInverse,
} from "./inverses/iterative.js";
import { ByKernel } from "./inverses/kernel.js";
import { ByKronecker } from "./inverses/kronecker.js";
import { type Approximated, alike, type Method, type Setting } from "./method.js";
import type { Table } from "./table.js";

/** The matrices that each inverse can use, the default first. */
const kinds = {
  exact: ["ggn", "hessian", "fisher"],
  gram: ["fisher", "ggn"],
  ekfac: ["ggn", "fisher"],
  kfac: ["ggn", "fisher"],
  cg: ["ggn", "hessian", "fisher"],
  lissa: ["ggn", "hessian", "fisher"],
  arnoldi: ["ggn", "hessian", "fisher"],
  diagonal: ["fisher", "ggn", "hessian"],
  dataInf: ["fisher"],
} as const satisfies Readonly<Record<string, readonly CurvatureKind[]>>;

/** How the curvature is inverted. */
export type InverseName = keyof typeof kinds;

/** Options of `attribution.influence`. */
export interface InfluenceOptions extends CgOptions, LissaOptions, ArnoldiOptions {
  /**
   * The way of inverting. "exact": the whole matrix, of at most 4,096 parameters. "gram": exactly, through the samples'
   * inner products. "ekfac", "kfac": layer by layer, in the eigenvectors of two factors. "cg": conjugate gradients.
   * "lissa": a Neumann series. "arnoldi": the eigenvalues largest in size only. "diagonal": the diagonal only.
   * "dataInf": the mean of each sample's own inverse. Default "gram".
   */
  readonly inverse?: InverseName;
  /** The matrix, a mean over the training samples. Default: "fisher" for gram, dataInf and diagonal, else "ggn". */
  readonly of?: CurvatureKind;
  /** The number added to the diagonal. Default: measured on held-out training samples (docs/attribution.md). */
  readonly damping?: number;
}

const influenceOptions: OptionNames<InfluenceOptions> = {
  inverse: true,
  of: true,
  damping: true,
  tolerance: true,
  maxIterations: true,
  terms: true,
  scale: true,
  rank: true,
};
const relatIFOptions: OptionNames<RelatIFOptions> = { ...influenceOptions, by: true };

/** The inverses that options belong to. */
const usedBy: readonly (readonly [option: keyof InfluenceOptions, inverse: InverseName])[] = [
  ["tolerance", "cg"],
  ["maxIterations", "cg"],
  ["terms", "lissa"],
  ["scale", "lissa"],
  ["rank", "arnoldi"],
];

interface Chosen extends InfluenceOptions {
  readonly inverse: InverseName;
  readonly of: CurvatureKind;
}

/** Throws INVALID_ARGUMENT. */
function chosen(call: string, options: InfluenceOptions): Chosen {
  const { inverse = "gram" } = options;
  const inverseNames = Object.keys(kinds);
  if (!inverseNames.includes(inverse))
    throw invalidArgument(
      `${call} has no inverse ${kindOf(inverse)}${meant(String(inverse), inverseNames) || `; it has ${inverseNames.join(", ")}.`}`,
    );
  const known: readonly CurvatureKind[] = kinds[inverse];
  const { of = nth(known, 0) } = options;
  if (!known.includes(of))
    throw invalidArgument(
      `The inverse "${inverse}" is of ${known.join(" or ")}, not ${kindOf(of)}${meant(String(of), known) || "; give one of these."}`,
    );
  checkNumber(`The damping of ${call}`, options.damping, { from: 0 });
  checkNumber(`The tolerance of ${call}`, options.tolerance, { above: 0 });
  checkWhole(`The maxIterations of ${call}`, options.maxIterations, 1);
  checkWhole(`The terms of ${call}`, options.terms, 0);
  checkNumber(`The scale of ${call}`, options.scale, { above: 0 });
  checkWhole(`The rank of ${call}`, options.rank, 1);
  for (const [name, own] of usedBy)
    if (own !== inverse && options[name] !== undefined)
      throw invalidArgument(
        sentence`The inverse "${inverse}" does not use ${option(name)}; leave that out, or give ${option("inverse", own)}.`,
      );
  return { ...options, inverse, of };
}

/**
 * g_m' (C + d I)^-1 g_n, where C is the mean curvature over the training samples; the mean over checkpoints. There is
 * no factor 1/N and no minus sign: if n is left out and training is repeated to its end, the loss of m changes by about
 * this times 1/N.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function influence(options: InfluenceOptions = {}): Method {
  checkOptions("attribution.influence(options)", options, influenceOptions);
  const own = chosen("attribution.influence", options);
  return {
    name: "influence",
    settings: settingsOf(own),
    scores: (setting, queries) => eachInverse(setting, own, (inverse) => inverse.scores(queries)),
    each: async (setting, queries) => (await collected(setting, own, (inverse) => inverse.scores(queries))).parts,
    explain: (checkpoint) => approximated(checkpoint, own),
    self: (setting) => meanOverCheckpoints(setting, own, (inverse) => inverse.self()),
  };
}

/** Options of `attribution.relatIF`. */
export interface RelatIFOptions extends InfluenceOptions {
  /**
   * "loss" divides by the root of the sample's own influence, "parameters" by the norm of (C + d I)^-1 g_n. Default
   * "loss".
   */
  readonly by?: "loss" | "parameters";
}

/**
 * Influence relative to how much a training sample changes the model at all, so that outliers do not explain everything
 * (Barshan et al. 2020, "RelatIF"): `influence` divided by the root of g_n' (C + d I)^-1 g_n, or by the norm of (C + d
 * I)^-1 g_n.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function relatIF(given: RelatIFOptions = {}): Method {
  checkOptions("attribution.relatIF(options)", given, relatIFOptions);
  const { by = "loss", ...options } = given;
  checkWord("The option by of attribution.relatIF", by, ["loss", "parameters"]);
  const own = chosen("attribution.relatIF", options);
  const sizes = async (inverse: Inverse) => (by === "loss" ? rootsOf(await inverse.self()) : inverse.lengths());
  return {
    name: "relatIF",
    settings: { ...settingsOf(own), by },
    scores: (setting, queries) =>
      eachInverse(setting, own, async (inverse) => {
        const size = await sizes(inverse);
        return (await inverse.scores(queries)).map((value, _, n) => over(value, size[n] ?? 0));
      }),
    explain: (checkpoint) => approximated(checkpoint, own),
    self: (setting) =>
      meanOverCheckpoints(setting, own, async (inverse) => {
        const size = await sizes(inverse);
        return (await inverse.self()).map((value, n) => over(value, size[n] ?? 0));
      }),
  };
}

/** The roots of samples' influence on themselves. Throws INVALID_ARGUMENT if there are none. */
function rootsOf(self: Float64Array): Float64Array {
  const most = self.reduce((size, value) => Math.max(size, Math.abs(value)), 0);
  const wrong = self.findIndex((value) => value < -rounding * most);
  if (wrong < 0) return self.map((value) => Math.sqrt(Math.max(0, value)));
  throw invalidArgument(
    sentence`relatIF takes the square root of each sample's influence on itself, but that of training sample ${wrong} is ${(self[wrong] ?? 0).toPrecision(3)}, because the curvature is not positive; give a larger ${option("damping")}, ${option("of", "ggn")}, or ${option("by", "parameters")}.`,
  );
}

/** What rounding leaves of a number that is 0, relative to the largest one. */
const rounding = 1e-6;

function over(value: number, size: number): number {
  return size > 0 ? value / size : 0;
}

function settingsOf({ inverse, of, damping }: Chosen): Method["settings"] {
  return { inverse, of, ...(damping === undefined ? {} : { damping }) };
}

async function eachInverse(setting: Setting, options: Chosen, scores: (inverse: Inverse) => Promise<Table>) {
  const { parts, dampings } = await collected(setting, options, scores);
  const table = added(parts);
  return { table: parts.length === 1 ? table : table.map((value) => value / parts.length), dampings };
}

async function meanOverCheckpoints(
  setting: Setting,
  options: Chosen,
  f: (inverse: Inverse) => Promise<Float64Array>,
): Promise<Float64Array> {
  const { parts } = await collected(setting, options, f);
  return nth(parts, 0).map((_, n) => parts.reduce((sum, part) => sum + (part[n] ?? 0), 0) / parts.length);
}

/**
 * The results of f for the inverse at each checkpoint. A damping is measured only at the first, since the others are
 * similar.
 */
async function collected<R>(setting: Setting, options: Chosen, f: (inverse: Inverse) => Promise<R>) {
  const dampings: number[] = [];
  const parts: R[] = [];
  for (const checkpoint of setting.checkpoints) {
    const own = dampings[0] === undefined ? options : { ...options, damping: dampings[0] };
    const { inverse, damping } = await inverseOf(checkpoint, setting.train, own);
    parts.push(await f(inverse));
    dampings.push(damping);
  }
  return { parts, dampings };
}

async function inverseOf(checkpoint: Checkpoint, train: Dataset, options: Chosen) {
  const damping = options.damping ?? (await dampingFor(checkpoint, train, options));
  return { damping, inverse: await made(checkpoint, train, options, damping) };
}

/** Iterative inverses and dataInf use the damping of the whole matrix. */
function dampingFor(checkpoint: Checkpoint, train: Dataset, { inverse, of }: Chosen): Promise<number> {
  if (inverse === "ekfac" || inverse === "kfac")
    return layersDamping(checkpoint, train, of === "ggn" ? "type2" : "empirical", inverse === "ekfac");
  const measured = inverse === "diagonal" ? diagonalDamping : wholeDamping;
  return measured(checkpoint, train, of === "fisher" ? "fisher" : "ggn");
}

async function made(checkpoint: Checkpoint, train: Dataset, options: Chosen, damping: number): Promise<Inverse> {
  const { inverse, of } = options;
  if (inverse === "gram")
    return of === "ggn" ? ByGaussNewtonKernel.of(checkpoint, train, damping) : ByKernel.of(checkpoint, train, damping);
  if (inverse === "dataInf") return DataInf.of(checkpoint, train, damping);
  const byRows = (apply: ConstructorParameters<typeof ByRows>[2]) => new ByRows(checkpoint, train, apply);
  if (inverse === "diagonal") return byRows(await diagonalInverse(checkpoint, train, damping, of));
  if (inverse === "ekfac" || inverse === "kfac")
    return ByKronecker.of(checkpoint, train, damping, { of, corrected: inverse === "ekfac" });
  const curvature = await checkpoint.curvature(train, of);
  if (inverse === "exact") return byRows(await denseInverse(checkpoint, curvature, damping, of));
  if (inverse === "cg") return byRows(cgInverse(curvature, damping, options));
  if (inverse === "lissa") return byRows(await lissaInverse(curvature, damping, options));
  return byRows(await arnoldiInverse(curvature, damping, options));
}

/** How each parameter's curvature is approximated. */
async function approximated(checkpoint: Checkpoint, { inverse, of, rank }: Chosen): Promise<readonly Approximated[]> {
  switch (inverse) {
    case "ekfac":
    case "kfac": {
      const { byLayers } = await import("./approximations.js");
      return byLayers(checkpoint, of === "ggn" ? "type2" : "empirical", inverse === "ekfac");
    }
    case "exact":
      return alike(checkpoint, "exact", "exact, a part of the whole matrix of all parameters");
    case "gram":
      return alike(checkpoint, "exact", "exact, through inner products of gradients of all parameters together");
    case "cg":
    case "lissa":
      return alike(
        checkpoint,
        "exact products",
        "only multiplied with, exactly, until iterations end; all parameters together",
      );
    case "arnoldi": {
      const space = rank === undefined ? "the space" : `the space of ${rank} vectors`;
      return alike(
        checkpoint,
        "largest eigenvalues",
        `taken within ${space} of the largest eigenvalues, all parameters together`,
      );
    }
    case "diagonal":
      return alike(checkpoint, "diagonal", "its diagonal, exactly");
    case "dataInf":
      return [...checkpoint.modules.values()].map((parameters) => ({
        parameters,
        approximation: "mean of inverses",
        how: "taken, module by module, as if the mean of inverses were the inverse of the mean",
      }));
  }
}
