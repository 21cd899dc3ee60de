/** Takes sizes of dimensions that a model leaves open from the data. */
import { PergradError } from "../errors.js";
import type { TensorLayout } from "../io/bytes.js";
import { parseModel } from "../onnx/proto.js";
import { statedSize, symbolOf } from "../onnx/read/batch/batch-axes.js";
import type { LoadOptions } from "../onnx/read/load-options.js";
import { missing } from "./data.js";

/**
 * `given`, plus the sizes that the data has for open dimensions, named or not, of the model's inputs. Given sizes are
 * kept, so that data of another size is refused later. Throws MISSING_TENSOR, SHAPE_MISMATCH.
 */
export function openDimensions(
  bytes: Uint8Array,
  fileName: string,
  data: ReadonlyMap<string, TensorLayout>,
  dataFile: string,
  { sampleAxes = {}, dimensions = {}, fix = {} }: LoadOptions,
): Record<string, number> {
  const { graph } = parseModel(bytes, fileName);
  const sizes = new Map(Object.entries(dimensions));
  const stored = new Set(graph?.initializer.map(({ name }) => name));
  for (const { name, type } of graph?.input ?? []) {
    if (stored.has(name) || type?.value.case !== "tensorType") continue;
    const dims = type.value.value.shape?.dim;
    if (!dims) continue;
    const tensor = data.get(name);
    if (!tensor && Object.hasOwn(fix, name)) continue;
    if (!tensor) throw missing(name, data, dataFile);
    if (tensor.dims.length !== dims.length) {
      throw new PergradError(
        "SHAPE_MISMATCH",
        `The input "${name}" is [${tensor.dims.join(", ")}] in "${dataFile}", but the model needs ${dims.length} axes; reshape it.`,
      );
    }
    const axis = (Object.hasOwn(sampleAxes, name) ? sampleAxes[name] : undefined) ?? 0;
    const samples = sampleAxes[name] === null ? -1 : axis < 0 ? axis + dims.length : axis;
    dims.forEach((dim, k) => {
      if (k === samples || statedSize(dim) !== undefined) return;
      const symbol = symbolOf(dim) ?? `${name}.${k}`;
      if (!sizes.has(symbol) && !sizes.has(`${name}.${k}`)) sizes.set(symbol, tensor.dims[k] ?? 0);
    });
  }
  return Object.fromEntries(sizes);
}
