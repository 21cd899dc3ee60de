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

/** What a run does about such samples: see `NotFiniteOptions`. */
interface Reported {
  readonly notFinite?: string;
  readonly onNotFinite?: (found: {
    readonly samples: readonly NotFiniteSample[];
    readonly leftOut: boolean;
    readonly message: string;
  }) => void;
}

/** Tells of samples as the options say. Returns whether a warning has been given. Throws NOT_FINITE. */
export function tell(
  samples: readonly NotFiniteSample[],
  { notFinite, onNotFinite }: Reported,
  warned: boolean,
): boolean {
  const own = samples.some(({ sample, others }) => typeof sample === "number" && !others);
  const leftOut = notFinite === "leave out" && own;
  const message = describeNotFinite(samples, leftOut);
  onNotFinite?.({ samples, leftOut, message });
  if (notFinite === "throw")
    throw new PergradError(
      "NOT_FINITE",
      `${message.slice(0, -1)}; leave it out, or look for an overflow or a division by 0.`,
    );
  if (warned || notFinite === "ignore" || onNotFinite !== undefined) return warned;
  const advice = "run takes notFinite and onNotFinite to throw, to leave such samples out, or to report each";
  warn(`${message} This program warns no more: ${advice}.`, "NOT_FINITE");
  return true;
}
