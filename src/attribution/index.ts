/** Attribution: scores of training samples for a model's answers to queries. */
export type { SampleOptions } from "./checkpoint.js";
export { AttributionExplanation, type ExplainedAttribution, explain } from "./explanation.js";
export { type AdamMoments, gradCos, gradDot, type TracInOptions, tracIn } from "./gradients.js";
export { index, openIndex } from "./indexes.js";
export { type InfluenceOptions, type InverseName, influence, type RelatIFOptions, relatIF } from "./influence.js";
export { type LinearDatamodelingScore, linearDatamodelingScore, type SubsetOptions, subsets } from "./lds.js";
export { type LeaveOut, type LeaveOutOptions, leaveOut } from "./leave-out.js";
export { type LoGraOptions, loGra } from "./lo-gra.js";
export type { Approximated, Method } from "./method.js";
export { type RepresenterOptions, representerPoints } from "./representer.js";
export type { Retrained } from "./retrained.js";
export {
  type Checkpoints,
  type GivenMethod,
  type ScoreOptions,
  type Scores,
  scores,
  selfInfluence,
} from "./scores.js";
export type {
  AskingOptions,
  AttributionIndex,
  IndexOptions,
  OpenIndexOptions,
  QueryOptions,
  ScoresPart,
  TopScores,
} from "./store/stored-index.js";
export { type TrakOptions, trak } from "./trak.js";
