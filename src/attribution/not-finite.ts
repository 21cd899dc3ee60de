/** Samples that are not finite have no scores. */
import type { PergradError } from "../errors.js";
import { describeNotFinite, refused } from "../program/describe-not-finite.js";
import { type NotFinite, type NotFiniteSample, renumbered } from "../program/not-finite.js";

/** Which samples a program reads. */
export type Whose = "queries" | "training samples" | "samples";

/**
 * Options of a run that throws NOT_FINITE.
 * @param first the number of the first sample of another batch (`others`)
 */
export function refusing(whose: Whose, others: Whose = whose, first = 0) {
  const onNotFinite = ({ samples }: NotFinite): never => {
    const ofOthers = samples.filter((each) => each.others !== undefined);
    if (ofOthers.length === 0) throw notFinite(samples, whose);
    const own = ofOthers.map(({ others: _, ...each }) => each);
    throw notFinite(
      renumbered(own, (n) => first + n),
      others,
    );
  };
  return { onNotFinite, inPlace: true } as const;
}

function notFinite(samples: readonly NotFiniteSample[], whose: Whose): PergradError {
  return refused(describeNotFinite(samples, false), ` of the ${whose}`);
}
