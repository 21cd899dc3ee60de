/** predict: the model's outputs for a data file. */
import { predictionsOf } from "../cleaning/by-class.js";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import { type Column, samplesColumns } from "../io/column.js";
import { formatToWrite, writeTensors } from "../io/files.js";
import { checkTable, idsName, standardOutput, tableFormat, writeTable } from "../io/table.js";
import { present } from "../present.js";
import { outputAxes, predict } from "../program/predict.js";
import { idsIn } from "../program/sample-names.js";
import { joinSamples, takeSamples } from "../tensor/take-samples.js";
import { floatsIn, isFloat, sizeOf, type Tensor, tensorWith } from "../tensor/tensor.js";
import { checkIds, requireSamples } from "./data.js";
import type { Io } from "./io.js";
import type { Progress } from "./progress.js";
import { checkOut, modelTaskOf, type TaskOptions } from "./task.js";

export interface PredictCommandOptions extends Omit<TaskOptions, "loss"> {
  readonly data: string;
  readonly out: string;
  readonly output?: string;
  readonly microbatchSize?: number;
}

export async function predictions(
  modelFile: string,
  options: PredictCommandOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  const { out, output, microbatchSize, allowNotFinite } = options;
  if (out !== standardOutput) await checkOut(out, [modelFile, options.data]);
  await checkTable(out);
  const { model, data = new Map<string, Tensor>() } = await modelTaskOf(modelFile, options, progress);
  const names = model.graph.inputs.map(({ name }) => name);
  const ids = idsIn(data, names);
  const inputs = Object.fromEntries([...data].filter(([name]) => names.includes(name)));
  const counts = names.flatMap((name) => {
    const axis = model.sampleAxes[name] ?? null;
    return axis === null ? [] : [inputs[name]?.dims[axis] ?? 1];
  });
  const samples = Math.min(...counts);
  requireSamples(options.data, samples);
  checkIds(ids, samples, options.data);
  progress.stage("samples");
  const found = await predict(model, inputs, {
    ...(output === undefined ? {} : { outputs: [output] }),
    ...(microbatchSize === undefined ? {} : { microbatchSize }),
    ...(allowNotFinite === undefined ? {} : { allowNotFinite }),
    onProgress: (samples) => progress.update(samples),
  });
  const tensors = isTensorFile(out);
  if (tensors) await writeTensors(out, ids && !(idsName in found) ? { ...found, [idsName]: ids.tensor } : found);
  else await writeTable(out, columnsOf(samplesFirst(model, found), out, ids?.names), (text) => io.stdout.write(text));
  progress.stop();
  if (out === standardOutput) return;
  const list = Object.entries(found).map(([name, { dims }]) => `"${name}" [${dims.join(", ")}]`);
  io.stdout.write(`wrote ${out}: ${list.join(", ")}\n`);
}

function isTensorFile(path: string): boolean {
  return path !== standardOutput && ["safetensors", "npz"].includes(tableFormat(path)) && formatToWrite(path) !== "npy";
}

/** The outputs with their sample axis in front. */
function samplesFirst(model: Model, found: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const axes = outputAxes(model, Object.keys(found));
  return Object.fromEntries(
    Object.entries(found).map(([name, tensor]) => {
      const { axis } = present(axes.get(name));
      if (axis === 0) return [name, tensor];
      const samples = tensor.dims[axis] ?? 0;
      const dims = [1, ...tensor.dims.filter((_, k) => k !== axis)];
      const rows = Array.from({ length: samples }, (_, n) =>
        tensorWith(tensor.dtype, dims, takeSamples(tensor, axis, n, n + 1).data),
      );
      return [name, joinSamples(rows, 0)];
    }),
  );
}

/** The most numbers per sample of one output for which a table has columns. */
const mostColumns = 1000;

/** A column for each number of a sample; for scores of classes, also the class with the largest one. */
function columnsOf(found: Readonly<Record<string, Tensor>>, out: string, ids?: readonly string[]): Column[] {
  const samples = Object.values(found)[0]?.dims[0] ?? 0;
  const columns: Column[] = samplesColumns(samples, ids);
  for (const [name, tensor] of Object.entries(found)) {
    const size = sizeOf(tensor.dims.slice(1));
    if (tensor.dims[0] !== samples || size > mostColumns)
      throw new PergradError(
        "FILE_UNWRITABLE",
        `Cannot write "${out}": the output "${name}" [${tensor.dims.join(", ")}] is no table of up to ${mostColumns} columns with the samples first, so write a .safetensors or .npz file, or choose another output with --output.`,
      );
    if (isFloat(tensor.dtype) && tensor.dims.length === 2 && size > 1)
      columns.push({ name: `${name}.largest`, values: predictionsOf(floatsIn(tensor), size) });
    for (let k = 0; k < size; k++)
      columns.push({ name: tensor.dims.length === 1 ? name : `${name}.${k}`, values: columnOf(tensor, size, k) });
  }
  return columns;
}

/** Number `k` of each sample, as exactly as the tensor holds it. */
function columnOf({ data }: Tensor, size: number, k: number): Column["values"] {
  const cells = Array.from({ length: data.length / size }, (_, n) => data[n * size + k] ?? null);
  if (data instanceof Float32Array) return Float32Array.from(cells, Number);
  return data instanceof Int32Array || data.BYTES_PER_ELEMENT < 4 ? Int32Array.from(cells, Number) : cells;
}
