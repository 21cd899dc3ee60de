/** Work-arounds for attention, and for position embeddings. */

import { sameShape } from "../../../graph/dim.js";
import type { Node, Value } from "../../../graph/value.js";
import { headsOfContributed } from "../../../ops/rules/rotary.js";
import { nth } from "../../../present.js";
import { contributed, decomposedWhere, restated, type Workaround } from "./workaround.js";

/** Positions `[1, S]` for more than one sample, or `[B, 1]` for more than one position. */
function sharesPositions(node: Node): boolean {
  const { positions, shape, lengthAxis } = headsOfContributed(node);
  return positions?.shape.length === 2 && !sameShape(positions.shape, [nth(shape, 0), nth(shape, lengthAxis)]);
}

export const attention: readonly Workaround[] = [
  {
    name: "attention-without-bias",
    ops: [contributed("Attention")],
    why: "It ends the process where there is no bias.",
    versions: "1.30",
    rewrite: (node, build) => {
      const [x, weight, bias, ...rest] = node.inputs;
      if (bias || !x || !weight) return null;
      const zeros = build.zeros([nth(weight.shape, 1)], weight.dtype);
      return restated(node, build, { inputs: [x, weight, zeros, ...rest] });
    },
  },
  {
    name: "packed-heads",
    ops: [contributed("MultiHeadAttention")],
    why: "The kernel for CPUs does not unpack queries, keys and values.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere(({ inputs: [, keys] }: { readonly inputs: readonly (Value | null)[] }) => {
      return !keys || keys.shape.length === 5;
    }),
  },
  {
    name: "shared-positions",
    ops: [contributed("RotaryEmbedding")],
    why: "The kernel has positions for each sample, not for all.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere(sharesPositions),
  },
];
