/**
 * LoGra (Choe et al. 2024, "What is your data worth to GPT?"): influence by the empirical Fisher matrix of projected
 * gradients. Its authors project each layer's gradient from both sides; here random signs and shifts (`want.project`)
 * project the whole gradient and preserve its inner products.
 */
import { checkOptions, type OptionNames } from "../arguments.js";
import type { Method } from "./method.js";
import { checkProjection, trak, usualDims } from "./trak.js";

/** Options of `attribution.loGra`. */
export interface LoGraOptions {
  /** The number of dimensions of a projected gradient. Default 2048, or the number of parameters if that is less. */
  readonly dims?: number;
  /** The seed of the first checkpoint's projection; the other checkpoints use the seeds that follow. Default 0. */
  readonly seed?: number;
  /** The number added to the diagonal of the mean of h_n h_n'. Default: measured on held-out training samples. */
  readonly damping?: number;
}

const loGraOptions: OptionNames<LoGraOptions> = { dims: true, seed: true, damping: true };

/**
 * h_m' (F + d I)^-1 h_n, where h are projected gradients and F is the mean of h_n h_n'; the mean over checkpoints.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function loGra(options: LoGraOptions = {}): Method {
  checkOptions("attribution.loGra(options)", options, loGraOptions);
  const { damping, ...projection } = options;
  checkProjection("loGra", options);
  // (Phi' Phi / N + d I)^-1 = N (Phi' Phi + N d I)^-1
  const features = (samples: number) =>
    trak({ ...projection, output: "loss", ...(damping === undefined ? {} : { damping: damping * samples }) });
  const { seed = 0, dims } = projection;
  return {
    name: "loGra",
    settings: { ...(dims === undefined ? {} : { dims }), seed, ...(damping === undefined ? {} : { damping }) },
    scores: async (setting, queries) => {
      const [first] = setting.checkpoints;
      const samples = (await first?.count(setting.train)) ?? 0;
      const { table, dampings = [] } = await features(samples).scores(setting, queries);
      return { table: table.map((value) => samples * value), dampings: dampings.map((each) => each / samples) };
    },
    shown: ({ space }) => ({ dims: Math.min(dims ?? usualDims, space.size) }),
    explain: (checkpoint) => features(1).explain(checkpoint),
    self: async (setting) => {
      const [first] = setting.checkpoints;
      const samples = (await first?.count(setting.train)) ?? 0;
      return (await features(samples).self(setting)).map((value) => samples * value);
    },
  };
}
