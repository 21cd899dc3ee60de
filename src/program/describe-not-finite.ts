/** Samples that are not finite, as sentences. */
import { PergradError } from "../errors.js";
import { listed } from "../meant.js";
import { warn } from "./environment.js";

/** A sample whose results are not finite. */
export interface NotFiniteSample {
  /**
   * Its number, from 0; in a stream, its number in the dataset. "together": each sample is finite, but a sum over the
   * samples overflows. Null: one or several samples of the batch, if it cannot be split to find out which.
   */
  readonly sample: number | "together" | null;
  /** Whether its loss, if that is wanted, is not finite either. */
  readonly loss: boolean;
  /**
   * Whether a NaN inside the model reached an operator that returns a number all the same (`MaxPool`, `ReduceMax`,
   * `TopK`, ...), so that its results are finite but mean nothing.
   */
  readonly hidden?: true;
  /** If it is a sample of another batch, the want that takes this (`want.cross`), whose results it all spoils. */
  readonly others?: string;
  /** Parameters whose gradients, norms or sums are known to be non-finite; empty if the results do not show which. */
  readonly parameters: readonly string[];
}

/** The argument of `onNotFinite`. */
export interface NotFinite {
  /** The samples in question, in order. */
  readonly samples: readonly NotFiniteSample[];
  /** Whether sums and means were taken over the other samples only. */
  readonly leftOut: boolean;
  /** The same as a sentence. */
  readonly message: string;
}

/** What to do about gradients that are not finite. */
export interface NotFiniteOptions {
  /**
   * What to do if a sample's gradient or loss is not finite. "warn": once for each program, by a process warning.
   * "throw": NOT_FINITE. "leave out": compute sums, means and clipped sums again without the sample (norms, losses and
   * gradients stay as they are; the data is copied at the call). "ignore": nothing. Default "warn"; with `onNotFinite`,
   * which is called anyway, "ignore".
   */
  readonly notFinite?: "warn" | "throw" | "leave out" | "ignore";
  /**
   * Called with the samples and parameters, after each run or chunk of a stream that has non-finite gradients. Default:
   * no call.
   */
  readonly onNotFinite?: (found: NotFinite) => void;
}

/** The most samples, and parameters, that a message names. */
export const mostNamed = 5;

/** The samples and parameters as a sentence. */
export function describeNotFinite(samples: readonly NotFiniteSample[], leftOut: boolean): string {
  const hidden = samples.filter((each) => each.hidden && !each.loss && each.parameters.length === 0);
  const open = samples.filter((each) => !hidden.includes(each));
  const sentences = open.length > 0 ? [describeOpen(open, leftOut)] : [];
  return [...sentences, ...(hidden.length > 0 ? [describeHidden(hidden, leftOut)] : [])].join(" ");
}

function describeHidden(samples: readonly NotFiniteSample[], leftOut: boolean): string {
  const numbers = samples.map(({ sample }) => Number(sample)).sort((a, b) => a - b);
  const [which, their, them] = numbers.length === 1 ? ["sample", "its", "it"] : ["samples", "their", "them"];
  const then = leftOut ? `; sums and means leave ${them} out` : "";
  return `The gradient of ${which} ${listed(numbers, mostNamed)} is finite and means nothing: ${their} activations are NaN in front of an operator that hides it (a maximum or the like)${then}.`;
}

function describeOpen(samples: readonly NotFiniteSample[], leftOut: boolean): string {
  const numbers = samples.flatMap(({ sample }) => (typeof sample === "number" ? sample : [])).sort((a, b) => a - b);
  const parameters = [...new Set(samples.flatMap((each) => each.parameters))].map((name) => `"${name}"`);
  const others = samples[0]?.others;
  const which =
    numbers.length === 0
      ? "some sample"
      : `${numbers.length === 1 ? "sample" : "samples"} ${listed(numbers, mostNamed)}${others === undefined ? "" : ` of the other batch of "${others}"`}`;
  const where = parameters.length === 0 ? "" : ` (in ${listed(parameters, mostNamed, "more parameters")})`;
  if (numbers.length === 0 && samples.every(({ sample }) => sample === "together"))
    return `A sum over the samples${where} is not finite, though each sample's gradient is: together they overflow.`;
  const what = samples.every(({ loss }) => loss) ? "The loss and the gradient" : "The gradient";
  const then = leftOut ? `; sums and means leave ${numbers.length === 1 ? "it" : "them"} out` : "";
  return `${what} of ${which}${where} ${what === "The gradient" ? "is" : "are"} not finite${then}.`;
}

/** What is thrown if such samples are refused. The advice names `place`, such as " of the queries", to leave them out of. */
export function refused(message: string, place = ""): PergradError {
  const advice = `leave it out${place}, or look for an overflow or a division by 0`;
  return new PergradError("NOT_FINITE", `${message.slice(0, -1)}; ${advice}.`);
}

/** Tells of samples as the options say. Returns whether a warning has been given. Throws NOT_FINITE. */
export function tell(
  samples: readonly NotFiniteSample[],
  { notFinite, onNotFinite }: NotFiniteOptions,
  warned: boolean,
): boolean {
  const own = samples.some(({ sample, others }) => typeof sample === "number" && !others);
  const leftOut = notFinite === "leave out" && own;
  const message = describeNotFinite(samples, leftOut);
  onNotFinite?.({ samples, leftOut, message });
  if (notFinite === "throw") throw refused(message);
  if (warned || notFinite === "ignore" || onNotFinite !== undefined) return warned;
  const advice = "run takes notFinite and onNotFinite to throw, to leave such samples out, or to report each";
  warn(`${message} This program warns no more: ${advice}.`, "NOT_FINITE");
  return true;
}
