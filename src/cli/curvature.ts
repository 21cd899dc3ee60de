/** curvature: second derivatives of all samples, streamed into a file. */
import { InvalidArgumentError } from "commander";
import { PergradError } from "../errors.js";
import { bindShape } from "../graph/dim.js";
import type { TensorLayout } from "../io/bytes.js";
import { readTensors } from "../io/files.js";
import type { TensorWriter } from "../io/writer.js";
import { meant } from "../meant.js";
import type { NotFinite, NotFiniteSample } from "../program/not-finite.js";
import { Program } from "../program/program.js";
import { Curvature } from "../solvers/curvature.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { type ByParameter, type Want, type Wants, want } from "../wants/want.js";
import { begin, type ComputeOptions, compute, dataOf, floats } from "./compute.js";
import type { Io } from "./io.js";
import type { Progress } from "./progress.js";
import { type DataTask, threadsOf } from "./task.js";
import { flagOf, UsageError } from "./usage.js";

export interface CurvatureCommandOptions extends ComputeOptions {
  readonly want: readonly CurvatureName[];
  readonly vector?: string;
}

/** The results of each sample by parameter, with the prefix before the parameter's name. */
const byParameter = {
  hvp: { prefix: "hvp", make: (vector: ByParameter) => want.hvp({ vector }), vector: true },
  "ggn-product": { prefix: "ggn_vp", make: (vector: ByParameter) => want.ggnProduct({ vector }), vector: true },
  "ggn-diagonal": { prefix: "ggn_diag", make: () => want.ggnDiagonal(), vector: false },
  "hessian-diagonal": { prefix: "hessian_diag", make: () => want.hessianDiagonal(), vector: false },
} as const satisfies Readonly<
  Record<string, { prefix: string; make: (vector: ByParameter) => Want<ByParameter>; vector: boolean }>
>;

type ByParameterName = keyof typeof byParameter;
type CurvatureName = ByParameterName | "hessian-trace" | "ntk" | "ggn-top";

const parameterNames: readonly ByParameterName[] = ["hvp", "ggn-product", "ggn-diagonal", "hessian-diagonal"];
const names: readonly CurvatureName[] = [...parameterNames, "hessian-trace", "ntk", "ggn-top"];

export const curvatureNames = names.join(", ");

/** Reads "hvp,ntk". */
export function curvatureWants(text: string): readonly CurvatureName[] {
  const found = text.split(",").map((each) => {
    const name = names.find((known) => known === each);
    if (name === undefined)
      throw new InvalidArgumentError(
        `it must be a list, separated by commas, of ${curvatureNames}${meant(each, names)}`,
      );
    return name;
  });
  return [...new Set(found)];
}

type Found = (samples: readonly NotFiniteSample[]) => void;

/** Results that need all samples at once, or read them many times. */
interface Later {
  readonly layout: TensorLayout;
  /**
   * Throws NOT_FINITE.
   * @param found takes samples that are not finite
   */
  compute(task: DataTask, options: ComputeOptions, found: Found): Promise<Float32Array>;
}

function later(name: CurvatureName, samples: number): readonly (readonly [string, Later])[] {
  if (name === "ntk") return [["ntk", { layout: floats(samples, samples), compute: tangentKernel }]];
  return name === "ggn-top" ? [["ggn_top", { layout: floats(1), compute: largestEigenvalue }]] : [];
}

async function tangentKernel({ objective, feeds, options: own }: DataTask, options: ComputeOptions, found: Found) {
  const program = await Program.of(objective, { ...own, ...threadsOf(options), want: { ntk: want.ntk() } });
  try {
    const onNotFinite = ({ samples }: NotFinite) => found(samples);
    return (await program.run(feeds, { allowNotFinite: true, onNotFinite, inPlace: true })).ntk.data;
  } finally {
    await program.release();
  }
}

async function largestEigenvalue({ objective, feeds, options: own }: DataTask, options: ComputeOptions) {
  const { memoryBudget, microbatchSize } = options;
  const matrix = await Curvature.of(objective, feeds, {
    ...own,
    ...threadsOf(options),
    ...(memoryBudget === undefined ? {} : { memoryBudget }),
    ...(microbatchSize === undefined ? {} : { microbatchSize }),
    of: "ggn",
  });
  try {
    return Float32Array.from((await matrix.topEigenvalues(1)).values);
  } finally {
    await matrix.release();
  }
}

