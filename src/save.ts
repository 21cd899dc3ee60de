/** Writes a model as an ONNX file. */
import { PergradError } from "./errors.js";
import { writeFileSafely } from "./io/atomic.js";
import type { Model } from "./model.js";
import { encodeModel } from "./onnx/encode.js";
import type { Tensor } from "./tensor.js";

/** The same model with some parameters replaced, such as those that were trained. Throws MISSING_TENSOR, SHAPE_MISMATCH. */
export function withParameters(model: Model, parameters: Readonly<Record<string, Tensor<"float32">>>): Model {
  for (const [name, { dims }] of Object.entries(parameters)) {
    const value = model.graph.parameters.find((parameter) => parameter.name === name);
    if (!value) throw new PergradError("MISSING_TENSOR", `The model has no parameter "${name}".`);
    if (value.shape.length === dims.length && value.shape.every((dim, axis) => dim === dims[axis])) continue;
    const shapes = `is [${dims.join(", ")}], but the model wants [${value.shape.join(", ")}]`;
    throw new PergradError("SHAPE_MISMATCH", `The parameter "${name}" ${shapes}.`);
  }
  return { ...model, parameters: { ...model.parameters, ...parameters } };
}

/**
 * Writes the model as ONNX (opset 21), its parameters inside under their names; the file appears when it is complete.
 * @param metadata goes into the file's properties, by name
 * Throws FILE_UNWRITABLE.
 */
export async function saveModel(
  { graph, parameters }: Model,
  path: string,
  { metadata = {} }: { readonly metadata?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  await writeFileSafely(path, encodeModel({ ...graph, parameters, metadata }));
}
