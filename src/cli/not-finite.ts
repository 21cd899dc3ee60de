/** Warnings of samples that are not finite. */
import { describeNotFinite, mostNamed } from "../program/describe-not-finite.js";
import type { NotFiniteSample } from "../program/not-finite.js";
import { Program } from "../program/program.js";
import { samplesAt } from "../program/split.js";
import { want } from "../wants/want.js";
import { hasNotFinite } from "./data.js";
import { type DataTask, type TaskOptions, threadsOf } from "./task.js";

/**
 * Which samples are not finite, and whether their data is the cause.
 * @param consequence what follows, as the end of a sentence
 */
export async function warningOf(
  samples: readonly NotFiniteSample[],
  task: DataTask,
  options: Pick<TaskOptions, "threads">,
  consequence?: string,
): Promise<string> {
  const message = describeNotFinite(await withParameters(samples, task, options), false).slice(0, -1);
  const inData = samples.filter(({ sample }) => typeof sample === "number" && hasNotFinite(task, sample)).length;
  const why =
    inData === 0
      ? "though the data is"
      : inData === samples.length
        ? "as the data"
        : `in ${inData} of them as the data`;
  return `${message}, ${why}${consequence ? `; ${consequence}` : ""}.`;
}

/** The same samples with the parameters that their norms show, for results that do not show which. */
async function withParameters(
  found: readonly NotFiniteSample[],
  { objective, feeds, options }: DataTask,
  given: Pick<TaskOptions, "threads">,
): Promise<readonly NotFiniteSample[]> {
  const open = found.flatMap(({ sample, parameters, hidden }) =>
    typeof sample === "number" && parameters.length === 0 && !hidden ? [sample] : [],
  );
  const numbers = open.slice(0, mostNamed);
  if (numbers.length === 0) return found;
  const program = await Program.of(objective, { ...options, ...threadsOf(given), want: { norms: want.norms() } });
  const parametersOf = new Map<number | undefined, readonly string[]>();
  try {
    await program.run(samplesAt(feeds, objective.expected, numbers), {
      allowNotFinite: true,
      onNotFinite: ({ samples }) => {
        for (const { sample, parameters } of samples)
          if (typeof sample === "number") parametersOf.set(numbers[sample], parameters);
      },
    });
  } finally {
    await program.release();
  }
  return found.map((each) => {
    const parameters = typeof each.sample === "number" ? parametersOf.get(each.sample) : undefined;
    return parameters ? { ...each, parameters } : each;
  });
}
