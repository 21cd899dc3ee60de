/** Selects the parameters that the runtime is given once, when a program is loaded, rather than in each run. */

import type { Value } from "../../graph/value.js";
import { nodesBefore, presentInputs } from "../../graph/walk.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Tensors } from "../target.js";

/** Operators whose kernels rearrange weights that they know in advance. */
const packing = new Set(["MatMul", "Gemm", "Conv", "ConvTranspose", "LSTM", "GRU", "RNN"]);

/**
 * A parameter of up to this many bytes is held whatever reads it: biases are fused into the operators that read them.
 */
const small = 2 ** 16;

/**
 * The parameters that the runtime gains by holding: small ones, and those that reach an operator that packs them,
 * either directly or through operators that read nothing else. Tables, from which a run reads a few rows, are not among
 * them.
 */
export function packedParameters(outputs: readonly Value[], parameters: Tensors): Tensors {
  /** The parameters that a value is made from, if it is made from nothing else. */
  const origins = new Map<Value, readonly string[]>();
  const originsOf = (value: Value): readonly string[] | undefined => {
    const { kind } = value.source;
    if (kind === "constant" || kind === "dims") return [];
    if (kind === "node") return origins.get(value);
    return Object.hasOwn(parameters, value.name) ? [value.name] : undefined;
  };
  const packed = new Set<string>();
  for (const node of nodesBefore(outputs)) {
    const read = presentInputs(node).map(originsOf);
    if (packing.has(node.op)) for (const name of read.flatMap((names) => names ?? [])) packed.add(name);
    if (read.every((names) => names !== undefined)) for (const output of node.outputs) origins.set(output, read.flat());
  }
  const isHeld = (name: string, { data }: Tensor) => data.length > 0 && (packed.has(name) || data.byteLength <= small);
  return Object.fromEntries(Object.entries(parameters).filter(([name, tensor]) => isHeld(name, tensor)));
}
