/** Weights of a model from other files: checkpoints of its training, and models with the same graph. */
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import { withParameters } from "../graph/with-parameters.js";
import { readTensors } from "../io/files.js";
import { meant } from "../meant.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Progress } from "./progress.js";
import { modelTaskOf, type TaskOptions } from "./task.js";

/**
 * The model with the weights of another file: .safetensors or .npz by parameter, else .onnx, read with the model's
 * options. Throws MISSING_TENSOR, SHAPE_MISMATCH, DTYPE_MISMATCH, NOT_FINITE, and what reading throws.
 */
export async function checkpointOf(
  file: string,
  model: Model,
  { data: _, ...options }: Omit<TaskOptions, "loss">,
  progress: Progress,
): Promise<Model> {
  if (/\.(safetensors|npz)$/i.test(file))
    return withWeights(file, model, await readTensors(file), (message) => progress.note(message));
  const { model: other } = await modelTaskOf(file, options, progress);
  return withWeights(file, model, new Map(Object.entries(other.parameters)));
}

function withWeights(
  file: string,
  model: Model,
  tensors: ReadonlyMap<string, Tensor>,
  note: (message: string) => void = () => {},
): Model {
  const names = model.graph.parameters.map(({ name }) => name);
  const extra = [...tensors.keys()].filter((name) => !names.includes(name));
  const found: Record<string, Tensor<"float32">> = {};
  for (const name of names) {
    const tensor = tensors.get(name);
    if (!tensor)
      throw new PergradError(
        "MISSING_TENSOR",
        `The checkpoint "${file}" lacks the parameter "${name}"${meant(name, extra) || "; give a checkpoint of the same model."}`,
      );
    found[name] = inFloat32(file, name, tensor);
  }
  if (extra.length > 0)
    note(
      `"${file}" also holds ${extra
        .slice(0, 8)
        .map((name) => `"${name}"`)
        .join(", ")}, which is no parameter of the model.`,
    );
  return withParameters(model, found);
}

/** Throws DTYPE_MISMATCH, NOT_FINITE. */
function inFloat32(file: string, name: string, { dtype, dims, data }: Tensor): Tensor<"float32"> {
  if (dtype !== "float32" && dtype !== "float64")
    throw new PergradError(
      "DTYPE_MISMATCH",
      `The parameter "${name}" of the checkpoint "${file}" is ${dtype}, but the model needs float32; convert it.`,
    );
  const numbers = data instanceof Float32Array ? data : Float32Array.from<number | bigint>(data, Number);
  if (!numbers.every(Number.isFinite))
    throw new PergradError(
      "NOT_FINITE",
      `The parameter "${name}" of the checkpoint "${file}" holds NaN or infinity; give another checkpoint.`,
    );
  return { dtype: "float32", dims, data: numbers };
}
