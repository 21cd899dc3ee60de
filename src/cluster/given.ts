/** What a job feeds its program beside the data. */
import { invalidArgument } from "../arguments.js";
import { Program } from "../program/program.js";
import type { Tensor } from "../tensor/tensor.js";
import type { GivenToMap, MappedProgram } from "./types.js";

/** What the worker feeds a program beside the data. */
export interface ProgramGiven {
  /** Norms, by the name of the want, or of its group's input. */
  readonly scalars: Readonly<Record<string, number>>;
  /** By the names of the file's inputs. */
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** Where the file must have the parameters' values. */
  readonly weights: "inside" | "inputs";
}

/**
 * Values for a compiled program are checked here. Those for a file are checked by the worker, before it computes anything.
 * @throws PergradError MISSING_TENSOR, SHAPE_MISMATCH, INVALID_ARGUMENT, and what `run` throws on the data of another batch.
 */
export async function givenOf(program: MappedProgram, options: GivenToMap): Promise<ProgramGiven> {
  const { shared = {}, parameters, vectors, maxNorms, others } = options;
  const values = {
    ...(parameters ? { parameters } : {}),
    ...(vectors ? { vectors } : {}),
    ...(maxNorms ? { maxNorms } : {}),
    ...(others ? { others } : {}),
  };
  const own = program instanceof Program ? await program.besideData(values) : ofFile(values);
  return {
    scalars: scalarsOf(values),
    tensors: { ...own, ...shared },
    weights: parameters && program instanceof Program ? "inputs" : "inside",
  };
}

function ofFile({ parameters = {}, vectors = {}, others }: GivenToMap): Record<string, Tensor> {
  if (others)
    throw invalidArgument(
      "A saved program cannot compute what it needs from another batch (others); give the compiled program.",
    );
  const named = Object.entries(vectors).flatMap(([want, each]) =>
    Object.entries(each).map(([parameter, tensor]) => [`${want}/with/${parameter}`, tensor] as const),
  );
  return { ...parameters, ...Object.fromEntries(named) };
}

function scalarsOf({ maxNorms = {} }: GivenToMap): Record<string, number> {
  const named = Object.entries(maxNorms).flatMap(([want, limits]) =>
    typeof limits === "number"
      ? [[want, limits] as const]
      : Object.entries(limits).map(([group, limit]) => [`${want}/at/${group}`, limit] as const),
  );
  return Object.fromEntries(named);
}
