/** Jobs as the worker reads them: `python/pergrad_worker/tasks.py`. */
import { resolve } from "node:path";
import type { Zippable } from "fflate";
import { encodeSafetensors } from "../io/safetensors.js";
import type { Tensor } from "../tensor/tensor.js";
import { givenOf } from "./given.js";
import { programFiles } from "./package.js";
import type { JobOptions, MapOptions, MappedProgram } from "./types.js";

/** A job, and the files that it needs. */
export interface Job {
  /** The content of `job.json`. */
  readonly job: {
    readonly data: string;
    readonly out: string;
    readonly settings: Readonly<Record<string, unknown>>;
    /** If the job picks a few samples of the data set: how many at most. */
    readonly most?: number;
    /** If the job computes scores: what they are made of. */
    readonly scores?: object;
  };
  readonly files: Zippable;
}

/** Runs a program over all row groups. Throws what `givenOf` throws, FILE_UNREADABLE. */
export async function mapJob(
  program: MappedProgram,
  data: string,
  options: MapOptions & { readonly gram?: readonly string[] },
): Promise<Job> {
  const { scalars, tensors, weights } = await givenOf(program, options);
  const { notFinite, gram } = options;
  const given = tensorFile("given.safetensors", tensors);
  const settings = {
    ...settingsOf(options),
    ...(notFinite === undefined ? {} : { not_finite: notFinite }),
    ...(Object.keys(scalars).length === 0 ? {} : { scalars }),
    ...(gram ? { gram } : {}),
    ...(Object.keys(given).length === 0 ? {} : { files: Object.keys(given) }),
  };
  return {
    job: { data: resolve(data), out: resolve(options.out), settings },
    files: { ...(await programFiles(program, weights)), ...given },
  };
}

/** The settings that every kind of job takes, under the names that the worker has for them. */
export function settingsOf({ microbatchSize, allowNotFinite, execution, ids, optimization }: JobOptions) {
  return {
    ...(microbatchSize === undefined ? {} : { batch_size: microbatchSize }),
    ...(allowNotFinite === undefined ? {} : { allow_not_finite: allowNotFinite }),
    ...(execution === undefined ? {} : { execution }),
    ...(ids === undefined ? {} : { ids }),
    ...(optimization === undefined ? {} : { optimization }),
  };
}

/** Tensors as one file; no file if there are none. */
export function tensorFile(name: string, tensors: Readonly<Record<string, Tensor>>): Zippable {
  return Object.keys(tensors).length === 0 ? {} : { [name]: encodeSafetensors(tensors) };
}
