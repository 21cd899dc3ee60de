/** The data file: which of its tensors are fed, and whether they are valid. */
import { open } from "node:fs/promises";
import type { Objective } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import type { TensorLayout } from "../io/bytes.js";
import { readTensors } from "../io/files.js";
import { idsName } from "../io/table.js";
import { FileSource } from "../program/dataset.js";
import { firstNotFinite, type Prepared, prepare } from "../program/feeds.js";
import type { Batch } from "../program/given-data.js";
import { idsIn, type SampleNames } from "../program/sample-names.js";
import { scaledTensors } from "../tensor/scaled.js";
import { takeSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Progress } from "./progress.js";

export type Tensors = ReadonlyMap<string, Tensor>;

/** Reads the data file. Throws FILE_UNREADABLE. */
export async function readData(path: string): Promise<Tensors> {
  return scaledTensors(await readingData(path, () => readTensors(path)));
}

/** Throws what reading throws; if the file is a model instead of data, the error says so. */
export async function readingData<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(await isModel(path))) throw error;
    const advice = "it seems to be a model; give the .safetensors or .npz file with the model's inputs";
    throw new PergradError("FILE_UNREADABLE", `Cannot read "${path}" as data: ${advice}.`, { cause: error });
  }
}

/** Whether a file begins like an ONNX file: with the format's version, field 1 of a protobuf message. */
async function isModel(path: string): Promise<boolean> {
  const file = await open(path).catch(() => undefined);
  if (!file) return false;
  try {
    if (!(await file.stat()).isFile()) return false;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer[0] === 0x08 && (buffer[1] ?? 0) < 0x20;
  } finally {
    await file.close();
  }
}

/** Throws INVALID_ARGUMENT. */
export function requireSamples(dataFile: string, samples: number): void {
  if (samples > 0) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `"${dataFile}" holds no samples, so there is nothing to compute; give a file with samples.`,
  );
}

/** Whether one sample's own data holds NaN or infinity. */
export function hasNotFinite(
  { feeds, objective }: { readonly feeds: Readonly<Record<string, Tensor>>; readonly objective: Objective },
  sample: number,
): boolean {
  return Object.entries(feeds).some(([name, tensor]) => {
    const axis = objective.expected.get(name)?.sampleAxis ?? null;
    return axis !== null && firstNotFinite(takeSamples(tensor, axis, sample, sample + 1), axis) >= 0;
  });
}

/** How many of these samples have data with NaN or infinity. Throws FILE_UNREADABLE. */
export async function countNotFinite(
  dataFile: string,
  objective: Objective,
  samples: readonly number[],
): Promise<number> {
  const { expected } = objective;
  const prepared = (batch: Batch) => prepare(batch, expected, true);
  const source = await FileSource.open(dataFile, { expected, prepare: prepared });
  let count = 0;
  try {
    for (const sample of samples) {
      const { feeds } = prepared(await source.at(Uint32Array.of(sample)));
      if (hasNotFinite({ feeds, objective }, 0)) count++;
    }
  } finally {
    await source.close();
  }
  return count;
}

/** The error of a tensor that is not in the data file. */
export function missing(name: string, data: ReadonlyMap<string, TensorLayout>, dataFile: string): PergradError {
  const what = name === "target" ? "the target" : `the input "${name}"`;
  return new PergradError(
    "MISSING_TENSOR",
    `"${dataFile}" lacks ${what}; add it (the file holds ${listed([...data.keys()])}).`,
  );
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return "no tensors at all";
  const shown = names.slice(0, 12).map((name) => `"${name}"`);
  return shown.join(", ") + (names.length > 12 ? `, ... (${names.length} in all)` : "");
}

/**
 * Checks the inputs in the file against the model, before a loss is added: a wrong input is then reported as such, and
 * not through the output it would lead to. Throws what `prepare` throws.
 */
export function checkInputs(data: Tensors, { graph, sampleAxes }: Model): void {
  const held = graph.inputs.filter(({ name }) => data.has(name));
  const expected = new Map(held.map((value) => [value.name, { value, sampleAxis: sampleAxes[value.name] ?? null }]));
  prepare(Object.fromEntries([...data].filter(([name]) => expected.has(name))), expected, true);
}

/**
 * The feeds for all samples of the file, checked at once so that messages count samples as the file does. Tensors that
 * the model does not use are left out, with a note. Throws what `prepare` and the loss throw.
 */
export function feedsOf(
  data: Tensors,
  dataFile: string,
  objective: Objective,
  allowNotFinite: boolean,
  progress: Progress,
): Prepared & { readonly ids?: SampleNames } {
  const { expected, loss, output } = objective;
  const names = idsIn(data, expected.keys());
  checkNames(data, dataFile, objective, names !== undefined, progress);
  const own = Object.fromEntries([...data].filter(([name]) => expected.has(name)));
  const prepared = prepare(own, expected, allowNotFinite);
  const { target } = prepared.feeds;
  if (target) loss.validate?.(target, output.shape);
  checkIds(names, prepared.samples, dataFile);
  return { ...prepared, ...(names ? { ids: names } : {}) };
}

/** Checks that the file lacks nothing, and notes tensors that the model does not use. Throws MISSING_TENSOR. */
export function checkNames(
  data: ReadonlyMap<string, TensorLayout>,
  dataFile: string,
  { expected }: Objective,
  hasIds: boolean,
  progress: Progress,
): void {
  const absent = [...expected.keys()].find((name) => !data.has(name));
  if (absent !== undefined) throw missing(absent, data, dataFile);
  const extra = [...data.keys()].filter((name) => !expected.has(name) && !(hasIds && name === idsName));
  if (extra.length > 0)
    progress.note(`"${dataFile}" also holds ${listed(extra)}, which neither the model nor the loss reads.`);
}

/** Throws BATCH_MISMATCH. */
export function checkIds(ids: SampleNames | undefined, samples: number, dataFile: string): void {
  if (!ids || ids.names.length === samples) return;
  throw new PergradError(
    "BATCH_MISMATCH",
    `The tensor "ids" of "${dataFile}" has ${ids.names.length} names for ${samples} samples; give one for each.`,
  );
}
