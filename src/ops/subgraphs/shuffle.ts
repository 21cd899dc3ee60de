/** DepthToSpace and SpaceToDepth: composites that move blocks of pixels to channels and back. */

import { type Dim, divide, multiply } from "../../graph/dim.js";
import { inputOf, outputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth } from "../../present.js";
import type { Call } from "../call.js";
import { intAttribute, part, requireInput, shapeMismatch, stringAttribute, unsupported } from "../checks.js";
import type { OpDefinition } from "../definition.js";

interface PictureSizes {
  readonly images: Dim;
  readonly channels: Dim;
  readonly rows: Dim;
  readonly columns: Dim;
}

function sizesOf(call: Pick<Call, "inputs">): PictureSizes {
  const [images, channels, rows, columns] = leadingOf(nth(call.inputs, 0).shape, 4);
  return { images, channels, rows, columns };
}

function scaled(
  call: Call,
  shrink: (sizes: PictureSizes, block: number) => (Dim | undefined)[],
): { dtype: Value["dtype"]; shape: Dim[] }[] {
  const input = requireInput(call, 0);
  if (input.shape.length !== 4) throw shapeMismatch(part(call, "the input"), "is not of rank 4");
  const block = intAttribute(call, "blocksize", 0);
  const shape = block >= 1 ? shrink(sizesOf(call), block) : [];
  if (shape.length === 0 || shape.includes(undefined))
    throw shapeMismatch(part(call, "the input"), `does not divide into blocks of ${block}`);
  return [{ dtype: input.dtype, shape: shape as Dim[] }];
}

/** Whether channels are ordered with depth first and then the places in a block (CRD), or the other way round (DCR). */
function depthFirst(call: Call | Node): boolean {
  const mode = stringAttribute(call, "mode", "DCR");
  if (mode === "DCR" || mode === "CRD") return mode === "CRD";
  throw unsupported(call, `has the mode "${mode}", which ONNX does not define`, 'give "DCR" or "CRD"');
}

export const depthToSpace: OpDefinition = {
  op: "DepthToSpace",
  infer: (call) => {
    depthFirst(call);
    return scaled(call, ({ images, channels, rows, columns }, block) => {
      return [images, divide(channels, block * block), multiply(rows, block), multiply(columns, block)];
    });
  },
  decompose: (node, build) => {
    const block = intAttribute(node, "blocksize", 0);
    const { images, rows, columns } = sizesOf(node);
    const { shape } = outputOf(node, 0);
    const depth = nth(shape, 1);
    const blocksFirst = !depthFirst(node);
    const split = blocksFirst ? [block, block, depth] : [depth, block, block];
    const parts = build.reshape(inputOf(node, 0), [images, ...split, rows, columns]);
    return [build.reshape(build.transpose(parts, blocksFirst ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]), shape)];
  },
};

export const spaceToDepth: OpDefinition = {
  op: "SpaceToDepth",
  infer: (call) => {
    depthFirst(call);
    return scaled(call, ({ images, channels, rows, columns }, block) => {
      return [images, multiply(channels, block * block), divide(rows, block), divide(columns, block)];
    });
  },
  decompose: (node, build) => {
    const block = intAttribute(node, "blocksize", 0);
    const { images, channels } = sizesOf(node);
    const { shape } = outputOf(node, 0);
    const [rows, columns] = leadingOf(shape.slice(2), 2);
    const parts = build.reshape(inputOf(node, 0), [images, channels, rows, block, columns, block]);
    const order = depthFirst(node) ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4];
    return [build.reshape(build.transpose(parts, order), shape)];
  },
  // Before opset 28 it had no mode.
  lower: (node, build) => {
    if (node.attributes.mode === undefined) return null;
    if (depthFirst(node)) return spaceToDepth.decompose?.(node, build) ?? null;
    return [build.op("SpaceToDepth", node.inputs, { blocksize: intAttribute(node, "blocksize", 0) })];
  },
};
