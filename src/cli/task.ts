/** What all commands start with: the model, the data and the loss together. */
import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { ModelProto } from "onnx-buf";
import { type Objective, type ObjectiveOptions, objectiveOf, targetName } from "../compile/objective.js";
import { type ErrorCode, PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import type { TensorLayout } from "../io/bytes.js";
import type { FixedValue } from "../onnx/read/batch/fixed-inputs.js";
import type { LoadOptions } from "../onnx/read/load-options.js";
import { parseFile, readModel } from "../onnx/read/model-file.js";
import { modelOf } from "../onnx/read/model-of.js";
import { replaceBatchNorm } from "../privacy/batch-norm.js";
import type { SampleNames } from "../program/sample-names.js";
import { pageFiles, requireOwnFiles } from "../report/write.js";
import { isFloat, type Tensor } from "../tensor/tensor.js";
import { checkInputs, feedsOf, readData, requireSamples, type Tensors } from "./data.js";
import { type LossOptions, lossOf } from "./loss.js";
import { openDimensions } from "./open-dimensions.js";
import type { Progress } from "./progress.js";
import { UsageError } from "./usage.js";

/** Options of all commands, as commander returns them. */
export interface TaskOptions extends LossOptions {
  readonly data?: string;
  readonly sampleAxis?: ReadonlyMap<string, number | null>;
  readonly dim?: ReadonlyMap<string, number>;
  readonly fix?: ReadonlyMap<string, FixedValue>;
  readonly tie?: boolean;
  readonly strict?: boolean;
  readonly parameters?: readonly string[];
  readonly frozen?: readonly string[];
  readonly allowNotFinite?: boolean;
  readonly replaceBatchNorm?: boolean;
  readonly threads?: number;
}

export function threadsOf({ threads }: Pick<TaskOptions, "threads">): { readonly threads?: number } {
  return threads === undefined ? {} : { threads };
}

/** A model with its loss. */
export interface Task {
  readonly model: Model;
  readonly objective: Objective;
  readonly options: ObjectiveOptions;
}

/** A task with its data. */
export interface DataTask extends Task {
  readonly dataFile: string;
  /** All samples of the file, converted and checked. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly samples: number;
  /** The names that the file gives its samples. */
  readonly ids?: SampleNames;
}

/** Throws UsageError, and what reading and tracing throw. */
export async function taskOf(
  modelFile: string,
  options: TaskOptions,
  progress: Progress,
): Promise<Task & { data?: Tensors }> {
  const chosen = lossOf(options);
  const { data, ...task } = await modelTaskOf(modelFile, options, progress);
  return { ...withLoss(task, options, chosen, data?.get(targetName)), ...(data ? { data } : {}) };
}

/** Throws UsageError, and what tracing throws. */
export function withLoss(
  { model, fixed }: ModelTask,
  options: TaskOptions,
  { loss, output }: ReturnType<typeof lossOf>,
  target: TensorLayout | undefined,
): Task {
  const outputAxis = outputSampleAxis(model, output, options, fixed);
  const objectiveOptions: ObjectiveOptions = {
    loss,
    ...(output === undefined ? {} : { output }),
    ...(outputAxis === undefined ? {} : { outputSampleAxis: outputAxis }),
    ...(target
      ? { target: { dtype: target.dtype, shape: target.dims.map((dim, axis) => (axis === 0 ? "N" : dim)) } }
      : {}),
    ...(options.parameters ? { parameters: options.parameters } : {}),
    ...(options.frozen ? { frozen: options.frozen } : {}),
  };
  return { model, objective: objectiveOf(model, objectiveOptions), options: objectiveOptions };
}

/** A model without a loss. */
export interface ModelTask {
  readonly model: Model;
  readonly data?: Tensors;
  /** The inputs that are fixed to constants. */
  readonly fixed: ReadonlySet<string>;
}

/** Throws what reading throws. */
export async function modelTaskOf(
  modelFile: string,
  options: Omit<TaskOptions, "loss">,
  progress: Progress,
): Promise<ModelTask> {
  let held: Tensors | undefined;
  const { model, fixed } = await modelKnowing(modelFile, options, progress, async () => {
    held = options.data === undefined ? undefined : await readData(options.data);
    return held && { layout: held, small: held };
  });
  const data = held && new Map([...held].filter(([name]) => !fixed.has(name)));
  if (data) checkInputs(data, model);
  return { model, fixed, ...(data ? { data } : {}) };
}

/** The parts of the data that a model may depend on. */
export interface KnownData {
  /** How all tensors are laid out. */
  readonly layout: ReadonlyMap<string, TensorLayout>;
  /** At least those with few elements. */
  readonly small: Tensors;
}

/** Reads a model whose course may depend on some of the data. Throws what reading throws. */
export async function modelKnowing(
  modelFile: string,
  options: Omit<TaskOptions, "loss">,
  progress: Progress,
  readKnown: () => Promise<KnownData | undefined>,
): Promise<Omit<ModelTask, "data">> {
  progress.stage("reading");
  const bytes = await readModel(modelFile);
  refuseTensors(bytes, modelFile);
  const known = await readKnown();
  const { loaded, fixed } = await load(bytes, modelFile, options, known);
  for (const name of options.fix?.keys() ?? []) {
    if (known?.layout.has(name))
      progress.note(
        `"${options.data}" also holds "${name}", which --fix makes a constant; the data is not used for it.`,
      );
  }
  const model = options.replaceBatchNorm ? replaceBatchNorm(loaded) : loaded;
  return { model, fixed };
}

/** The same with data, which must be given. */
export async function dataTaskOf(
  modelFile: string,
  options: TaskOptions & { readonly data: string },
  progress: Progress,
): Promise<DataTask> {
  const { data = new Map(), ...task } = await taskOf(modelFile, options, progress);
  for (const each of task.objective.notes) progress.note(each);
  const own = feedsOf(data, options.data, task.objective, options.allowNotFinite ?? false, progress);
  requireSamples(options.data, own.samples);
  return { ...task, dataFile: options.data, ...own };
}

/** Distinguishes a data file in the model's place from a broken model. */
function refuseTensors(bytes: Uint8Array, fileName: string): void {
  const json = bytes.length > 9 && bytes[8] === 0x7b && (bytes[9] === 0x22 || bytes[9] === 0x7d);
  if (!json && !/\.(safetensors|npz|npy)$/i.test(fileName)) return;
  const advice =
    "the model comes first and the tensors come with --data: pergrad COMMAND MODEL.onnx --data DATA.safetensors";
  throw new PergradError("NOT_ONNX", `"${fileName}" holds tensors, not a model; ${advice}.`);
}

interface Loaded {
  readonly loaded: Model;
  /** The inputs that are fixed to constants. */
  readonly fixed: ReadonlySet<string>;
}

/**
 * Open dimensions that no option sets are taken from the data. So are small inputs that all samples share, if the model
 * cannot be followed without their value.
 */
async function load(
  bytes: Uint8Array,
  fileName: string,
  options: Omit<TaskOptions, "loss">,
  known: KnownData | undefined,
): Promise<Loaded> {
  const inputs = [...(options.sampleAxis ?? [])].filter(([name]) => name !== "output");
  const given: LoadOptions = {
    sampleAxes: Object.fromEntries(inputs),
    dimensions: Object.fromEntries(options.dim ?? []),
    fix: Object.fromEntries(options.fix ?? []),
    ...(options.parameters ? { parameters: options.parameters } : {}),
    ...(options.tie === undefined ? {} : { tie: options.tie }),
    ...(options.strict === undefined ? {} : { strict: options.strict }),
  };
  const proto = await parseFile(bytes, fileName);
  const read = (chosen: LoadOptions): Model => {
    try {
      return modelOf(proto, fileName, chosen);
    } catch (error) {
      if (!known || !isOf(error, "UNKNOWN_SHAPE")) throw error;
      const dimensions = openDimensions(bytes, fileName, known.layout, options.data ?? "", chosen);
      return modelOf(proto, fileName, { ...chosen, dimensions });
    }
  };
  try {
    return { loaded: read(given), fixed: new Set(Object.keys(given.fix ?? {})) };
  } catch (error) {
    if (!known || !isOf(error, "UNKNOWN_SHAPE", "UNSUPPORTED_OP")) throw error;
    const found = sharedInData(proto, known.small, given);
    if (found.size === 0) throw error;
    const fix = { ...given.fix, ...Object.fromEntries(found) };
    const loaded = attempt(() => read({ ...given, fix }));
    if (!loaded) throw error;
    return {
      loaded: { ...loaded, notes: [...loaded.notes, ...[...found].map(([name, tensor]) => takenNote(name, tensor))] },
      fixed: new Set(Object.keys(fix)),
    };
  }
}

function isOf(error: unknown, ...codes: readonly ErrorCode[]): error is PergradError {
  return error instanceof PergradError && codes.includes(error.code);
}

function attempt(read: () => Model): Model | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof PergradError) return null;
    throw error;
  }
}

