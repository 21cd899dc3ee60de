/** Scores of training samples that a cluster's workers read: where `cluster(...).attribute` enters. */
import { resolve } from "node:path";
import { asCheckpoints, asMethod, type Checkpoints } from "../../attribution/scores.js";
import type { Dataset } from "../../program/dataset.js";
import { settingsOf } from "../job.js";
import { scoringOf } from "./methods.js";
import { Passes } from "./passes.js";
import type { Attributed, AttributeOptions, RunJob } from "./types.js";

/**
 * @param run runs the jobs of the passes
 * @throws PergradError INVALID_ARGUMENT, and what `run`, `perSample` and programs throw.
 */
export async function attributedBy(
  run: RunJob,
  model: Checkpoints,
  data: string,
  queries: Dataset,
  options: AttributeOptions,
): Promise<Attributed> {
  const {
    method: given,
    out: folder,
    microbatchSize,
    allowNotFinite,
    execution,
    ids,
    optimization,
    signal,
    onProgress,
    ...objective
  } = options;
  const out = resolve(folder);
  const own = {
    out,
    ...(microbatchSize === undefined ? {} : { microbatchSize }),
    ...(allowNotFinite === undefined ? {} : { allowNotFinite }),
    ...(execution ? { execution } : {}),
    ...(ids === undefined ? {} : { ids }),
    ...(optimization ? { optimization } : {}),
    ...(signal ? { signal } : {}),
    ...(onProgress ? { onProgress } : {}),
  };
  const method = asMethod(given);
  // Queries are computed by one thread, so that the same call sends the same numbers and goes on with the parts that are there.
  const settings = { ...objective, method: given, threads: 1, ...(signal ? { signal } : {}) };
  const checkpoints = asCheckpoints(model, "attribute", settings);
  try {
    const passes = new Passes(run, resolve(data), own);
    const { scores, files, dampings } = await scoringOf({ method, checkpoints, queries, passes, out });
    const job = { data: resolve(data), out, settings: settingsOf(own), scores };
    const done = await run({ job, files }, own);
    const said = method.name === "loGra" ? dampings?.map((each) => each / done.samples) : dampings;
    return { ...done, queries: scores.queries, ...(said ? { dampings: said } : {}) };
  } finally {
    for (const each of checkpoints) await each.release();
  }
}
