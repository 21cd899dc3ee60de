/** Normalisations, and rare layers, some of them of another domain, for pages (`rare.browser.ts`). */
import { contribLinear } from "./microsoft/linear.js";
import { normalisation } from "./rules/normalisation.js";
import { rotary } from "./rules/rotary.js";

export const definitions = [...contribLinear, ...normalisation, ...rotary];
