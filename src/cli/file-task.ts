/** A task whose data stays in its file, which is read batch by batch. */
import { targetName } from "../compile/objective.js";
import { bindShape } from "../graph/dim.js";
import type { Expected, Model } from "../graph/model.js";
import type { TensorLayout } from "../io/bytes.js";
import { openTensorFile } from "../io/files.js";
import { idsName } from "../io/table.js";
import type { TensorFile } from "../io/tensor-file.js";
import { FileSource } from "../program/dataset.js";
import { prepare } from "../program/feeds.js";
import type { Batch } from "../program/given-data.js";
import { idsIn, type SampleNames } from "../program/sample-names.js";
import { offsetName, scaleName } from "../tensor/scaled.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { checkIds, checkNames, readingData, requireSamples } from "./data.js";
import { lossOf } from "./loss.js";
import type { Progress } from "./progress.js";
import { modelKnowing, mostShared, type Task, type TaskOptions, withLoss } from "./task.js";

/** A task and its data file; the first sample of the file has been checked. */
export interface FileTask extends Task {
  readonly dataFile: string;
  readonly samples: number;
  /** The names that the file gives its samples. */
  readonly ids?: SampleNames;
}

/** What is known about a file besides the numbers of its samples. */
interface Known {
  /** Without the scales of other tensors. */
  readonly layout: ReadonlyMap<string, TensorLayout>;
  readonly small: ReadonlyMap<string, Tensor>;
  readonly ids?: Tensor;
}

/**
 * Throws UsageError, and what reading, tracing and `prepare` throw.
 * @param finite whether to search all samples for NaN and infinity
 */
export async function fileTaskOf(
  modelFile: string,
  options: TaskOptions & { readonly data: string },
  progress: Progress,
  finite = false,
): Promise<FileTask> {
  const { data: dataFile } = options;
  const chosen = lossOf(options);
  let known: Known = { layout: new Map(), small: new Map() };
  const { model, fixed } = await modelKnowing(modelFile, options, progress, async () => {
    known = await readingData(dataFile, () => knownOf(dataFile));
    return known;
  });
  const layout = new Map([...known.layout].filter(([name]) => !fixed.has(name)));
  await checkFirst(dataFile, inputsOf(model, layout));
  const task = withLoss({ model, fixed }, options, chosen, layout.get(targetName));
  const { objective } = task;
  for (const each of objective.notes) progress.note(each);
  const ids = known.ids && idsIn(new Map([[idsName, known.ids]]), objective.expected.keys());
  checkNames(layout, dataFile, objective, ids !== undefined, progress);
  const samples = await checkFirst(dataFile, objective.expected);
  requireSamples(dataFile, samples);
  checkIds(ids, samples, dataFile);
  if (finite) await checkAll(dataFile, objective.expected);
  return { ...task, dataFile, samples, ...(ids ? { ids } : {}) };
}

async function knownOf(path: string): Promise<Known> {
  const file = await openTensorFile(path);
  try {
    const layout = unscaled(file);
    const small = new Map<string, Tensor>();
    for (const [name, { dims }] of layout) if (sizeOf(dims) <= mostShared) small.set(name, await file.read(name));
    return { layout, small, ...(layout.has(idsName) ? { ids: await file.read(idsName) } : {}) };
  } finally {
    await file.close();
  }
}

/** The scale or offset of bytes does not count as a tensor of its own. */
function unscaled({ layout }: TensorFile): ReadonlyMap<string, TensorLayout> {
  const scaled = [...layout].filter(([name, { dtype }]) => dtype === "uint8" && layout.has(scaleName(name)));
  const taken = new Set(scaled.flatMap(([name]) => [scaleName(name), offsetName(name)]));
  return new Map([...layout].filter(([name]) => !taken.has(name)));
}

/** Reports a wrong input as such, before a loss is added to the model. */
function inputsOf(
  { graph, sampleAxes }: Model,
  layout: ReadonlyMap<string, TensorLayout>,
): ReadonlyMap<string, Expected> {
  const held = graph.inputs.filter(({ name }) => layout.has(name));
  return new Map(held.map((value) => [value.name, { value, sampleAxis: sampleAxes[value.name] ?? null }]));
}

/** The number of samples. Throws what `prepare` throws for the first one. */
async function checkFirst(path: string, expected: ReadonlyMap<string, Expected>): Promise<number> {
  const prepared = (batch: Batch) => prepare(batch, expected, true);
  const source = await FileSource.open(path, { expected, prepare: prepared });
  try {
    if (source.total > 0) prepared(await source.at(Uint32Array.of(0)));
    return source.total;
  } finally {
    await source.close();
  }
}

/** The number of elements that are checked at a time. */
const numbersAtOnce = 2 ** 20;

/** Throws what `prepare` throws, NaN and infinity included. */
async function checkAll(path: string, expected: ReadonlyMap<string, Expected>): Promise<void> {
  const source = await FileSource.open(path, { expected, prepare: (batch) => prepare(batch, expected, false) });
  const each = [...expected.values()].reduce((sum, { value }) => sum + sizeOf(bindShape(value.shape, 1)), 0);
  try {
    for await (const _ of source.pieces(Math.max(1, Math.floor(numbersAtOnce / Math.max(1, each)))));
  } finally {
    await source.close();
  }
}
