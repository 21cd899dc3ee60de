/** The golden cases for curvature and attribution, as training samples, queries and checkpoints. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Model, type Tensor, withParameters } from "../../src/index.js";
import { readTensors } from "../../src/io/files.js";
import { lossNamed, type NamedLoss } from "../../src/nn/as-loss.js";
import { loadModel } from "../../src/onnx/read/load.js";
import { below } from "./support.js";

const folder = join(import.meta.dirname, "cases");
export const caseNames = readdirSync(folder);

export interface Case {
  readonly loss: NamedLoss;
  readonly inputs: Readonly<Record<string, { readonly sample_axis: number }>>;
  readonly parameters: readonly string[];
  readonly parameter_count: number;
  readonly learning_rates: readonly number[];
  readonly damping: Readonly<Record<string, number>>;
  readonly neumann: { readonly terms: number; readonly scale: number; readonly damping: number };
  readonly kfac_layers: readonly string[];
  readonly trak_condition?: readonly number[];
  readonly trak_damping?: number;
  readonly prior_precision?: number;
  readonly representer?: { readonly layer: string; readonly l2: number };
}

export async function loadCase(name: string) {
  const settings: Case = JSON.parse(readFileSync(join(folder, name, "case.json"), "utf8"));
  const tensors = await readTensors(join(folder, name, "data.safetensors"));
  const expected = await readTensors(join(folder, name, "expected.safetensors"));
  const sampleAxes = Object.fromEntries(
    Object.entries(settings.inputs).map(([input, { sample_axis }]) => [input, sample_axis]),
  );
  const model = await loadModel(join(folder, name, "model.onnx"), { sampleAxes });
  const names = model.graph.inputs.map(({ name: input }) => input);
  const batch = (prefix: string) => ({
    ...Object.fromEntries(names.map((each) => [each, tensors.get(`${prefix}${each}`) as Tensor])),
    target: tensors.get(`${prefix}target`) as Tensor,
  });
  const train = batch("");
  const { target } = train;
  const checkpoints: Model[] = [0, 1, 2].map((k) =>
    withParameters(model, Object.fromEntries(below(tensors, `checkpoint/${k}/`)) as Record<string, Tensor<"float32">>),
  );
  const options = {
    loss: lossNamed(settings.loss),
    target: { dtype: target.dtype, shape: ["N" as const, ...target.dims.slice(1)] },
    threads: 1,
  };
  return { settings, tensors, expected, model, checkpoints, train, queries: batch("test/"), options };
}

/** `[N, M]` as `[M, N]`. */
export function turned({ dims, data }: Tensor): Float64Array {
  const [rows = 0, columns = 0] = dims;
  return Float64Array.from({ length: rows * columns }, (_, k) =>
    Number(data[(k % rows) * columns + Math.floor(k / rows)]),
  );
}
