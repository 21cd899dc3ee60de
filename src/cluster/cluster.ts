/** Programs on many machines, on an engine that runs there already. In Node alone. */
import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import { addressOf, type RayAddress } from "./ray/address.js";
import type { MapOptions, Mapped, MappedProgram } from "./types.js";

const mapOptions: OptionNames<MapOptions> = {
  out: true,
  microbatchSize: true,
  allowNotFinite: true,
  notFinite: true,
  signal: true,
  onProgress: true,
  parameters: true,
  vectors: true,
  maxNorms: true,
  others: true,
  shared: true,
};

/** A cluster that runs programs. */
export interface Cluster {
  /** Where it is. */
  readonly address: RayAddress;
  /**
   * Runs a program over all samples of Parquet files: each row group is a part, and the parts that `out` does not hold yet are
   * computed by the cluster's workers, each on one CPU. So a call that was interrupted, given again, goes on. What is sent is
   * the program, the names of the folders and the worker's own files.
   * @param data a Parquet file, a folder of them, or a glob, on a disk that all nodes share
   * @throws PergradError CLUSTER_UNREACHABLE, CLUSTER_REFUSED (the token), CLUSTER_VERSION, CLUSTER_JOB (with the worker's last
   * sentence), TOO_LARGE (500 MB with its weights and what is fed beside the data), MISSING_TENSOR, SHAPE_MISMATCH,
   * INVALID_ARGUMENT, FILE_UNREADABLE, and the signal's reason.
   */
  map(program: MappedProgram, data: string, options: MapOptions): Promise<Mapped>;
}

/**
 * A Ray cluster, by the address of its dashboard: `ray("http://127.0.0.1:8265")`. A token is read from the environment
 * (`RAY_AUTH_TOKEN`) alone, and is sent over plain HTTP to this machine only.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function ray(url: string): RayAddress {
  return addressOf(url);
}

/** See docs/cluster.md. Throws INVALID_ARGUMENT. */
export function cluster(address: RayAddress): Cluster {
  if (typeof address !== "object" || address?.kind !== "ray")
    throw invalidArgument(`cluster(address) takes ray("http://127.0.0.1:8265"), not ${kindOf(address)}; write that.`);
  return {
    address,
    map: async (program, data, options) => {
      checkOptions("map(program, data, options)", options, mapOptions);
      if (typeof data !== "string" || typeof options.out !== "string")
        throw invalidArgument(
          `map takes the paths of Parquet files and of a folder, not ${kindOf(data)} and ${kindOf(options.out)}; give both.`,
        );
      const { mapOnRay } = await import("./ray/map.js");
      return mapOnRay(address, program, data, options);
    },
  };
}
