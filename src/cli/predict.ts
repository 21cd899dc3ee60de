/** predict: the model's outputs for a data file. */
import { predicted } from "../cleaning/by-class.js";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import { type Column, samplesColumns } from "../io/column.js";
import { formatToWrite, writeTensors } from "../io/files.js";
import { checkTable, idsName, standardOutput, tableFormat, writeTable } from "../io/table.js";
import { present } from "../present.js";
import { outputAxes, predict } from "../program/predict.js";
import { idsIn } from "../program/sample-names.js";
import { takeSamples } from "../tensor/take-samples.js";
import { elementsIn, sizeOf, type Tensor } from "../tensor/tensor.js";
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
      const dims = [samples, ...tensor.dims.filter((_, k) => k !== axis)];
      const rows = Array.from({ length: samples }, (_, n) =>
        Array.from(elementsIn(takeSamples(tensor, axis, n, n + 1)), Number),
      );
      return [name, { dtype: "float64", dims, data: Float64Array.from(rows.flat()) }];
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
    const elements = elementsIn(tensor);
    const column = (k: number) => Float32Array.from({ length: samples }, (_, n) => Number(elements[n * size + k]));
    if (tensor.dims.length === 2 && size > 1) columns.push(classesOf(name, elements, samples, size));
    for (let k = 0; k < size; k++)
      columns.push({ name: tensor.dims.length === 1 ? name : `${name}.${k}`, values: column(k) });
  }
  return columns;
}

function classesOf(name: string, elements: ArrayLike<number>, samples: number, size: number): Column {
  const values = Int32Array.from({ length: samples }, (_, n) =>
    predicted(Array.from({ length: size }, (__, k) => Number(elements[n * size + k]))),
  );
  return { name: `${name}.largest`, values };
}
