/** check: the self-test on a user's own model and data. */
import { type CheckedParameter, type CheckResult, check } from "../check/check.js";
import { roundingFactor } from "../check/comparison.js";
import { PergradError } from "../errors.js";
import { table } from "../inspect/table.js";
import { samplesBetween } from "../program/split.js";
import type { Io } from "./io.js";
import { json } from "./json.js";
import type { Progress } from "./progress.js";
import { dataTaskOf, type TaskOptions } from "./task.js";

export interface CheckCommandOptions extends TaskOptions {
  readonly data: string;
  readonly samples?: number;
  readonly differences?: number;
  readonly json?: boolean;
}

/** The naive loop in plain TypeScript is slow: a few samples tell. */
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
  if (samples === 0) {
    throw new PergradError(
      "INVALID_ARGUMENT",
      `"${task.dataFile}" holds no samples, so there is nothing to check; give a file that holds some.`,
    );
  }
  progress.stage("compiling");
  const result = await check(task.model, samplesBetween(task, task.objective.expected, 0, samples).feeds, {
    ...task.options,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.differences === undefined ? {} : { differences: options.differences }),
    onProgress: (done, total) => (done === 0 ? progress.stage("comparing", total) : progress.update(done)),
  });
  progress.stop();
  io.stdout.write(options.json ? json({ ...result, samplesInFile: task.samples }) : report(result, task.samples));
  return result.passed;
}

const verdicts = { rounding: "rounding", difference: "DIFFERS" } as const;

function report({ parameters, wants, samples, tolerance, passed }: CheckResult, inFile: number): string {
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
  const others = wants.map(({ want, error, worst, cause }) => [
    want,
    cause ? verdicts[cause] : "ok",
    error.toExponential(1),
    worst,
  ]);
  const otherHeadings = ["want", "verdict", "against the loop", "furthest off in"];
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
    wantsBeyond(wants) +
    "Errors are relative to each parameter's largest gradient: of the program against the float64 loop over samples,\n" +
    "and of that loop against finite differences of the loss. Wants are held against the same of the loop's gradients.\n" +
    (alone
      ? "It alone: the float32 gradient of that sample computed alone, without per-sample code, against the loop.\n"
      : "")
  );
}

/** One sentence on each want that is off by more than the gradients explain. */
function wantsBeyond(wants: CheckResult["wants"]): string {
  const wrong = wants.filter(({ cause }) => cause === "difference");
  return wrong
    .map(
      ({ want, error, worst }) =>
        `"${want}" (${worst}) is off by ${error.toExponential(1)} from what it is of the loop's gradients, ` +
        "which those of the program do not explain: a fault of pergrad; please report it.\n",
    )
    .join("");
}

/** One sentence on the worst of the parameters that are above the tolerance; nothing where none is. */
function explanation(parameters: readonly CheckedParameter[], tolerance: CheckResult["tolerance"]): string {
  const errorOf = ({ loopError, differenceError = 0 }: CheckedParameter) => Math.max(loopError, differenceError);
  const [worst] = parameters
    .filter(({ cause }) => cause !== undefined)
    .sort((a, b) => Number(b.cause === "difference") - Number(a.cause === "difference") || errorOf(b) - errorOf(a));
  if (!worst) return "";
  const why = worst.cause === "rounding" ? roundingOf(worst) : differenceOf(worst, tolerance);
  return `The worst is "${worst.parameter}": ${why}.\n`;
}

/** Terms of this many times their sum nearly cancel. */
const cancelling = 10;

function roundingOf({ worstSample, loopError, aloneError = 0, cancellation = 0 }: CheckedParameter): string {
  const terms =
    cancellation >= cancelling
      ? `; its terms nearly cancel, their absolute values add up to ${cancellation.toPrecision(2)} times the gradient`
      : "";
  return (
    `in sample ${worstSample} it is off by ${loopError.toExponential(1)}, which is rounding of float32, ` +
    `since computed alone and without per-sample code it is off by ${aloneError.toExponential(1)}${terms}`
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
  return loopError > tolerance.rounding && roundingFactor * aloneError >= loopError
    ? `${off}, more than the ${tolerance.rounding} that is put down to rounding, though ${alone} too`
    : `${off}, while ${alone}, so it is not rounding but a fault of pergrad; please report it`;
}
