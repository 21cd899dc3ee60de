/** explain --method: how each parameter is approximated in a method of attribution. */
import { type AttributionExplanation, explain as explained } from "../attribution/index.js";
import { asMethod } from "../attribution/scores.js";
import { type ExplainOptions, explain } from "./explain.js";
import type { Io } from "./io.js";
import { json } from "./json.js";
import { type MethodOptions, methodOf, requireFitting } from "./method-options.js";
import type { Progress } from "./progress.js";
import { taskOf } from "./task.js";
import { flagOf, UsageError } from "./usage.js";

/** The options as commander returns them. */
export type AnyExplainOptions = ExplainOptions & Partial<MethodOptions>;

const ofPrograms = ["want", "graph", "rewrites", "profile", "samples", "threads", "saveStages"] as const;
const ofMethods = ["inverse", "curvature", "rank", "dims", "layer"] as const;

/** Explains programs, or a method of attribution. */
export async function explainAny(
  modelFile: string,
  { method, ...options }: AnyExplainOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  const other = (method === undefined ? ofMethods : ofPrograms).find((name) => options[name] !== undefined);
  if (other !== undefined && method === undefined)
    throw new UsageError(`${flagOf(other)} is for --method; give that too, or leave it out.`);
  if (other !== undefined) throw new UsageError(`${flagOf(other)} does not go with --method; leave out one of them.`);
  await (method === undefined
    ? explain(modelFile, options, io, progress)
    : explainMethod(modelFile, { ...options, method }, io, progress));
}

async function explainMethod(
  modelFile: string,
  options: ExplainOptions & MethodOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  // The divisor of representer points does not matter here.
  const named = { ...options, ...(options.method === "representer" ? { l2: 1 } : {}) };
  requireFitting(named);
  const task = await taskOf(modelFile, options, progress);
  progress.stage("compiling");
  const method = asMethod(await methodOf(named));
  const { l2: _, ...settings } = method.settings;
  const shown = { ...method, settings: options.method === "representer" ? settings : method.settings };
  const found = await explained(task.model, { ...task.options, method: shown });
  progress.stop();
  io.stdout.write(options.json ? json([plainOf(found)]) : `${found}`);
}

function plainOf({ method, rows }: AttributionExplanation) {
  return { method, parameters: rows };
}
