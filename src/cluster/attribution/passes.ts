/** Passes of a cluster's workers over the training data; this machine reads their results. */
import { join } from "node:path";
import type { Checkpoint } from "../../attribution/checkpoint.js";
import { PergradError } from "../../errors.js";
import { readTensors } from "../../io/files.js";
import type { OverData } from "../../solvers/kronecker-parts.js";
import { floatsIn, sizeOf, type Tensor } from "../../tensor/tensor.js";
import { type Results, readWants, type Wants } from "../../wants/wanted.js";
import { mapJob, settingsOf } from "../job.js";
import { programFiles } from "../package.js";
import type { JobOptions, Mapped, MappedProgram } from "../types.js";
import type { RunJob } from "./types.js";

/** The most samples on which a damping is measured. */
export const mostSamples = 1500;

export class Passes {
  #sampled: Promise<string> | undefined;

  constructor(
    private readonly run: RunJob,
    /** Parquet files. */
    private readonly data: string,
    private readonly options: JobOptions,
  ) {}

  /** Runs a program over all training samples; the results go into a folder of this name. */
  async map(
    name: string,
    program: MappedProgram,
    more: { readonly gram?: readonly string[] } = {},
  ): Promise<Mapped & { readonly sums: ReadonlyMap<string, Tensor> }> {
    const own = { ...this.options, out: join(this.options.out, name) };
    // As on one machine, a gradient that is not finite is an error.
    const done = await this.run(await mapJob(program, this.data, { ...own, ...more, notFinite: "throw" }), own);
    return { ...done, sums: await readTensors(join(own.out, "sums.safetensors")) };
  }

  /** Computes wants over the training samples that are sums or means. @param name the folder of each pass, from 0 */
  over(name: (pass: number) => string, checkpoint: Checkpoint): OverData {
    let pass = 0;
    return async (_, wants) => {
      const program = await checkpoint.program(wants);
      try {
        const { sums, samples } = await this.map(name(pass++), program);
        return readBy(wants, sums, samples);
      } finally {
        await program.release();
      }
    };
  }

  /** The path of a file with a few training samples, evenly spaced. */
  sampled(program: MappedProgram): Promise<string> {
    this.#sampled ??= this.#sample(program);
    return this.#sampled;
  }

  async #sample(program: MappedProgram): Promise<string> {
    const out = join(this.options.out, "samples");
    const { allow_not_finite, ids } = settingsOf(this.options);
    const settings = { allow_not_finite, ids };
    const job = { data: this.data, out, most: mostSamples, settings };
    await this.run({ job, files: await programFiles(program) }, { ...this.options, out });
    return join(out, "samples.safetensors");
  }
}

/** Reads wants from sums, which are float64 in the file; wants read float32. */
function readBy<W extends Wants>(wants: W, sums: ReadonlyMap<string, Tensor>, samples: number): Results<W> {
  const returnedFor = (want: string) => {
    const own: Record<string, Tensor> = {};
    for (const [name, tensor] of sums)
      if (name.startsWith(`${want}/`)) own[name.slice(want.length + 1)] = inFloat32(name, tensor);
    return own;
  };
  return readWants(wants, returnedFor, samples);
}

/** Throws FILE_UNREADABLE. */
function inFloat32(name: string, { dims, data }: Pick<Tensor, "dims" | "data">): Tensor<"float32"> {
  if (data.length !== sizeOf(dims))
    throw new PergradError(
      "FILE_UNREADABLE",
      `The sums hold "${name}" with a size that does not match its dims; compute them again.`,
    );
  return { dtype: "float32", dims, data: Float32Array.from(floatsIn({ data })) };
}