/** Whole numbers with up to this many elements may decide what a model does, as a sampling rate does. */
export const mostShared = 16;

function sharedInData(
  { graph }: ModelProto,
  data: Tensors,
  { sampleAxes = {}, fix = {} }: LoadOptions,
): Map<string, Tensor> {
  const stored = new Set(graph?.initializer.map(({ name }) => name));
  const found = (graph?.input ?? []).flatMap(({ name }): [string, Tensor][] => {
    const tensor = data.get(name);
    if (!tensor || stored.has(name) || Object.hasOwn(fix, name) || isFloat(tensor.dtype)) return [];
    const shared = tensor.dims.length === 0 || sampleAxes[name] === null;
    return shared && tensor.data.length <= mostShared ? [[name, tensor]] : [];
  });
  return new Map(found);
}

function takenNote(name: string, { data }: Tensor): string {
  const value = Array.from<number | bigint>(data).join(",");
  return `The input "${name}" decides what the model computes, so it is fixed to its value in the data (--fix ${name}=${value}).`;
}

/** The given axis of the output that the loss reads, by the output's name or as "output". */
function outputSampleAxis(
  model: Model,
  chosen: string | undefined,
  options: TaskOptions,
  fixed: ReadonlySet<string>,
): number | undefined {
  const output = model.graph.outputs.find(({ name }) => name === chosen) ?? model.graph.outputs[0];
  const inputs = new Set([...fixed, ...model.graph.inputs.map(({ name }) => name)]);
  let found: number | undefined;
  for (const [name, axis] of options.sampleAxis ?? []) {
    if (inputs.has(name) || !output) continue;
    if (name !== "output" && name !== output.name) {
      throw new UsageError(
        `--sample-axis ${name}=${axis ?? "shared"} names an output that the loss does not read; name "${output.name}" instead.`,
      );
    }
    if (axis === null)
      throw new UsageError(
        `--sample-axis ${name}=shared is impossible, because the output must hold the samples; give their axis.`,
      );
    found = axis < 0 ? axis + output.value.shape.length : axis;
  }
  return found;
}

