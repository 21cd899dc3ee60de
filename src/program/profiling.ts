/** Each node's time and bytes, and the part of the program to which it belongs. */
import { type Planned, type ScheduleSettings, scheduled } from "../compile/compile.js";
import { factorsOf, withLosses } from "../compile/stage-graphs.js";
import { PergradError } from "../errors.js";
import { graphOf, Stages } from "../inspect/observe.js";
import { PartsOfNodes } from "../inspect/parts.js";
import { namesIn } from "../inspect/print-graph.js";
import { Profile } from "../inspect/profile.js";
import type { Target, Tensors } from "../target/target.js";

/** A batch to run, and how often. */
export interface ProfiledBatch {
  readonly feeds: Tensors;
  readonly samples: number;
  readonly runs: number;
}

export function noProfiler({ version }: Target): PergradError {
  return new PergradError("RUNTIME", `${version} has no profiler; compile for another runtime.`);
}

/**
 * Builds the program's graph once more, to follow its nodes from stage to stage, which an ordinary compile does not do.
 * @throws PergradError INVALID_ARGUMENT, RUNTIME.
 */
export async function profileOf(
  planned: Planned,
  settings: ScheduleSettings & { readonly threads?: number },
  target: Target,
  { feeds, samples, runs }: ProfiledBatch,
): Promise<Profile> {
  if (!(Number.isSafeInteger(runs) && runs >= 1))
    throw new PergradError("INVALID_ARGUMENT", `The runs of a profile must be a whole number from 1 up, not ${runs}.`);
  if (samples === 0)
    throw new PergradError(
      "INVALID_ARGUMENT",
      "An empty batch is not run, so it has no profile; give at least one sample.",
    );
  const { profiler } = target;
  if (!profiler) throw noProfiler(target);
  const { objective, plan } = planned;
  const parts = new PartsOfNodes();
  const stages = new Stages(parts);
  // Not the model's own graph: other nodes may have taken the place of its nodes.
  stages.reached("traced", () => Object.entries(objective.outputs).map(([name, value]) => ({ name, value })));
  stages.reached("objective", () => withLosses(objective));
  stages.reached("gradient", () => factorsOf(objective, plan));
  const { executable } = await scheduled(planned, settings, target, stages);
  const { threads } = settings;
  const options = { runs, ...(threads === undefined ? {} : { threads }) };
  const found = await profiler.profile(executable.program, feeds, options);
  return new Profile(found, samples, runs, {
    nameOf: namesIn(graphOf(executable.program.outputs)),
    partOf: (values) => parts.partOf(values),
  });
}
