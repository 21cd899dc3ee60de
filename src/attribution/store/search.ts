/**
 * Finds the largest scores of an index for each query. All rows are scored by their sketches. Those that the sketches'
 * bounds do not rule out are then scored by their features. So the answer equals the one that all features give.
 */
import type { PergradError } from "../../errors.js";
import { Largest } from "../../tensor/largest.js";
import { sizeOf, type Tensor } from "../../tensor/tensor.js";
import type { Table } from "../table.js";
import { Bounding } from "./bounding.js";
import { Candidates } from "./candidates.js";
import { type IndexOnDisk, type QueryRows, Scorer, tablesOf } from "./exact.js";
import { scoresOf } from "./gathered.js";
import type { Manifest } from "./manifest.js";
import { SketchProducts } from "./multiplied.js";
import { OpenShards } from "./open-shards.js";
import { broken, pathOf } from "./shards.js";
import { isSketched, type SketchedQueries, sketchedQueries, zeroCode } from "./sketch.js";
import { areSketched, sketchBlocksOf } from "./sketches.js";

/**
 * After this many samples the best candidates are scored exactly, and again after `untilScored` times as many: then
 * more can be ruled out.
 */
const firstScored = 2 ** 13;
const untilScored = 4;

/** The number of rows on which the runtime's products are tested. */
const rowsTried = 16;

/** The most candidates kept for all queries: 20 bytes each. */
const mostCandidates = 2 ** 21;

/**
 * Throws FILE_UNREADABLE.
 * @param least the number of numbers in an index from which its sketch is worth a second program
 */
export async function largestOf(
  stored: IndexOnDisk,
  asked: QueryRows,
  top: number,
  signal: AbortSignal | undefined,
  least = 2 ** 22,
): Promise<Largest> {
  const { manifest, samples } = stored;
  const sketched = samples * manifest.models.length * manifest.dims >= least;
  return (sketched && (await largestBySketch(stored, asked, top, signal))) || largestOfAll(stored, asked, top, signal);
}

/** From the features of all rows. Throws FILE_UNREADABLE. */
export async function largestOfAll(
  stored: IndexOnDisk,
  asked: QueryRows,
  top: number,
  signal: AbortSignal | undefined,
): Promise<Largest> {
  const best = new Largest(asked.count, top);
  for await (const { from, table } of tablesOf(stored, asked, signal))
    for (let m = 0; m < table.rows; m++) best.take(m, from, table.row(m));
  return best;
}

/**
 * The same, by the sketches. Null if there are none, or if they rule out too little to be useful.
 * @param mostRead the most samples that are read one by one
 * @throws PergradError FILE_UNREADABLE
 */
export async function largestBySketch(
  stored: IndexOnDisk,
  asked: QueryRows,
  top: number,
  signal: AbortSignal | undefined,
  mostRead = 1 / 4,
): Promise<Largest | null> {
  const { folder, manifest, samples, threads } = stored;
  if (!isSketched(manifest) || asked.count === 0 || 2 * top * asked.count > mostCandidates) return null;
  if (!(await areSketched(folder, Math.ceil(samples / manifest.shardSize)))) return null;
  const products = await SketchProducts.of(manifest, asked.count, threads);
  const shards = new OpenShards(folder, manifest, samples);
  const scorer = await Scorer.of(stored, asked);
  try {
    const most = await mostQueryCode(products, manifest, asked.count);
    const queries = most === null ? null : sketchedQueries(asked.rows, manifest.dims, most);
    if (!queries) return null;
    const search = new Search(stored, asked.count, top, queries, { products, shards, scorer });
    return (await search.look(signal)) ? await search.answer(mostRead * samples) : null;
  } finally {
    await scorer.release();
    await shards.close();
    await products.release();
  }
}

/**
 * The largest code of queries for which the runtime's sums are right: some processors add two products in 16 bits,
 * which overflow for 2 * 255 * 127 but not for 2 * 255 * 64. Null if there is none.
 */
async function mostQueryCode(
  products: SketchProducts,
  { models, dims }: Manifest,
  queries: number,
): Promise<number | null> {
  const shape = [rowsTried, models.length, dims];
  const codes = { dtype: "uint8", dims: shape, data: new Uint8Array(sizeOf(shape)).fill(255) } as const;
  for (const most of [127, 64]) {
    const found = await products.with(
      codes,
      models.map(() => new Int8Array(dims * queries).fill(most)),
    );
    if (found.every((sums) => sums.every((sum) => sum === (255 - zeroCode) * most * dims))) return most;
  }
  return null;
}

