/** Jobs as the worker reads them: `python/pergrad_worker/tasks.py`. */
import { resolve } from "node:path";
import type { Zippable } from "fflate";
import { encodeSafetensors } from "../io/safetensors.js";
import type { Tensor } from "../tensor/tensor.js";
import { besideOf } from "./given.js";
import { programFiles } from "./package.js";
import type { JobOptions, MapOptions, MappedProgram } from "./types.js";

/** What is to be done, and the files that it takes. */
export interface Job {
  /** As `job.json` holds it. */
  readonly job: {
    readonly data: string;
    readonly out: string;
    readonly settings: Readonly<Record<string, unknown>>;
    /** Of a sample of the data set: so many at most. */
    readonly most?: number;
    /** Of scores: what they are made of. */
    readonly scores?: object;
  };
  readonly files: Zippable;
}

/** A program over all row groups. Throws what `besideOf` throws, FILE_UNREADABLE. */
export async function mapJob(
  program: MappedProgram,
  data: string,
  options: MapOptions & { readonly gram?: readonly string[] },
): Promise<Job> {
  const { scalars, tensors, weights } = await besideOf(program, options);
  const { notFinite, gram } = options;
  const given = givenFile("given.safetensors", tensors);
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

/** The settings of all kinds of work. */
export function settingsOf({ microbatchSize, allowNotFinite, execution, ids, optimization }: JobOptions) {
  return {
    ...(microbatchSize === undefined ? {} : { batch_size: microbatchSize }),
    ...(allowNotFinite === undefined ? {} : { allow_not_finite: allowNotFinite }),
    ...(execution === undefined ? {} : { execution }),
    ...(ids === undefined ? {} : { ids }),
    ...(optimization === undefined ? {} : { optimization }),
  };
}

/** Tensors as a file; none where there are none. */
export function givenFile(name: string, tensors: Readonly<Record<string, Tensor>>): Zippable {
  return Object.keys(tensors).length === 0 ? {} : { [name]: encodeSafetensors(tensors) };
}
