/** Every operator that pergrad knows. To add one: write it in a family's file, or list a new family here. */
import { activations } from "./activations.js";
import { arithmetic } from "./arithmetic.js";
import { bitwise } from "./bitwise.js";
import { Build } from "./build.js";
import { convolution } from "./convolution.js";
import type { OpDefinition } from "./definition.js";
import { exponential } from "./exponential.js";
import { indexing } from "./indexing.js";
import { joining } from "./joining.js";
import { linear } from "./linear.js";
import { logic } from "./logic.js";
import { normalisation } from "./normalisation.js";
import { ordering } from "./ordering.js";
import { pooling } from "./pooling.js";
import { reductions } from "./reductions.js";
import { resize } from "./resize.js";
import { shapes } from "./shapes.js";
import { slicing } from "./slicing.js";
import { softmax } from "./softmax.js";
import { trigonometric } from "./trigonometric.js";

export const families = {
  activations,
  arithmetic,
  bitwise,
  convolution,
  exponential,
  indexing,
  joining,
  linear,
  logic,
  normalisation,
  ordering,
  pooling,
  reductions,
  resize,
  shapes,
  slicing,
  softmax,
  trigonometric,
} as const;

const definitions: ReadonlyMap<string, OpDefinition> = new Map(
  Object.values(families).flatMap((family) =>
    family.map((definition) => [keyOf(definition.domain ?? "", definition.op), definition]),
  ),
);

function keyOf(domain: string, op: string): string {
  return `${domain}:${op}`;
}

export function definitionOf(node: { readonly domain: string; readonly op: string }): OpDefinition | undefined {
  return definitions.get(keyOf(node.domain, node.op));
}

/** Makes nodes of all known operators. */
export const build = new Build((domain, op) => definitions.get(keyOf(domain, op)));
