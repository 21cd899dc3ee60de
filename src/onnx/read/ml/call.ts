import { isBatch } from "../../../graph/dim.js";
import { outputOf } from "../../../graph/operands.js";
import type { Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { part, requireInput, shapeMismatch } from "../../../ops/checks.js";
import type { FileNode } from "../file-node.js";

/** A node of the domain ai.onnx.ml, and the builder of the nodes that replace it. */
export interface MlNode extends FileNode {
  readonly build: Build;
}

/** The outputs of a node; an output that cannot be computed throws only when it is read. */
export type Results = readonly (() => Value)[];

/** A node that replaces the file's node; messages use the name of the file's node. */
export function named(node: MlNode, op: string, inputs: readonly Value[], attributes = {}): Value {
  return outputOf(node.build.node(op, inputs, attributes, 1, { name: node.name }), 0);
}

/** The input as floats: `[N, C]`, or `[C]` for one sample. Throws SHAPE_MISMATCH. */
export function features(node: MlNode): Value {
  const x = requireInput(node, 0);
  const rank = x.shape.length;
  if (rank !== 1 && rank !== 2)
    throw shapeMismatch(part(node, "the input"), `has rank ${rank}, and 1 and 2 are defined`);
  return node.build.cast(x, "float32");
}

/** The number of features of each sample. Throws SHAPE_MISMATCH. */
export function featureCount(node: MlNode, { shape }: Value): number {
  const last = shape.at(-1);
  if (last !== undefined && !isBatch(last)) return last;
  throw shapeMismatch(part(node, "the input"), "has no axis of features behind that of the samples");
}
