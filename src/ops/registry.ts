/** Every operator that pergrad knows. To add one: write it in a family's file, or list a new family here. */
import { activations } from "./activations.js";
import { arithmetic } from "./arithmetic.js";
import { attention } from "./attention.js";
import { bitwise } from "./bitwise.js";
import { Build } from "./build.js";
import { contribActivations } from "./contrib-activations.js";
import { contribAttention } from "./contrib-attention.js";
import { contribLinear } from "./contrib-linear.js";
import { contribNormalisation } from "./contrib-normalisation.js";
import { convolution } from "./convolution.js";
import type { OpDefinition } from "./definition.js";
import { deformable } from "./deformable.js";
import { exponential } from "./exponential.js";
import { fourier } from "./fourier.js";
import { grids } from "./grids.js";
import { indexing } from "./indexing.js";
import { joining } from "./joining.js";
import { linear } from "./linear.js";
import { logic } from "./logic.js";
import { losses } from "./losses.js";
import { matrices } from "./matrices.js";
import { normalisation } from "./normalisation.js";
import { ordering } from "./ordering.js";
import { pooling } from "./pooling.js";
import { random } from "./random.js";
import { recurrent } from "./recurrent.js";
import { reductions } from "./reductions.js";
import { regions } from "./regions.js";
import { resize } from "./resize.js";
import { roiAligning } from "./roi-align.js";
import { rotary } from "./rotary.js";
import { running } from "./running.js";
import { onePlusErf } from "./saturation.js";
import { scanning } from "./scan.js";
import { selection } from "./selection.js";
import { shapes } from "./shapes.js";
import { signal } from "./signal.js";
import { slicing } from "./slicing.js";
import { softmax } from "./softmax.js";
import { stateSpace } from "./state-space.js";
import { trigonometric } from "./trigonometric.js";

export const families = {
  activations,
  arithmetic,
  attention,
  bitwise,
  "contrib-activations": contribActivations,
  "contrib-attention": contribAttention,
  "contrib-linear": contribLinear,
  "contrib-normalisation": contribNormalisation,
  convolution,
  deformable,
  exponential,
  fourier,
  grids,
  indexing,
  joining,
  linear,
  logic,
  losses,
  matrices,
  normalisation,
  ordering,
  pooling,
  random,
  recurrent,
  reductions,
  regions,
  resize,
  "roi-align": roiAligning,
  rotary,
  running,
  scan: scanning,
  selection,
  shapes,
  signal,
  slicing,
  softmax,
  "state-space": stateSpace,
  trigonometric,
} as const;

/** What derivative rules use and no program holds. */
const internal: readonly OpDefinition[] = [onePlusErf];

const definitions: ReadonlyMap<string, OpDefinition> = new Map(
  [...Object.values(families), internal].flatMap((family) =>
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