/** What a search computes with and reads from. */
interface Means {
  readonly products: SketchProducts;
  readonly shards: OpenShards;
  readonly scorer: Scorer;
}

class Search {
  readonly #candidates: Candidates;
  readonly #bounding: Bounding;

  constructor(
    private readonly stored: IndexOnDisk,
    private readonly count: number,
    private readonly top: number,
    private readonly queries: SketchedQueries,
    private readonly means: Means,
  ) {
    this.#candidates = new Candidates(count, top);
    this.#bounding = new Bounding(queries, stored.manifest.dims, count);
  }

  /** Searches all sketches. False if too many samples remain. */
  async look(signal: AbortSignal | undefined): Promise<boolean> {
    const { folder, manifest, samples, cosine } = this.stored;
    const { products, shards } = this.means;
    const { coarse, fine } = this.queries;
    let next = firstScored;
    let room = new Uint8Array(0);
    for await (const block of sketchBlocksOf(folder, manifest, samples, shards)) {
      signal?.throwIfAborted();
      const found = await products.with(block.codes, coarse.codes);
      const rows = this.#bounding.rows(block, cosine);
      const left = rows.left(found, this.#candidates.bars);
      if (room.length < block.codes.data.length) room = new Uint8Array(block.codes.data.length);
      if (left.length > 0)
        rows.offer(this.#candidates, left, found, await products.with(rowsOf(block.codes, left, room), fine.codes));
      if (this.#candidates.total > mostCandidates && !(await this.#hasFewer())) return false;
      if (block.from + block.samples < next) continue;
      await this.#score();
      next *= untilScored;
    }
    await this.#score();
    return true;
  }

  /** Drops candidates. False if that does not help. */
  async #hasFewer(): Promise<boolean> {
    this.#candidates.compact();
    if (this.#candidates.total <= mostCandidates / 2) return true;
    await this.#score();
    return this.#candidates.total <= mostCandidates / 2;
  }

  /** Scores the best candidates, so that others can be dropped. */
  async #score(): Promise<void> {
    const best = await this.#scored(this.#candidates.best());
    for (let m = 0; m < this.count; m++) this.#candidates.raise(m, best.least(m) * this.#bounding.unit(m));
    this.#candidates.compact();
  }

  /** Null if too many samples remain to read them one by one. */
  async answer(mostRead: number): Promise<Largest | null> {
    const samples = this.#candidates.samples();
    if (samples.length > mostRead) return null;
    const best = await this.#scored(samples, true);
    best.places.forEach((place, k) => {
      best.places[k] = place < 0 ? place : (samples[place] ?? -1);
    });
    return best;
  }

  /**
   * The largest scores among some samples, given in ascending order.
   * @param whole whether they are all candidates, whose bounds are then checked
   */
  async #scored(samples: Int32Array, whole = false): Promise<Largest> {
    const best = new Largest(this.count, this.top);
    const check = whole ? this.#checks(samples) : () => {};
    for await (const { from, table } of scoresOf(this.stored, this.means.shards, this.means.scorer, samples)) {
      check(from, table);
      for (let m = 0; m < table.rows; m++) best.take(m, from, table.row(m));
    }
    return best;
  }

  /** Throws FILE_UNREADABLE if a score is outside its bounds: then the sketch belongs to other rows. */
  #checks(samples: Int32Array): (from: number, table: Table) => void {
    const left = Array.from({ length: this.count }, (_, m) => {
      const list = this.#candidates.of(m);
      return { list, next: list.next() };
    });
    return (from, table) => {
      for (const [m, own] of left.entries())
        for (let k = 0; k < table.columns && !own.next.done; k++) {
          if (own.next.value.sample !== samples[from + k]) continue;
          const { lower, upper } = own.next.value;
          const score = table.at(m, k) * this.#bounding.unit(m);
          if (score < lower || score > upper) throw this.#spoiled(samples[from + k] ?? 0);
          own.next = own.list.next();
        }
    };
  }

  #spoiled(sample: number): PergradError {
    const { folder, manifest } = this.stored;
    return broken(pathOf(folder, Math.floor(sample / manifest.shardSize)), "its sketch is of other features");
  }
}

/** Some rows, one after another in `room`. */
function rowsOf(
  { dims: [, ...dims], data }: Tensor<"uint8">,
  rows: readonly number[],
  room: Uint8Array,
): Tensor<"uint8"> {
  const width = sizeOf(dims);
  for (const [k, row] of rows.entries()) room.set(data.subarray(row * width, (row + 1) * width), k * width);
  return { dtype: "uint8", dims: [rows.length, ...dims], data: room.subarray(0, rows.length * width) };
}
