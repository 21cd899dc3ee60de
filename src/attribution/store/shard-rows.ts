/** The rows of a shard while they are computed, in the form in which they will be stored, with their sketches. */
import { nth } from "../../present.js";
import { roundToHalves } from "../../tensor/float16.js";
import type { Manifest } from "./manifest.js";
import type { StoredRows } from "./shards.js";
import { isSketched, sketchRow } from "./sketch.js";

/** The most numbers in a block of rows, unless a single sample has more: the number written at once. */
const blockNumbers = 2 ** 20;

export class ShardRows {
  readonly #blocks: StoredRows[] = [];
  readonly #rowsOfBlock: number;
  /** A row, divided by its largest number. */
  readonly #scaled: Float32Array;
  #samples = 0;

  constructor(private readonly manifest: Pick<Manifest, "models" | "dims" | "storage">) {
    this.#rowsOfBlock = Math.max(1, Math.floor(blockNumbers / (manifest.models.length * manifest.dims)));
    this.#scaled = new Float32Array(manifest.dims);
  }

  /**
   * Stores a model's part of a sample's row.
   * @param sample counted from the shard's first one
   * @param row the projected gradient, `[dims]`
   */
  put(sample: number, model: number, row: Float32Array, { norm, weight }: { norm: number; weight: number }): void {
    const { dims, models } = this.manifest;
    const block = this.#blockOf(sample);
    const at = (sample % this.#rowsOfBlock) * models.length + model;
    block.scales[at] = scaleTo(this.#scaled, row);
    block.norms[at] = norm;
    block.weights[at] = weight;
    const { features, sketch } = block;
    if (features instanceof Uint16Array) roundToHalves(this.#scaled, features.subarray(at * dims, (at + 1) * dims));
    else features.set(this.#scaled, at * dims);
    if (sketch) sketchRow(this.#scaled, sketch, at);
    this.#samples = Math.max(this.#samples, sample + 1);
  }

  /** The rows, one block after another. */
  *parts(): Generator<StoredRows> {
    for (let from = 0; from < this.#samples; from += this.#rowsOfBlock) {
      const samples = Math.min(this.#rowsOfBlock, this.#samples - from);
      yield firstOf(nth(this.#blocks, from / this.#rowsOfBlock), samples);
    }
  }

  /** Drops the rows; their memory is used for the next ones. */
  clear(): void {
    this.#samples = 0;
  }

  #blockOf(sample: number): StoredRows {
    const number = Math.floor(sample / this.#rowsOfBlock);
    while (this.#blocks.length <= number) this.#blocks.push(emptyRows(this.#rowsOfBlock, this.manifest));
    return nth(this.#blocks, number);
  }
}

function emptyRows(
  samples: number,
  { models, dims, storage }: Pick<Manifest, "models" | "dims" | "storage">,
): StoredRows {
  const rows = samples * models.length;
  const each = () => new Float32Array(rows);
  return {
    samples,
    features: storage === "float16" ? new Uint16Array(rows * dims) : new Float32Array(rows * dims),
    scales: each(),
    norms: each(),
    weights: each(),
    sketch: isSketched({ dims })
      ? { codes: new Uint8Array(rows * dims), steps: each(), errors: each(), sizes: each() }
      : null,
  };
}

/** The first samples of a block. */
function firstOf({ features, sketch, ...block }: StoredRows, samples: number): StoredRows {
  if (samples === block.samples) return { features, sketch, ...block };
  const rows = (samples * block.scales.length) / block.samples;
  const numbers = (samples * features.length) / block.samples;
  const part = (each: Float32Array) => each.subarray(0, rows);
  return {
    samples,
    features: features.subarray(0, numbers),
    scales: part(block.scales),
    norms: part(block.norms),
    weights: part(block.weights),
    sketch: sketch && {
      codes: sketch.codes.subarray(0, numbers),
      steps: part(sketch.steps),
      errors: part(sketch.errors),
      sizes: part(sketch.sizes),
    },
  };
}

/** Writes a row divided by its largest number, and returns that number. */
function scaleTo(scaled: Float32Array, row: Float32Array): number {
  let scale = 0;
  for (let k = 0; k < row.length; k++) {
    const size = Math.abs(row[k] ?? 0);
    if (size > scale) scale = size;
  }
  const divisor = scale === 0 ? 1 : scale;
  for (let k = 0; k < row.length; k++) scaled[k] = (row[k] ?? 0) / divisor;
  return scale;
}
