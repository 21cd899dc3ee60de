/** What an index keeps of samples: their gradients, projected. */
import { invalidArgument } from "../../arguments.js";
import type { Loss } from "../../nn/loss.js";
import { nth } from "../../present.js";
import type { Dataset } from "../../program/dataset.js";
import type { ProjectedBy } from "../../wants/projection.js";
import { want } from "../../wants/want.js";
import type { Checkpoint } from "../checkpoint.js";
import { margin } from "../margin.js";
import type { Method } from "../method.js";
import type { FeatureRows } from "./shards.js";

/** Methods whose scores are products of projected gradients. */
export const indexed = ["gradDot", "gradCos", "tracIn", "trak", "loGra"] as const;

export type Indexed = (typeof indexed)[number];

/** Throws INVALID_ARGUMENT. */
export function requireIndexed({ name, settings }: Method): Indexed {
  const found = indexed.find((each) => each === name);
  if (found === undefined)
    throw invalidArgument(
      `An index holds projected gradients, which serve ${indexed.join(", ")}, but not ${name}; give one of these, or use attribution.scores.`,
    );
  if (settings.adam !== undefined)
    throw invalidArgument("An index holds no steps of Adam; leave out adam, or use attribution.scores.");
  if (settings.projection !== undefined)
    throw invalidArgument(
      "An index projects by signs from a seed; leave out the projection, or use attribution.scores.",
    );
  return found;
}

/** Whether features are gradients of the odds of the label. */
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

/** Computes what is kept of some samples. */
export interface Features {
  of(data: Dataset, signal?: AbortSignal): Promise<FeatureRows>;
  release(): Promise<void>;
}

export interface FeaturesOptions {
  readonly dims: number;
  readonly seed: number;
  readonly by: ProjectedBy;
  /** Whether each sample has the weight 1 - p of TRAK. */
  readonly weighted: boolean;
}

/** Of these scalars, the k-th model's projection has the seed plus k. */
export async function featuresOf(
  checkpoints: readonly Checkpoint[],
  { dims, seed, by, weighted }: FeaturesOptions,
): Promise<Features> {
  const programs = await Promise.all(
    checkpoints.map((each, k) =>
      each.program({ phi: want.project({ dims, seed: seed + k, by }), values: want.losses(), norms: want.norms() }),
    ),
  );
  const models = programs.length;
  return {
    of: async (data, signal) => {
      const found = [];
      const run = { notFinite: "throw", inPlace: true, ...(signal ? { signal } : {}) } as const;
      for (const program of programs) found.push(await program.runAll(data, run));
      const samples = nth(found, 0).values.data.length;
      const [features, scales] = [new Float32Array(samples * models * dims), new Float32Array(samples * models)];
      const [norms, weights] = [new Float32Array(samples * models), new Float32Array(samples * models).fill(1)];
      for (const [k, { phi, values, norms: sizes }] of found.entries())
        for (let n = 0; n < samples; n++) {
          const at = n * models + k;
          scales[at] = putScaled(features, at * dims, phi.data.subarray(n * dims, (n + 1) * dims));
          norms[at] = sizes.total.data[n] ?? 0;
          // 1 - p, of the odds' logarithm.
          if (weighted) weights[at] = 1 / (1 + Math.exp(values.data[n] ?? 0));
        }
      return { features, scales, norms, weights, samples };
    },
    release: async () => {
      for (const program of programs) await program.release();
    },
  };
}

/** Writes a row over its largest number, which it returns. */
function putScaled(features: Float32Array, at: number, row: Float32Array): number {
  let scale = 0;
  for (let k = 0; k < row.length; k++) scale = Math.max(scale, Math.abs(row[k] ?? 0));
  const divisor = scale === 0 ? 1 : scale;
  for (let k = 0; k < row.length; k++) features[at + k] = (row[k] ?? 0) / divisor;
  return scale;
}
