/** Runs programs on many machines, by an engine that already runs there. In Node only. */
import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import type { Checkpoints } from "../attribution/scores.js";
import type { Dataset } from "../program/given-data.js";
import { objectiveOptions } from "../program/options.js";
import type { Attributed, AttributeOptions } from "./attribution/types.js";
import { addressOf, type RayAddress } from "./ray/address.js";
import type { JobOptions, MapOptions, Mapped, MappedProgram } from "./types.js";

const jobOptions: OptionNames<JobOptions> = {
  out: true,
  microbatchSize: true,
  allowNotFinite: true,
  execution: true,
  ids: true,
  optimization: true,
  signal: true,
  onProgress: true,
};
const mapOptions: OptionNames<MapOptions> = {
  ...jobOptions,
  notFinite: true,
  parameters: true,
  vectors: true,
  maxNorms: true,
  others: true,
  shared: true,
};

const attributeOptions: OptionNames<AttributeOptions> = { ...objectiveOptions, ...jobOptions, method: true };

/** A cluster on which programs run. */
export interface Cluster {
  /** The address of its dashboard. */
  readonly address: RayAddress;
  /**
   * Runs a program over all samples of Parquet files. Each row group is a part; the cluster's workers compute the parts that
   * `out` does not hold yet, each on one CPU. If a call was interrupted, repeat it: it continues where the first one stopped.
   * The program, the names of the folders and the worker's own files are sent to the cluster.
   * @param data a Parquet file, a folder of them, or a glob, on a disk that all nodes share
   * @throws PergradError CLUSTER_UNREACHABLE, CLUSTER_REFUSED (the token), CLUSTER_VERSION, CLUSTER_JOB (with the worker's last
   * sentence), TOO_LARGE (500 MB, with the weights and what is fed beside the data), MISSING_TENSOR, SHAPE_MISMATCH,
   * INVALID_ARGUMENT, FILE_UNREADABLE, and the signal's reason.
   */
  map(program: MappedProgram, data: string, options: MapOptions): Promise<Mapped>;
  /**
   * Computes what each training sample does to the loss of each query, as `attribution.scores` does. The cluster's workers read
   * the training samples from Parquet files, in a few passes of one task for each row group. They write `part-K.parquet` into
   * `out`: a row for each training sample, with its `id` and its `scores`, `[queries]` (float32). If all scores take at most
   * 16 GiB, they are also written to `scores.safetensors`. If a call was interrupted, repeat it: it continues.
   * @param model a model, or several of the same graph
   * @param data the training samples, as `map` takes them
   * @param queries the samples to explain, which this machine computes: a batch, a file's path, or batches
   * @throws PergradError INVALID_ARGUMENT if the method cannot be computed on a cluster, and what `map` and
   * `attribution.scores` throw.
   */
  attribute(model: Checkpoints, data: string, queries: Dataset, options: AttributeOptions): Promise<Attributed>;
}

/**
 * The address of a Ray cluster, which is that of its dashboard: `ray("http://127.0.0.1:8265")`. A token comes from the
 * environment only (`RAY_AUTH_TOKEN`), and goes over plain HTTP to this machine only.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function ray(url: string): RayAddress {
  return addressOf(url);
}

/**
 * A cluster on which programs run: see docs/cluster.md. Nothing is sent before `map` or `attribute` is called.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function cluster(address: RayAddress): Cluster {
  if (typeof address !== "object" || address?.kind !== "ray")
    throw invalidArgument(
      `cluster(address) takes an address such as ray("http://127.0.0.1:8265"), not ${kindOf(address)}; give one.`,
    );
  return {
    address,
    map: async (program, data, options) => {
      checkOptions("map(program, data, options)", options, mapOptions);
      requirePaths("map", data, options.out);
      const { mapOnRay } = await import("./ray/map.js");
      return mapOnRay(address, program, data, options);
    },
    attribute: async (model, data, queries, options) => {
      checkOptions("attribute(model, data, queries, options)", options, attributeOptions);
      requirePaths("attribute", data, options.out);
      const { attributeOnRay } = await import("./ray/attribute.js");
      return attributeOnRay(address, model, data, queries, options);
    },
  };
}

/** Throws INVALID_ARGUMENT. */
function requirePaths(call: string, data: unknown, out: unknown): void {
  if (typeof data === "string" && typeof out === "string") return;
  throw invalidArgument(
    `${call} takes the paths of Parquet files and of a folder, not ${kindOf(data)} and ${kindOf(out)}; give both.`,
  );
}
