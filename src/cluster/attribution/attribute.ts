/** `cluster(...).attribute`: scores of training samples that a cluster's workers read. */
import { resolve } from "node:path";
import { asCheckpoints, asMethod, type Checkpoints } from "../../attribution/scores.js";
import type { Dataset } from "../../program/given-data.js";
import { settingsOf } from "../job.js";
import { scoringOf } from "./methods.js";
import { Passes } from "./passes.js";
import type { Attributed, AttributeOptions, RunJob } from "./types.js";

/**
 * @param run runs one job, a pass over the training data
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
  // One thread computes the queries, so that a repeated call sends the same numbers and keeps the parts that are there.
  const settings = { ...objective, method: given, threads: 1, ...(signal ? { signal } : {}) };
  const checkpoints = asCheckpoints(model, "attribute", settings);
  try {
    const passes = new Passes(run, resolve(data), own);
    const { scores, files, dampings } = await scoringOf({ method, checkpoints, queries, passes, out });
    const job = { data: resolve(data), out, settings: settingsOf(own), scores };
    const done = await run({ job, files }, own);
    const reported = method.name === "loGra" ? dampings?.map((each) => each / done.samples) : dampings;
    return { ...done, queries: scores.queries, ...(reported ? { dampings: reported } : {}) };
  } finally {
    for (const each of checkpoints) await each.release();
  }
}
