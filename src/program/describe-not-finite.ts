/** Samples that are not finite, as sentences. */
import { listed } from "../meant.js";
import type { NotFiniteSample } from "./not-finite.js";

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
