/** Every operator that pergrad knows. To add one: write it in a family's file, or list a new family here. */

import { Build } from "./build.js";
import type { OpDefinition } from "./definition.js";
import { contribActivations } from "./microsoft/activations.js";
import { contribAttention } from "./microsoft/attention.js";
import { contribLinear } from "./microsoft/linear.js";
import { contribNormalisation } from "./microsoft/normalisation.js";
import { activations } from "./rules/activations.js";
import { arithmetic } from "./rules/arithmetic.js";
import { attention } from "./rules/attention.js";
import { bitwise } from "./rules/bitwise.js";
import { convolution } from "./rules/convolution.js";
import { deformable } from "./rules/deformable.js";
import { exponential } from "./rules/exponential.js";
import { fourier } from "./rules/fourier.js";
import { grids } from "./rules/grids.js";
import { indexing } from "./rules/indexing.js";
import { joining } from "./rules/joining.js";
import { linear } from "./rules/linear.js";
import { logic } from "./rules/logic.js";
import { losses } from "./rules/losses.js";
import { matrices } from "./rules/matrices.js";
import { normalisation } from "./rules/normalisation.js";
import { oneHot } from "./rules/one-hot.js";
import { ordering } from "./rules/ordering.js";
import { pooling } from "./rules/pooling.js";
import { matMulInteger } from "./rules/quantised.js";
import { random } from "./rules/random.js";
import { recurrent } from "./rules/recurrent.js";
import { reductions } from "./rules/reductions.js";
import { regions } from "./rules/regions.js";
import { resize } from "./rules/resize.js";
import { roiAligning } from "./rules/roi-align.js";
import { rotary } from "./rules/rotary.js";
import { running } from "./rules/running.js";
import { scanning } from "./rules/scanning.js";
import { selection } from "./rules/selection.js";
import { shapes } from "./rules/shapes.js";
import { signal } from "./rules/signal.js";
import { sizes } from "./rules/sizes.js";
import { slicing } from "./rules/slicing.js";
import { softmax } from "./rules/softmax.js";
import { stateSpace } from "./rules/state-space.js";
import { trigonometric } from "./rules/trigonometric.js";
import { onePlusErf } from "./subgraphs/saturation.js";
import { addRowsDefinition } from "./subgraphs/table.js";

/** By the names of their files in `rules/`. */
export const families = {
  activations,
  arithmetic,
  attention,
  bitwise,
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
  "one-hot": oneHot,
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
  sizes,
  slicing,
  softmax,
  "state-space": stateSpace,
  trigonometric,
} as const;

/** Operators of the domain com.microsoft, by the names of their files in `microsoft/`. */
export const microsoftFamilies = {
  activations: contribActivations,
  attention: contribAttention,
  linear: contribLinear,
  normalisation: contribNormalisation,
} as const;

/** What is of pergrad alone, in derivative rules or to look an index through: no file that is read holds it. */
const internal: readonly OpDefinition[] = [onePlusErf, addRowsDefinition, matMulInteger];

/** All operators that programs may hold. */
export const allDefinitions: readonly OpDefinition[] = [families, microsoftFamilies].flatMap((folder) =>
  Object.values(folder).flat(),
);

const definitions: ReadonlyMap<string, OpDefinition> = new Map(
  [...allDefinitions, ...internal].map((definition) => [keyOf(definition.domain ?? "", definition.op), definition]),
);

function keyOf(domain: string, op: string): string {
  return `${domain}:${op}`;
}

export function definitionOf(node: { readonly domain: string; readonly op: string }): OpDefinition | undefined {
  return definitions.get(keyOf(node.domain, node.op));
}

/** The operator of ONNX's default domain that a file names. */
export function standardDefinition(op: string): OpDefinition | undefined {
  return definitions.get(keyOf("", op));
}

/** Makes nodes of all known operators. */
export const build = new Build((domain, op) => definitions.get(keyOf(domain, op)));
