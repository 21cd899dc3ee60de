/** Files of tensors, for users: safetensors, npz, npy. */
import { invalidArgument } from "../arguments.js";
import type { Tensor } from "../tensor/tensor.js";

/**
 * The tensors of a .safetensors, .npz or .npy file, by name; the tensor of an .npy file is named after the file.
 * float16 and bfloat16 become float32. Bytes that have a scale in the file ("x" with "x.scale" and "x.offset") come
 * with it, in the form that programs take.
 * @throws PergradError FILE_UNREADABLE.
 */
export async function readTensors(path: string): Promise<Record<string, Tensor>> {
  requirePath("readTensors(path)", path);
  // The readers are loaded when they are first used.
  const [files, { scaledTensors }] = await Promise.all([import("./files.js"), import("../tensor/scaled.js")]);
  return Object.fromEntries(scaledTensors(await files.readTensors(path)));
}

/**
 * Writes tensors by name to a .safetensors or .npz file, or one tensor to an .npy file: completely or, on any failure,
 * not at all. The scale and the offset of bytes are written as further tensors, "x.scale" and "x.offset".
 * @throws PergradError FILE_UNWRITABLE, INVALID_ARGUMENT.
 */
export async function writeTensors(path: string, tensors: Readonly<Record<string, Tensor>>): Promise<void> {
  requirePath("writeTensors(path, tensors)", path);
  const [files, { unboundScales }, { tensor }] = await Promise.all([
    import("./files.js"),
    import("../tensor/scaled.js"),
    import("../tensor/tensor.js"),
  ]);
  const checked = Object.entries(tensors).map(([name, own]) => {
    // Checks the dtype, and that the data fills the dimensions.
    tensor(own.dtype, own.dims, own.data);
    return [name, own] as const;
  });
  await files.writeTensors(path, unboundScales(new Map(checked)));
}

function requirePath(call: string, path: unknown): void {
  if (typeof path !== "string" || path === "") throw invalidArgument(`${call} takes the path of a file; give one.`);
}
