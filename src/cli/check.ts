/** check: the self-test on a user's own model and data. */
import { type CheckedParameter, type CheckResult, check } from "../check/check.js";
import { PergradError } from "../errors.js";
import { table } from "../table.js";
import { feedsBetween } from "./chunks.js";
import type { Io } from "./io.js";
import { json } from "./json.js";
import type { Progress } from "./progress.js";
import { dataTaskOf, type TaskOptions } from "./task.js";

export interface CheckCommandOptions extends TaskOptions {
  readonly data: string;
  readonly samples?: number;
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
    throw new PergradError("INVALID_ARGUMENT", `"${task.dataFile}" holds no samples, so there is nothing to check.`);
  }
  progress.stage("samples", samples);
  const result = await check(task.model, feedsBetween(task, 0, samples), {
    ...task.options,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    onProgress: (done) => progress.update(done),
  });
  progress.stop();
  io.stdout.write(options.json ? json({ ...result, samplesInFile: task.samples }) : report(result, task.samples));
  return result.passed;
}

function report({ parameters, samples, tolerance, passed }: CheckResult, inFile: number): string {
  const agrees = (each: CheckedParameter) =>
    each.loopError <= tolerance.loop && each.differenceError <= tolerance.difference;
  const rows = parameters.map((each) => [
    each.parameter,
    agrees(each) ? "ok" : "DIFFERS",
    each.loopError.toExponential(1),
    String(each.worstSample),
    each.differenceError.toExponential(1),
  ]);
  const headings = ["parameter", "verdict", "against the loop", "in sample", "against differences"];
  const which =
    samples === inFile ? `all ${samples} samples` : `the first ${samples} of ${inFile} samples (--samples K for more)`;
  const verdict = passed ? "No difference found" : "A difference was found";
  const bounds =
    tolerance.loop === tolerance.difference ? `${tolerance.loop}` : `${tolerance.loop} and ${tolerance.difference}`;
  return (
    `${table([headings, ...rows], 2)}\n` +
    `${verdict} in ${which}, tolerance ${bounds}.\n` +
    "Errors are relative to each parameter's largest gradient: of the program against the float64 loop over samples,\n" +
    "and of that loop against finite differences of the loss.\n"
  );
}
