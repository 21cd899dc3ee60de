/** What the last pass needs to score all training samples for all queries; `python/pergrad_worker/scores.py` computes it. */
import type { Zippable } from "fflate";
import type { Checkpoint } from "../../attribution/checkpoint.js";
import { PergradError } from "../../errors.js";
import type { Batch, Dataset } from "../../program/given-data.js";
import type { Program } from "../../program/program.js";
import type { Tensor } from "../../tensor/tensor.js";
import { withVectors } from "../../wants/cross.js";
import { type Wants, want } from "../../wants/want.js";
import { tensorFile } from "../job.js";
import { programFiles } from "../package.js";

/** Scores at one checkpoint from products of gradients: the worker's `ProductScores`. */
export interface ProductScores {
  readonly program: string;
  readonly files: readonly string[];
  readonly results: readonly string[];
  readonly factors: readonly number[];
  readonly over?: string;
}

/** Scores at one checkpoint from projected gradients: the worker's `FeatureScores`. */
export interface FeatureScores {
  readonly folder: string;
  readonly result: string;
  readonly vectors: string;
  readonly odds?: string;
}

/** What the last pass computes, and the files that it needs. */
export interface Scoring {
  readonly scores: {
    readonly queries: number;
    readonly products?: readonly ProductScores[];
    readonly features?: readonly FeatureScores[];
  };
  readonly files: Zippable;
  readonly dampings?: readonly number[];
}

/** What a checkpoint contributes to the last pass. */
export interface CheckpointPart<S extends ProductScores | FeatureScores> {
  readonly scores: S;
  readonly queries: number;
  readonly files: Zippable;
}

/** Inner products with the queries' gradients, which stay factored; for cosines they are divided by both norms. */
export async function crossed(
  checkpoint: Checkpoint,
  number: number,
  queries: Dataset,
  { weight, cosine }: { readonly weight: number; readonly cosine: boolean },
): Promise<CheckpointPart<ProductScores>> {
  const blocks: Batch[] = [];
  let count = 0;
  for await (const { feeds, samples } of checkpoint.blocks(queries)) {
    if (samples > 0) blocks.push({ ...feeds });
    count += samples;
  }
  requireQueries(count);
  const wants: Wants = {
    ...Object.fromEntries(blocks.map((block, k) => [`products${k}`, want.cross(block)])),
    ...(cosine ? { norms: want.norms() } : {}),
  };
  const sizes = cosine ? (await checkpoint.squaredNorms(queries)).map(Math.sqrt) : new Float64Array(count).fill(1);
  const factors = Array.from(sizes, (size) => (size === 0 ? 0 : weight / size));
  const results = blocks.map((_, k) => `products${k}/cross`);
  return partBy(await checkpoint.program(wants), number, count, {
    results,
    factors,
    ...(cosine ? { over: "norms/total" } : {}),
  });
}

/** Inner products with these vectors, `[queries, P]`. */
export async function multiplied(
  checkpoint: Checkpoint,
  number: number,
  vectors: Float32Array,
  weight: number,
): Promise<CheckpointPart<ProductScores>> {
  const count = vectors.length / Math.max(1, checkpoint.space.size);
  requireQueries(count);
  const factors = Array.from({ length: count }, () => weight);
  const program = await checkpoint.program({ products: withVectors(count) });
  const own = Object.entries(checkpoint.space.apart(vectors)).map(
    ([parameter, tensor]) => [`products/other/${parameter}`, tensor] as const,
  );
  return partBy(program, number, count, { results: ["products/products"], factors }, Object.fromEntries(own));
}

/** A checkpoint's part that a program computes: its file, and what it is fed. The program is released. */
async function partBy(
  program: Program<Wants>,
  number: number,
  queries: number,
  scores: Pick<ProductScores, "results" | "factors" | "over">,
  tensors?: Readonly<Record<string, Tensor>>,
): Promise<CheckpointPart<ProductScores>> {
  try {
    const name = `program-${number}.onnx`;
    const given = tensorFile(`given-${number}.safetensors`, tensors ?? (await program.besideData()));
    return {
      queries,
      files: { ...(await programFiles(program, "inside", name)), ...given },
      scores: { program: name, files: Object.keys(given), ...scores },
    };
  } finally {
    await program.release();
  }
}

/** Throws INVALID_ARGUMENT. */
export function requireQueries(count: number): void {
  if (count > 0) return;
  throw new PergradError("INVALID_ARGUMENT", "There are no queries to score training samples for; give at least one.");
}
