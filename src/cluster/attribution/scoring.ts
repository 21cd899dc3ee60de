/** The last pass: scores of all training samples for all queries, as `python/pergrad_worker/scores.py` computes them. */
import type { Zippable } from "fflate";
import type { Checkpoint } from "../../attribution/checkpoint.js";
import { PergradError } from "../../errors.js";
import type { Batch, Dataset } from "../../program/dataset.js";
import type { Program } from "../../program/program.js";
import { withVectors } from "../../wants/cross.js";
import { type Wants, want } from "../../wants/want.js";
import { givenFile } from "../job.js";
import { programFiles } from "../package.js";

/** Scores at one checkpoint: see `Products` of the worker. */
export interface Products {
  readonly program: string;
  readonly files: readonly string[];
  readonly results: readonly string[];
  readonly factors: readonly number[];
  readonly over?: string;
}

/** Scores at one checkpoint: see `Features` of the worker. */
export interface Features {
  readonly folder: string;
  readonly result: string;
  readonly vectors: string;
  readonly odds?: string;
}

/** What is scored, and the files that it takes. */
export interface Scoring {
  readonly scores: {
    readonly queries: number;
    readonly products?: readonly Products[];
    readonly features?: readonly Features[];
  };
  readonly files: Zippable;
  readonly dampings?: readonly number[];
}

/** Of a checkpoint. */
export interface Scored<P> {
  readonly made: P;
  readonly queries: number;
  readonly files: Zippable;
}

/** Inner products with the queries' gradients, factored; of cosines, over the norms of both. */
export async function crossed(
  checkpoint: Checkpoint,
  number: number,
  queries: Dataset,
  { weight, cosine }: { readonly weight: number; readonly cosine: boolean },
): Promise<Scored<Products>> {
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
  return saved(await checkpoint.program(wants), number, count, {
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
): Promise<Scored<Products>> {
  const count = vectors.length / Math.max(1, checkpoint.space.size);
  requireQueries(count);
  const factors = Array.from({ length: count }, () => weight);
  const program = await checkpoint.program({ products: withVectors(count) });
  const own = Object.entries(checkpoint.space.apart(vectors)).map(
    ([parameter, tensor]) => [`products/other/${parameter}`, tensor] as const,
  );
  return saved(program, number, count, { results: ["products/products"], factors }, Object.fromEntries(own));
}

/** A program's file, and what it is fed. The program is released. */
async function saved(
  program: Program<Wants>,
  number: number,
  queries: number,
  made: Pick<Products, "results" | "factors" | "over">,
  tensors?: Awaited<ReturnType<Program<Wants>["besideData"]>>,
): Promise<Scored<Products>> {
  try {
    const name = `program-${number}.onnx`;
    const given = givenFile(`given-${number}.safetensors`, tensors ?? (await program.besideData()));
    return {
      queries,
      files: { ...(await programFiles(program, "inside", name)), ...given },
      made: { program: name, files: Object.keys(given), ...made },
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
