/** Selects the parameters that the runtime is given once, when a program is loaded, rather than in each run. */

import type { Value } from "../../graph/value.js";
import { nodesBefore, presentInputs } from "../../graph/walk.js";
import { definitionOf } from "../../ops/registry.js";
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
  const packed = new Set<string>();
  collect(outputs, ({ name }) => (Object.hasOwn(parameters, name) ? [name] : undefined), packed);
  const isHeld = (name: string, { data }: Tensor) => data.length > 0 && (packed.has(name) || data.byteLength <= small);
  return Object.fromEntries(Object.entries(parameters).filter(([name, tensor]) => isHeld(name, tensor)));
}

/** The parameters that a value is made from, if it is made from nothing else. */
type Origins = (value: Value) => readonly string[] | undefined;

/** Adds the parameters that reach an operator that packs them, in bodies too. */
function collect(outputs: readonly Value[], ofLeaf: Origins, packed: Set<string>): void {
  const origins = new Map<Value, readonly string[]>();
  const originsOf: Origins = (value) => {
    const { kind } = value.source;
    if (kind === "constant" || kind === "dims") return [];
    return kind === "node" ? origins.get(value) : ofLeaf(value);
  };
  for (const node of nodesBefore(outputs)) {
    const read = presentInputs(node).map(originsOf);
    if (packing.has(node.op)) for (const name of read.flatMap((names) => names ?? [])) packed.add(name);
    if (read.every((names) => names !== undefined)) for (const output of node.outputs) origins.set(output, read.flat());
    const parts = definitionOf(node)?.body?.parts(node);
    if (!parts) continue;
    const { body, states, scans } = parts;
    const captured = new Map(
      body.inputs.slice(states + scans).map((value, k) => [value, node.inputs[states + scans + k]]),
    );
    const ofCaptured: Origins = (value) => {
      const outside = captured.get(value);
      return outside ? originsOf(outside) : undefined;
    };
    collect(body.outputs, ofCaptured, packed);
  }
}
