/**
 * The operators that few models use. Here they are available at once; for a page they are modules of their own, which
 * are loaded if a model has one of them (`rare.browser.ts`).
 */
import type { OpDefinition } from "./definition.js";
import { contribActivations } from "./microsoft/activations.js";
import { contribAttention } from "./microsoft/attention.js";
import { contribLinear } from "./microsoft/linear.js";
import { contribNormalisation } from "./microsoft/normalisation.js";
import { attention } from "./rules/attention.js";
import { bitwise } from "./rules/bitwise.js";
import { convolution } from "./rules/convolution.js";
import { deformable } from "./rules/deformable.js";
import { einsum } from "./rules/einsum.js";
import { fourier } from "./rules/fourier.js";
import { grids } from "./rules/grids.js";
import { losses } from "./rules/losses.js";
import { matrices } from "./rules/matrices.js";
import { moreActivations } from "./rules/more-activations.js";
import { normalisation } from "./rules/normalisation.js";
import { oneHot } from "./rules/one-hot.js";
import { ordering } from "./rules/ordering.js";
import { pooling } from "./rules/pooling.js";
import { matMulInteger } from "./rules/quantised.js";
import { random } from "./rules/random.js";
import { recurrent } from "./rules/recurrent.js";
import { regions } from "./rules/regions.js";
import { resize } from "./rules/resize.js";
import { roiAligning } from "./rules/roi-align.js";
import { rotary } from "./rules/rotary.js";
import { running } from "./rules/running.js";
import { scanning } from "./rules/scanning.js";
import { selection } from "./rules/selection.js";
import { signal } from "./rules/signal.js";
import { stateSpace } from "./rules/state-space.js";
import { trigonometric } from "./rules/trigonometric.js";
import { exactGelus } from "./subgraphs/gelu.js";
import { onePlusErf } from "./subgraphs/one-plus-erf.js";

/** By the names of their files in `rules/`. */
export const rare = {
  attention,
  bitwise,
  convolution,
  deformable,
  einsum,
  fourier,
  grids,
  losses,
  matrices,
  "more-activations": moreActivations,
  normalisation,
  "one-hot": oneHot,
  ordering,
  pooling,
  random,
  recurrent,
  regions,
  resize,
  "roi-align": roiAligning,
  rotary,
  running,
  scan: scanning,
  selection,
  signal,
  "state-space": stateSpace,
  trigonometric,
} as const;

/** By the names of their files in `microsoft/`. */
export const rareAtMicrosoft = {
  activations: contribActivations,
  attention: contribAttention,
  linear: contribLinear,
  normalisation: contribNormalisation,
} as const;

/**
 * Operators that no file has and few models need: pergrad's own, and the product of 8-bit numbers that a search in an
 * index uses.
 */
export const rareInternal: readonly OpDefinition[] = [onePlusErf, ...exactGelus, matMulInteger];

/** The operators that are not loaded yet. */
export function rareOperators(): ReadonlySet<string> {
  return new Set();
}

/** The definitions of those of `ops` that are not loaded yet, and of all operators that these decompose into. */
export async function rareDefinitions(_ops: ReadonlySet<string>): Promise<readonly OpDefinition[]> {
  return [];
}
