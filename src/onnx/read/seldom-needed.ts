/**
 * The code that only few files need to be read, in one module. A page loads it when a file needs it
 * (`seldom.browser.ts`).
 */
export { specialForms } from "./adapt/special-forms.js";
export { likelyBatches } from "./batch/baked-batch.js";
export { rebatcher } from "./batch/rebatch.js";
export { inlineFunctions } from "./functions.js";
export { indexArithmetic } from "./loops/index-arithmetic.js";
export { forAllSamples } from "./loops/one-sample.js";
export { liftWeights } from "./ml/lift.js";
export { specialDecoder } from "./special-nodes.js";
