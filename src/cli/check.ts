/** check: the self-test on a user's own model and data. */
import { type CheckedParameter, type CheckedWant, type CheckResult, check } from "../check/check.js";
import { isOwnRounding } from "../check/comparison.js";
import { grouped } from "../grouped.js";
import { table } from "../inspect/table.js";
import { describeNotFinite } from "../program/describe-not-finite.js";
import { samplesBetween } from "../program/split.js";
import type { Io } from "./io.js";
import { json } from "./json.js";
import type { Progress } from "./progress.js";
import { dataTaskOf, type TaskOptions, threadsOf } from "./task.js";

export interface CheckCommandOptions extends TaskOptions {
  readonly data: string;
  readonly samples?: number;
  readonly differences?: number;
  readonly secondDerivatives: boolean;
  readonly json?: boolean;
}

/** The naive loop in plain TypeScript is slow; a few samples are enough. */
const defaultSamples = 8;

/** Returns whether everything agrees. */
export async function checkModel(
  modelFile: string,
  options: CheckCommandOptions,
  io: Io,
  progress: Progress,
): Promise<boolean> {
  const task = await dataTaskOf(modelFile, options, progress);
  const samples = Math.min(options.samples ?? defaultSamples, task.samples);
  progress.stage("compiling");
  const result = await check(task.model, samplesBetween(task, task.objective.expected, 0, samples).feeds, {
    ...task.options,
    ...threadsOf(options),
    ...(io.observe ? { observe: io.observe } : {}),
    secondDerivatives: options.secondDerivatives,
    ...(options.differences === undefined ? {} : { differences: options.differences }),
    onProgress: (done, total) => (done === 0 ? progress.stage("comparing", total) : progress.update(done)),
  });
  progress.stop();
  io.stdout.write(options.json ? json({ ...result, samplesInFile: task.samples }) : report(result, task.samples));
  return result.passed;
}

const verdicts = { rounding: "rounding", difference: "DIFFERS" } as const;

function report(result: CheckResult, inFile: number): string {
  const { parameters, wants, skipped, notFinite, samples, tolerance, passed } = result;
  const alone = parameters.some(({ aloneError }) => aloneError !== undefined);
  const rows = parameters.map((each) => [
    each.parameter,
    each.cause ? verdicts[each.cause] : "ok",
    each.loopError.toExponential(1),
    String(each.worstSample),
    ...(alone ? [each.aloneError?.toExponential(1) ?? "-"] : []),
    each.differenceError?.toExponential(1) ?? "-",
  ]);
  const headings = [
    "parameter",
    "verdict",
    "against the loop",
    "in sample",
    ...(alone ? ["it alone"] : []),
    "against differences",
  ];
  const wantsAlone = wants.some(({ aloneError }) => aloneError !== undefined);
  const others = wants.map(({ want, error, worst, cause, aloneError }) => [
    want,
    cause ? verdicts[cause] : "ok",
    error.toExponential(1),
    worst,
    ...(wantsAlone ? [aloneError?.toExponential(1) ?? "-"] : []),
  ]);
  const otherHeadings = ["want", "verdict", "against the loop", "furthest off in", ...(wantsAlone ? ["alone"] : [])];
  const which =
    samples === inFile ? `all ${samples} samples` : `the first ${samples} of ${inFile} samples (--samples K for more)`;
  const verdict = passed ? "No difference found" : "A difference was found";
  const bounds =
    tolerance.loop === tolerance.difference ? `${tolerance.loop}` : `${tolerance.loop} and ${tolerance.difference}`;
  return (
    `${table([headings, ...rows], 2)}\n` +
    (others.length > 0 ? `${table([otherHeadings, ...others], 2)}\n` : "") +
    `${verdict} in ${which}, tolerance ${bounds}.\n` +
    explanation(parameters, tolerance) +
    wantsBeyond(wants, tolerance) +
    withoutDerivative(notFinite) +
    notCompared(skipped) +
    atKinks(parameters) +
    "Errors are relative to each parameter's largest gradient: of the program against the float64 loop over samples,\n" +
    "and of that loop against finite differences of the loss. Wants are compared with the same quantities of the loop's gradients" +
    `${secondDerivatives(wants)}.\n` +
    (alone
      ? "It alone: the float32 gradient of that sample computed alone, without per-sample code, against the loop.\n"
      : "") +
    (wantsAlone ? "Alone: the same want, in float64, of float32 gradients that were computed so.\n" : "")
  );
}

/** One sentence on gradients that are not finite in float64 either. */
function withoutDerivative(notFinite: CheckResult["notFinite"]): string {
  if (notFinite.length === 0) return "";
  const samples = [...grouped(notFinite.map(({ sample, parameter }) => [sample, parameter] as const))].map(
    ([sample, parameters]) => ({ sample, loss: false, parameters }),
  );
  return (
    `${describeNotFinite(samples, false).slice(0, -1)} in float64 either, so nothing there was compared with differences,\n` +
    "and norms, sums and the other wants were not compared.\n"
  );
}

/** One sentence on elements at which the loss has no derivative. */
function atKinks(parameters: readonly CheckedParameter[]): string {
  const named = parameters.flatMap(({ parameter, kinks }) => (kinks ? [`${kinks} of "${parameter}"`] : []));
  if (named.length === 0) return "";
  return (
    `Elements that lie exactly on a kink of the loss were not compared with differences: ${named.join(", ")}\n` +
    "(a Relu whose input is 0, say: the slopes of the two sides differ).\n"
  );
}

