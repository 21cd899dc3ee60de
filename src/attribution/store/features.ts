/** The numbers that an index keeps for samples: their projected gradients. */
import { invalidArgument } from "../../arguments.js";
import type { Loss } from "../../nn/loss.js";
import { nth } from "../../present.js";
import type { Dataset } from "../../program/given-data.js";
import type { ProjectedBy } from "../../wants/projection.js";
import { want } from "../../wants/want.js";
import type { Checkpoint } from "../checkpoint.js";
import { margin } from "../margin.js";
import type { Method } from "../method.js";
import { refusing } from "../not-finite.js";

/** Methods whose scores are products of projected gradients. */
export const indexed = ["gradDot", "gradCos", "tracIn", "trak", "loGra"] as const;

export type Indexed = (typeof indexed)[number];

/** Throws INVALID_ARGUMENT. */
export function requireIndexed({ name, settings }: Method): Indexed {
  const found = indexed.find((each) => each === name);
  if (found === undefined)
    throw invalidArgument(
      `An index holds projected gradients, which can be used for ${indexed.join(", ")}, but not ${name}; give one of these, or use attribution.scores.`,
    );
  if (settings.adam !== undefined)
    throw invalidArgument("An index holds no steps of Adam; leave out adam, or use attribution.scores.");
  if (settings.projection !== undefined)
    throw invalidArgument(
      "An index projects by signs from a seed; leave out the projection, or use attribution.scores.",
    );
  return found;
}

/** Whether features are gradients of the label's odds. */
export function looksAtMargin(method: Method, loss: Loss): boolean {
  return (
    method.name === "trak" &&
    (method.settings.output ?? (loss.name === "cross_entropy" ? "margin" : "loss")) === "margin"
  );
}

/** The checkpoints of the scalars whose gradients are projected. */
export function looked(checkpoints: readonly Checkpoint[], method: Method): readonly Checkpoint[] {
  return checkpoints.map((each) => {
    const { loss } = each.objective;
    return looksAtMargin(method, loss) ? each.with({ loss: margin(loss) }) : each;
  });
}

/** The numbers kept for a sample besides its features. */
export interface FeatureScalars {
  /** The norm of the gradient that was projected. */
  readonly norm: number;
  /** The factor of the sample's score. */
  readonly weight: number;
}

/**
 * @param sample counted from 0
 * @param model counted from 0
 * @param features `[dims]`, overwritten later
 */
export type TakeFeatures = (sample: number, model: number, features: Float32Array, scalars: FeatureScalars) => void;

/** Computes the features of samples. */
export interface Features {
  /** Passes each sample's features to `take`, one model after another. */
  of(data: Dataset, take: TakeFeatures, signal?: AbortSignal): Promise<void>;
  release(): Promise<void>;
}

export interface FeaturesOptions {
  readonly dims: number;
  readonly seed: number;
  readonly by: ProjectedBy;
  /** Whether each sample has the weight 1 - p of TRAK. */
  readonly weighted: boolean;
}

/** Projects the gradients of these scalars; the k-th model's projection has the seed plus k. */
export async function featuresOf(
  checkpoints: readonly Checkpoint[],
  { dims, seed, by, weighted }: FeaturesOptions,
): Promise<Features> {
  const programs = await Promise.all(
    checkpoints.map((each, k) =>
      each.program({ phi: want.project({ dims, seed: seed + k, by }), values: want.losses(), norms: want.norms() }),
    ),
  );
  return {
    of: async (data, take, signal) => {
      for (const [model, program] of programs.entries()) {
        const whose = nth(checkpoints, model).whose(data);
        const run = { ...refusing(whose), reuse: true, ...(signal ? { signal } : {}) } as const;
        for await (const { from, to, results } of program.stream(data, run)) {
          const { phi, values, norms } = results;
          for (let n = 0; n < to - from; n++) {
            // 1 - p, from the logarithm of the odds.
            const weight = weighted ? 1 / (1 + Math.exp(values.data[n] ?? 0)) : 1;
            const norm = norms.total.data[n] ?? 0;
            take(from + n, model, phi.data.subarray(n * dims, (n + 1) * dims), { norm, weight });
          }
        }
      }
    },
    release: async () => {
      for (const program of programs) await program.release();
    },
  };
}