export async function curvatureOf(
  modelFile: string,
  options: CurvatureCommandOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  const requested = parameterNames.filter((name) => options.want.includes(name));
  requireVector(options, requested);
  refuseBatches(options);
  const task = await begin(modelFile, options, progress, options.vector === undefined ? [] : [options.vector]);
  const vector = options.vector === undefined ? {} : await readVector(options.vector, task);
  const shapes = [...task.objective.parameters].map(([name, { shape }]) => [name, bindShape(shape, 0)] as const);
  const traced = options.want.includes("hessian-trace");
  const wants: Record<string, Want<ByParameter>> = Object.fromEntries(
    requested.map((name) => [name, byParameter[name].make(vector)]),
  );
  const ends = options.want.flatMap((name) => later(name, task.samples));
  const layout = new Map<string, TensorLayout>([
    ...requested.flatMap((name) =>
      shapes.map(([parameter, dims]) => [keyOf(name, parameter), floats(task.samples, ...dims)] as const),
    ),
    ...(traced ? [["hessian_trace", floats(task.samples)] as const] : []),
    ...ends.map(([key, { layout: own }]) => [key, own] as const),
  ]);
  const finish = async (writer: TensorWriter, found: Found) => {
    for (const [key, each] of ends) await writer.write(key, 0, await each.compute(task, options, found));
  };
  // The losses are requested if no other per-sample result is.
  const all = { ...wants, ...(traced ? { trace: want.trace() } : {}) };
  const nothing = Object.keys(all).length === 0;
  await compute<Wants>(task, options, io, progress, {
    want: nothing ? { losses: want.losses() } : all,
    layout,
    take: async (results, from, samples, writer) => {
      for (const name of requested) {
        const found = wants[name] && tensorsOf(results[name]);
        for (const [parameter, dims] of shapes) {
          const size = sizeOf(dims);
          await writer.write(keyOf(name, parameter), from * size, dataOf(found ?? {}, parameter, samples * size));
        }
      }
      if (traced) await writer.write("hessian_trace", from, dataOf(tensorsOf(results.trace), "total", samples));
    },
    finish,
  });
}

function keyOf(name: ByParameterName, parameter: string): string {
  return `${byParameter[name].prefix}/${parameter}`;
}

/** The tangent kernel alone is computed from all samples at once. Throws UsageError. */
function refuseBatches(options: CurvatureCommandOptions): void {
  if (options.want.some((name) => name !== "ntk")) return;
  const given = (["microbatchSize", "memoryBudget"] as const).find((name) => options[name] !== undefined);
  if (given === undefined) return;
  throw new UsageError(`--want ntk computes all samples at once; leave out ${flagOf(given)}.`);
}

function requireVector({ vector }: CurvatureCommandOptions, requested: readonly ByParameterName[]): void {
  const needs = requested.find((name) => byParameter[name].vector);
  if (needs !== undefined && vector === undefined)
    throw new UsageError(
      `--want ${needs} needs a vector; give --vector FILE, which holds "v/PARAMETER" for each parameter.`,
    );
  if (needs === undefined && vector !== undefined)
    throw new UsageError("--vector is for --want hvp and ggn-product; give one of these too, or leave it out.");
}

/**
 * The vector's part for each parameter, in float32. Throws FILE_UNREADABLE, MISSING_TENSOR, SHAPE_MISMATCH, NOT_FINITE.
 */
async function readVector(path: string, { objective }: DataTask): Promise<ByParameter> {
  const tensors = await readTensors(path);
  const known = objective.model.graph.parameters.map(({ name }) => `v/${name}`);
  const unknown = [...tensors.keys()].find((name) => name.startsWith("v/") && !known.includes(name));
  if (unknown !== undefined)
    throw new PergradError(
      "MISSING_TENSOR",
      `"${path}" holds "${unknown}", but the model has no such parameter${meant(unknown, known) || "; leave it out."}`,
    );
  return Object.fromEntries(
    [...objective.parameters].map(([name, { shape }]) => {
      const tensor = tensors.get(`v/${name}`);
      if (!tensor)
        throw new PergradError(
          "MISSING_TENSOR",
          `"${path}" lacks "v/${name}", the part of the vector for the parameter "${name}"; add it.`,
        );
      return [name, inFloat32(tensor, bindShape(shape, 0), `"v/${name}" of "${path}"`)];
    }),
  );
}

function inFloat32({ dims, data }: Tensor, wanted: readonly number[], what: string): Tensor<"float32"> {
  if (dims.length !== wanted.length || dims.some((dim, axis) => dim !== wanted[axis]))
    throw new PergradError(
      "SHAPE_MISMATCH",
      `${what} is [${dims.join(", ")}], but the parameter is [${wanted.join(", ")}]; give it the same shape.`,
    );
  const numbers = Float32Array.from<number | bigint>(data, Number);
  if (!numbers.every(Number.isFinite))
    throw new PergradError("NOT_FINITE", `${what} holds NaN or infinity, so no product would be finite; correct it.`);
  return { dtype: "float32", dims, data: numbers };
}

/** The tensors of a want's result, by name. */
function tensorsOf(result: unknown): ByParameter {
  const found: Record<string, Tensor<"float32">> = {};
  if (typeof result !== "object" || result === null) return found;
  for (const [name, each] of Object.entries(result)) if (isFloat32(each)) found[name] = each;
  return found;
}

function isFloat32(value: unknown): value is Tensor<"float32"> {
  return typeof value === "object" && value !== null && "dtype" in value && value.dtype === "float32";
}
