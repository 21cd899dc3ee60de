/** attribute --ray: scores of training samples that a cluster's workers read, as parts in a folder. */
import { join } from "node:path";
import { cluster } from "../cluster/cluster.js";
import { writeTensors } from "../io/files.js";
import { type AttributeOptions, checkpointsIn, dampingsIn } from "./attribute.js";
import type { Io } from "./io.js";
import { methodOf, requireFitting } from "./method-options.js";
import { addressOf, followed, requireFolders } from "./on-cluster.js";
import type { Progress } from "./progress.js";
import { dataTaskOf } from "./task.js";
import { UsageError } from "./usage.js";

/**
 * The queries are read and computed here; sizes that the model leaves open are taken from them. Throws UsageError, and
 * what `attribute` throws.
 */
export async function attributeOnCluster(
  modelFile: string,
  files: readonly string[],
  options: AttributeOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  const { out, data, microbatchSize, allowNotFinite, execution, ids } = options;
  requireFitting(options);
  requireOnCluster(options);
  if (data === undefined)
    throw new UsageError("--ray needs the training samples; give --data, a folder or a glob of Parquet files.");
  const workers = cluster(addressOf(options));
  requireFolders(data, out);
  const task = await dataTaskOf(modelFile, { ...options, data: options.query }, progress);
  const models = await checkpointsIn(files, task.model, options, progress);
  const method = await methodOf(options);
  progress.stage("handing in");
  const done = await followed({ out }, io, progress, (following) =>
    workers.attribute(models, data, task.feeds, {
      ...task.options,
      ...following,
      method,
      out,
      ...(microbatchSize === undefined ? {} : { microbatchSize }),
      ...(allowNotFinite ? { allowNotFinite } : {}),
      ...(execution ? { execution } : {}),
      ...(ids === undefined ? {} : { ids }),
    }),
  );
  if (!done) return;
  for (const each of done.notes ?? []) progress.note(each);
  if (task.ids) await writeTensors(join(out, "queries.safetensors"), { query_ids: task.ids.tensor });
  io.stdout.write(
    `wrote ${out}: ${done.queries} queries, ${done.samples} training samples, ${models.length} models, ${done.parts} parts${dampingsIn(done.dampings)}\n`,
  );
}

/** Throws UsageError. */
function requireOnCluster({ train, self, leaveOut }: AttributeOptions): void {
  if (train !== undefined) throw new UsageError("With --ray, --data holds the training samples, so leave out --train.");
  if (self) throw new UsageError("--self cannot be computed on a cluster; leave out --self or --ray.");
  if (leaveOut) throw new UsageError("--leave-out cannot be computed on a cluster; leave out --leave-out or --ray.");
}
