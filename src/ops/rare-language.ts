/** Rare operators of language models, most of them of another domain, for pages (`rare.browser.ts`). */
import { contribActivations } from "./microsoft/activations.js";
import { contribAttention } from "./microsoft/attention.js";
import { contribNormalisation } from "./microsoft/normalisation.js";
import { attention } from "./rules/attention.js";
import { normalisation } from "./rules/normalisation.js";
import { rotary } from "./rules/rotary.js";

export const definitions = [
  ...attention,
  ...contribActivations,
  ...contribAttention,
  ...contribNormalisation,
  ...normalisation,
  ...rotary,
];
