/** The page's version of `seldom.ts`: the code is loaded with the first file that needs it. */
import { missing } from "../../missing.js";

const needed = () => import("./seldom-needed.js");

export const specialForms = missing(async () => (await needed()).specialForms);
export const likelyBatches = missing(async () => (await needed()).likelyBatches);
export const rebatcher = missing(async () => (await needed()).rebatcher);
export const inlineFunctions = missing(async () => (await needed()).inlineFunctions);
export const indexArithmetic = missing(async () => (await needed()).indexArithmetic);
export const forAllSamples = missing(async () => (await needed()).forAllSamples);
export const liftWeights = missing(async () => (await needed()).liftWeights);
export const specialDecoder = missing(async () => (await needed()).specialDecoder);
