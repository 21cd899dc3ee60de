/** What a trainer's state has paid for, and whether a trainer may resume from it. */
import { PergradError } from "../errors.js";
import type { GaussianMechanism } from "../privacy/mechanism.js";
import type { Optimizer, Parameters } from "./optimizer.js";
import type { TrainerState } from "./types.js";

/** A step without noise, for any samples: no epsilon is large enough for it. */
export const noiseless: GaussianMechanism = { kind: "gaussian", noiseMultiplier: 0, samplingRate: 1, steps: 1 };

/** The state before the first step. */
export function firstState<S>(
  parameters: Parameters,
  optimizer: Optimizer<S>,
  own: Pick<TrainerState<S>, "maxNorm" | "order" | "seed">,
): TrainerState<S> {
  return { steps: 0, parameters, optimizer: optimizer.start(parameters), ledger: [], recorded: 0, ...own };
}

/** The accounting of a state after one more step. */
export function paid<S>(
  { ledger, recorded }: TrainerState<S>,
  spent: GaussianMechanism,
): Pick<TrainerState<S>, "ledger" | "recorded"> {
  return { ledger: composedInOrder([...ledger, spent]), recorded: recorded + 1 };
}

/** Throws INVALID_ARGUMENT if steps were taken that the ledger does not hold, because their cost is unknown. */
export function requirePaid<S>({ steps, ledger, recorded }: TrainerState<S>): void {
  // If batches are disjoint, all batches of an epoch are paid for as one step on the whole data set.
  const byEpoch = ledger.some((spent) => spent.samplingRate === 1 && spent.steps > 0);
  if (recorded >= steps && (byEpoch || stepsOf(ledger) >= steps)) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `The state to resume from has taken ${steps} steps, but its ledger holds fewer, so its privacy cost is not known; give the state as the training left it.`,
  );
}

/** Throws INVALID_ARGUMENT if the state belongs to other parameters, or to another optimizer. */
export function requireFitting<S>(state: TrainerState<S>, parameters: Parameters, optimizer: Optimizer<S>): void {
  const wrong = (problem: string) =>
    new PergradError("INVALID_ARGUMENT", `The state to resume from ${problem}; give the same model and options.`);
  for (const name of new Set([...Object.keys(parameters), ...Object.keys(state.parameters)])) {
    const [before, now] = [state.parameters[name], parameters[name]];
    if (!before) throw wrong(`has no parameter "${name}", which is to be trained`);
    if (!now) throw wrong(`has the parameter "${name}", which is not to be trained`);
    const [old, wanted] = [before.dims.join(", "), now.dims.join(", ")];
    if (old !== wanted) throw wrong(`has "${name}" as [${old}], but the model's is [${wanted}]`);
  }
  const missing = missingField(state.optimizer, optimizer.start(parameters));
  if (missing !== undefined) throw wrong(`is that of another optimizer: it has no ${missing}`);
}

/**
 * The field that a state lacks of those that the optimizer starts with. It may hold more: some states grow from step to
 * step.
 */
function missingField(state: unknown, start: unknown, at = "state"): string | undefined {
  if (!isRecord(start)) return typeof start === typeof state || start == null ? undefined : `${at} of its kind`;
  if (!isRecord(state)) return `${at} with fields`;
  for (const [name, value] of Object.entries(start)) {
    // A checkpoint keeps no field that is undefined.
    if (value === undefined) continue;
    const missing = Object.hasOwn(state, name) ? missingField(state[name], value, `"${name}"`) : `"${name}"`;
    if (missing !== undefined) return missing;
  }
  return undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/** The mechanisms, with equal neighbours combined in `steps`. */
export function composedInOrder(mechanisms: readonly GaussianMechanism[]): GaussianMechanism[] {
  const result: GaussianMechanism[] = [];
  for (const each of mechanisms) {
    const last = result.at(-1);
    const same = last?.noiseMultiplier === each.noiseMultiplier && last.samplingRate === each.samplingRate;
    if (last && same) result[result.length - 1] = { ...last, steps: last.steps + each.steps };
    else result.push(each);
  }
  return result;
}

/** The total number of steps. */
export function stepsOf(mechanisms: readonly GaussianMechanism[]): number {
  return mechanisms.reduce((sum, { steps }) => sum + steps, 0);
}