/** What second derivatives are compared with, if any were; else the end of the sentence. */
function secondDerivatives(wants: CheckResult["wants"]): string {
  const has = (...names: readonly string[]) => wants.some(({ want }) => names.includes(want));
  const products = has("hvp", "ggnProduct");
  const columns = has("ggnDiagonal", "hessianDiagonal", "trace", "jacobian", "ntk");
  return (
    (products ? ",\nhvp and ggnProduct with the same products of single samples in float64" : "") +
    (columns ? ",\ndiagonals, traces, Jacobians and the ntk with plain columns" : "") +
    (has("kroneckerFactors") ? ", Kronecker factors with plain moments" : "")
  );
}

/** One sentence for each reason. */
function notCompared(skipped: CheckResult["skipped"]): string {
  const sentences = [...grouped(skipped.map(({ want, reason }) => [reason, want] as const))].map(([reason, wants]) => {
    const names = wants.map((want) => `"${want}"`);
    const all = names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
    return `${all} ${names.length === 1 ? "was" : "were"} not compared: ${reason}\n`;
  });
  return sentences.join("");
}

/** A sentence on each want that differs, and one on all wants for which rounding leaves hardly a digit right. */
function wantsBeyond(wants: CheckResult["wants"], { rounding }: CheckResult["tolerance"]): string {
  const lost = wants.filter(({ cause, error }) => cause === "rounding" && error > rounding);
  const names = lost.map(({ want }) => want).join(", ");
  return (
    wants.flatMap((each) => (each.cause === "difference" ? [`${wantThatDiffers(each)}.\n`] : [])).join("") +
    (lost.length === 0 ? "" : `Rounding of the gradients leaves hardly a digit right of ${names}.\n`)
  );
}

function wantThatDiffers({ want, error, worst, aloneError, ownRounding = 0 }: CheckedWant): string {
  const off = `"${want}" (${worst}) is off by ${error.toExponential(1)} from what it is in float64`;
  if (aloneError === undefined) return `${off}, so ${faultOf(error, 0)}`;
  const alone = `computed alone, in float32 and without per-sample code, it is off by ${aloneError.toExponential(1)}`;
  if (isOwnRounding(error, ownRounding))
    return (
      `${off}, while ${alone}: the way in which it is computed here rounds more, since data moved in the last bits ` +
      `move it by ${ownRounding.toExponential(1)}; for this model ask for another (strategy: { norm: "materialise" })`
    );
  return `${off}, while ${alone}, so ${faultOf(error, aloneError)}`;
}

const useless = "float32 leaves hardly a digit of it right";

/** @param aloneError the error of the value computed without per-sample code */
function faultOf(error: number, aloneError: number): string {
  if (!Number.isFinite(error) && !Number.isFinite(aloneError))
    return "float32 cannot represent these numbers; scale the data or the loss";
  return "it is not rounding but a fault of pergrad; please report it";
}

/** A sentence on the worst of the parameters above the tolerance; nothing if there are none. */
function explanation(parameters: readonly CheckedParameter[], tolerance: CheckResult["tolerance"]): string {
  const errorOf = ({ loopError, differenceError = 0 }: CheckedParameter) => Math.max(loopError, differenceError);
  const [worst] = parameters
    .filter(({ cause }) => cause !== undefined)
    .sort((a, b) => Number(b.cause === "difference") - Number(a.cause === "difference") || errorOf(b) - errorOf(a));
  if (!worst) return "";
  const why = worst.cause === "rounding" ? roundingOf(worst, tolerance) : differenceOf(worst, tolerance);
  return `The worst is "${worst.parameter}": ${why}.\n`;
}

/** Terms that are this many times larger than their sum nearly cancel. */
const cancelling = 10;

function roundingOf(
  { worstSample, loopError, aloneError = 0, cancellation = 0 }: CheckedParameter,
  { rounding }: CheckResult["tolerance"],
): string {
  const terms =
    cancellation >= cancelling
      ? `; its terms nearly cancel, their absolute values add up to ${cancellation.toPrecision(2)} times the gradient`
      : "";
  return (
    `in sample ${worstSample} it is off by ${loopError.toExponential(1)}, which is rounding of float32, ` +
    `since computed alone and without per-sample code it is off by ${aloneError.toExponential(1)}${terms}${loopError > rounding ? `; ${useless}` : ""}`
  );
}

function differenceOf(
  { worstSample, loopError, aloneError, differenceError = 0 }: CheckedParameter,
  tolerance: CheckResult["tolerance"],
): string {
  if (aloneError === undefined || differenceError > tolerance.difference) {
    return (
      `the float64 gradient is off by ${differenceError.toExponential(1)} from finite differences, ` +
      "which is either a kink of the loss just there or a fault of pergrad; please report it if it stays with other samples"
    );
  }
  const off = `in sample ${worstSample} it is off by ${loopError.toExponential(1)}`;
  const alone = `computed alone and without per-sample code it is off by ${aloneError.toExponential(1)}`;
  return `${off}, while ${alone}, so ${faultOf(loopError, aloneError)}`;
}
