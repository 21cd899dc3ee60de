/** The forms in which a Constant node holds its value. */
import type { Attribute } from "../../graph/value.js";
import { unsupported } from "../../ops/checks.js";
import type { Tensor } from "../../tensor/tensor.js";
import { invalidModel } from "../proto.js";
import type { FileNode } from "./file-node.js";

export function constantTensor(node: FileNode): Tensor {
  const entries = Object.entries(node.attributes);
  const entry = entries[0];
  if (!entry || entries.length > 1) throw invalidModel(`Constant node "${node.name}" must hold exactly one value`);
  const [form, value] = entry;
  const numbers = typeof value === "number" ? [value] : isNumbers(value) ? value : undefined;
  const dims = typeof value === "number" ? [] : [numbers?.length ?? 0];
  if (form === "value" && typeof value === "object" && "dtype" in value) return value;
  if (numbers && form.startsWith("value_float")) return { dtype: "float32", dims, data: Float32Array.from(numbers) };
  if (numbers && form.startsWith("value_int"))
    return { dtype: "int64", dims, data: BigInt64Array.from(numbers, BigInt) };
  throw unsupported(node, `holds its value as ${form}, which pergrad does not read`);
}

function isNumbers(value: Attribute): value is readonly number[] {
  return Array.isArray(value) && value.every((element) => typeof element === "number");
}
