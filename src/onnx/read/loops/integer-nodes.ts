/** Nodes that compute with integers, and the values that replace their results. */
import { PergradError } from "../../../errors.js";
import { constantValue, type Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { standardDefinition } from "../../../ops/registry.js";
import type { FileNode } from "../file-node.js";

/** Whether it computes with two integers, or converts one to the other's dtype. */
export function isArithmetic({ op, inputs }: FileNode): boolean {
  return op === "CastLike" || (standardDefinition(op)?.elementwise === true && inputs.length === 2);
}

/** The only output, or null if no shape states its length. */
export function representable(make: () => readonly Value[]): Value | null {
  try {
    return make()[0] ?? null;
  } catch (error) {
    if (error instanceof PergradError) return null;
    throw error;
  }
}

/** One element, with the rank to which a node's inputs broadcast. */
export function onesOf({ inputs }: FileNode): number[] {
  return Array<number>(Math.max(...inputs.map((input) => input?.shape.length ?? 0))).fill(1);
}

export function int(build: Build, value: number, node: FileNode): Value {
  const dims = node.op === "CastLike" ? (node.inputs[0]?.shape ?? []).map(() => 1) : onesOf(node);
  return build.ints([value], dims);
}

export function boolean(value: boolean, node: FileNode): Value {
  return constantValue({ dtype: "bool", dims: onesOf(node), data: Uint8Array.of(Number(value)) });
}
