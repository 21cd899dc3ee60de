/**
 * Work-arounds for pooling that look at single nodes. infinite-pools.ts looks at the graph, for pools of minus
 * infinity.
 */

import type { Node, Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { intAttribute } from "../../../ops/checks.js";
import { poolOf } from "../../../ops/subgraphs/pool.js";
import { autoPadOf } from "../../../ops/subgraphs/window.js";
import { nth } from "../../../present.js";
import { apartFromPad, exactPool } from "./rounded-pools.js";
import { decomposedWhere, type Workaround } from "./workaround.js";

function isPlain(node: Node): boolean {
  const { kernel, before, after } = poolOf(node).stated;
  const fits = kernel.every((size, axis) => nth(before, axis) < size && nth(after, axis) < size);
  return fits && autoPadOf(node) === "NOTSET" && intAttribute(node, "ceil_mode", 0) === 0;
}

function averageApart(node: Node, build: Build): Value[] | null {
  const apart = apartFromPad(node, build);
  return apart && [...apart.outputs];
}

export const pools: readonly Workaround[] = [
  {
    name: "padded-average",
    ops: ["AveragePool"],
    why: "It makes a Pad the padding of the average that reads it, even of more than it takes there, and then refuses its own graph. It does not do so with a Pad that names its axes.",
    versions: "1.30 to 1.32",
    rewrite: averageApart,
  },
  {
    name: "rounded-pool",
    ops: ["MaxPool", "AveragePool"],
    why: "Where a pool rounds up (ceil_mode) or finds its padding itself (auto_pad), shape inference and kernel count different windows, and dilation is refused.",
    versions: "1.30 to 1.32",
    rewrite: exactPool,
  },
  {
    name: "padded-lp-pool",
    ops: ["LpPool"],
    why: "Its kernel takes neither any padding nor any way of finding it, and rounds up to other positions.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere((node) => !isPlain(node)),
  },
];
