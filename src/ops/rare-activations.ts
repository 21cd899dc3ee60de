/** Activation and angle functions of fewer models, for pages (`rare.browser.ts`), with what is left of erf beside 1. */
import { moreActivations } from "./rules/more-activations.js";
import { trigonometric } from "./rules/trigonometric.js";
import { exactGelus } from "./subgraphs/gelu.js";
import { onePlusErf } from "./subgraphs/one-plus-erf.js";

export const definitions = [...moreActivations, ...trigonometric, onePlusErf, ...exactGelus];