/**
 * Refuses, before the work begins, an output that could not be written in the end, or that would overwrite an input.
 * @throws PergradError FILE_UNWRITABLE, UsageError.
 */
export async function checkOut(out: string, inputs: readonly string[], option = "--out"): Promise<void> {
  const own = await stat(out).catch(() => undefined);
  const folder = await stat(dirname(out)).catch(() => undefined);
  const problem = own?.isDirectory()
    ? "it is a directory, so give the name of a file"
    : folder?.isDirectory()
      ? undefined
      : "its folder does not exist";
  if (problem !== undefined) throw new PergradError("FILE_UNWRITABLE", `Cannot write "${out}": ${problem}.`);
  if (!own) return;
  for (const input of inputs) {
    const other = await stat(input).catch(() => undefined);
    if (other?.ino === own.ino && other.dev === own.dev && own.isFile()) {
      throw new UsageError(
        `${option} "${out}" is the same file as the input "${input}"; give the result a name of its own.`,
      );
    }
  }
}

/**
 * The same for a page, and for the files with its numbers. If `out` is one of these, it is written in that file's place.
 * @returns that file
 */
export async function checkPage(
  page: string,
  inputs: readonly (string | undefined)[],
  out?: string,
): Promise<string | undefined> {
  const files = pageFiles(page);
  for (const file of files) {
    await checkOut(
      file,
      inputs.filter((each) => each !== undefined),
      "--report",
    );
  }
  const same = out === undefined ? undefined : files.find((file) => resolve(file) === resolve(out));
  await requireOwnFiles(page, same);
  return same;
}
