/** Normalisations, and rare layers, for pages (`rare.browser.ts`). */
import { normalisation } from "./rules/normalisation.js";
import { rotary } from "./rules/rotary.js";

export const definitions = [...normalisation, ...rotary];
