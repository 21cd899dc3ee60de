/** Decides how many samples a program computes at a time. */

import { isSummed, type Output, whyWhole } from "../compile/joining.js";
import { PergradError } from "../errors.js";
import { bytesAt, bytesOfValue, type MemoryUse } from "../graph/bytes.js";
import type { Expected } from "../graph/model.js";
import { largeWeights } from "../target/target.js";
import { sizeOf } from "../tensor/tensor.js";

/** How much memory a run may take. */
export interface MemoryOptions {
  /**
   * Bytes that a run may take beyond the data, the parameters and the loaded program. A batch that needs more is
   * computed in microbatches, as large as fit. Default: no limit in Node; on WebAssembly, which addresses 4 GiB, 1 GiB
   * where the batch can be split, with no error where one sample alone takes more.
   */
  readonly memoryBudget?: number;
  /**
   * Samples computed at a time, at most. Default: as many as `memoryBudget` allows; of a model with more than 256 MB of
   * weights, where nothing is summed, as many as take a quarter of the weights; where a batch would hold more than 16 MiB
   * and more than 64 times as much as weights and sums, as many as take 8 MiB, which is faster. Of what is summed over the samples at
   * most 256, or 1,024 by a program that is compiled for that, since longer float32 sums lose digits; and no more than
   * have 8,192 positions together, where products sum over these too (not of a model with more than 256 MB of weights).
   */
  readonly microbatchSize?: number;
}

function checkCount(value: number | undefined, what: string): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) return;
  throw new PergradError("INVALID_ARGUMENT", `${what} is a whole number from 1 up, not ${value}.`);
}

/** Throws INVALID_ARGUMENT. */
export function checkMemoryOptions({ memoryBudget, microbatchSize }: MemoryOptions): void {
  checkCount(memoryBudget, "memoryBudget, in bytes,");
  checkCount(microbatchSize, "microbatchSize, in samples,");
}

/** The largest of 1..most that fits, where all below one that fits do; 0 where none does. */
function largest(most: number, fits: (count: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Chunks' results of up to this many bytes stay in a processor's cache, and re-use memory that is warm. */
const chunkResults = 4 * 2 ** 20;
const chunkMemory = 2 ** 29;
const largestChunk = 256;

/**
 * Samples whose sum is computed in float32; sums over more are put together in float64. In float32 the runtime adds
 * one to another: of 256 equal ones the sum is off by up to 10^-6, of 1,024 by 4 10^-6, of 4,096 by 1.5 10^-5 (1.30,
 * products with a row or a column; wider ones are taken in blocks of 128 and err by 2 10^-6 from there on). `parts` is
 * for programs that sum over the samples in parts.
 */
const maxSummed = { whole: 256, parts: 1024 };

/**
 * Terms of a sum over samples and their positions, by a product of the runtime's: of 128 equal ones it is off by up to
 * 1.5 10^-6, of 8,192 by 2.5 10^-6, of 65,536 by 7 10^-6 (1.32). To add up what parts give takes about 1 % of such a product.
 */
const mostTerms = 2 ** 13;

/**
 * Bytes of a run of `maxSummed.whole` samples below which runs of so many take longer than one of all: for so little
 * work the results of each run are too many. A perceptron's step with 1,024 samples took 1.7 to 2 times as long; that
 * of a convolutional network of 0.8 to 1.2 times.
 */
const littleMemory = 2 ** 22;
/** The same, as a multiple of the bytes of the sums. */
const littleBesideSums = 16;

/** What a run of a large model takes beside the weights, in parts of these, where it costs no more than a little time. */
const spare = 1 / 4;

/** A run that fits into a processor's cache, or nearly, and is not so small that its nodes take longer than their work. */
const cached = { bytes: 2 ** 23, samples: 8 };
/**
 * The same of what is faster within the cache, where no parts have to be added up: a perceptron's projections took a sixth less
 * time 4 at a time than 8, and those of a GPT no more 2 at a time.
 */
const fewest = 2;

/**
 * What a run holds, as a multiple of its weights and sums, from which parts in the cache take less time: a mean gradient of
 * MNIST's small CNN 0.85 times, with 100 times as much; larger networks gained nothing.
 */
const muchBesideSums = 64;

/** What runs keep to where neither a budget nor a number of samples is given. */
interface Limits {
  /** Bytes of a run, if it can be so little. */
  readonly mostMemory?: number | undefined;
  /** It is faster within the cache. Default false. */
  readonly fewAtATime?: boolean;
  /** See `ProgramGraph`. Default 0. */
  readonly summedTerms?: number;
}

export class Microbatches {
  readonly memory: Pick<MemoryUse, "at">;
  readonly #outputs: readonly Output[];
  readonly #whole: string | undefined;

  constructor(
    { outputs, memory }: { readonly outputs: readonly Output[]; readonly memory: Pick<MemoryUse, "at"> },
    private readonly expected: ReadonlyMap<string, Expected>,
    private readonly defaults: MemoryOptions,
    /** Bytes of all weights. */
    private readonly weights: number,
    /** It sums over the samples in parts, so that it may take more at a time. */
    private readonly manySamples = false,
    private readonly limits: Limits = {},
  ) {
    this.memory = memory;
    this.#outputs = outputs;
    this.#whole = whyWhole(outputs, expected);
  }

  /**
   * Samples of each microbatch of a batch, about as many in each. Throws MEMORY_BUDGET, and INVALID_ARGUMENT where
   * the batch would have to be split and cannot be.
   */
  sizeFor(samples: number, options: MemoryOptions): number {
    checkMemoryOptions(options);
    const { memoryBudget, ...own } = { ...this.defaults, ...defined(options) };
    const { microbatchSize = memoryBudget === undefined ? this.#unasked(samples) : samples } = own;
    const most = memoryBudget === undefined ? samples : this.#fitting(samples, memoryBudget);
    const size = Math.min(samples, most, microbatchSize, this.#mostAccurate);
    if (size < samples) this.requireSplit(`a batch of ${samples} samples cannot be computed ${size} at a time`);
    return size === 0 ? 0 : Math.ceil(samples / Math.ceil(samples / size));
  }

  /** Samples of one chunk of a stream: few enough for cheap results, and for the budget. Throws MEMORY_BUDGET. */
  chunkSize(options: MemoryOptions & { readonly chunkSize?: number }): number {
    checkMemoryOptions(options);
    checkCount(options.chunkSize, "chunkSize");
    if (options.chunkSize !== undefined) return options.chunkSize;
    const { microbatchSize = largestChunk, memoryBudget } = { ...this.defaults, ...defined(options) };
    if (memoryBudget !== undefined) this.#requireOne(1, memoryBudget);
    const budget = memoryBudget ?? chunkMemory;
    const fits = (count: number) => this.memory.at(count) <= budget && this.#perSample(count) <= chunkResults;
    return Math.max(1, largest(Math.min(largestChunk, microbatchSize), fits));
  }

  /** Whether a batch is better run by a program that sums over the samples in parts. */
  isForParts(samples: number, options: MemoryOptions): boolean {
    const own = { ...this.defaults, ...defined(options) };
    const { memoryBudget, microbatchSize = samples } = own;
    const { whole } = maxSummed;
    if (this.manySamples || !this.#isSummed || this.weights >= largeWeights) return false;
    if (asksNothing(own) && this.#inCache(samples) < samples) return false;
    if (Math.min(samples, microbatchSize) <= whole) return false;
    // It takes no sums in float64 beside its own.
    if (memoryBudget !== undefined)
      return this.#inParts(samples, 1) > memoryBudget && this.memory.at(samples) <= memoryBudget;
    const sums = this.#outputs.filter(({ joining }) => isSummed(joining)).map(({ value }) => bytesOfValue(value).fixed);
    const memory = this.memory.at(whole);
    return (
      this.#whole !== undefined ||
      memory < littleMemory ||
      memory < littleBesideSums * sums.reduce((sum, each) => sum + each, 0)
    );
  }

  get #isSummed(): boolean {
    return this.#outputs.some(({ joining }) => isSummed(joining));
  }

  get #mostAccurate(): number {
    if (!this.#isSummed || this.#whole !== undefined) return Number.POSITIVE_INFINITY;
    const most = this.manySamples ? maxSummed.parts : maxSummed.whole;
    // What adds up parts is twice as large as the sums: in a large model that counts for more.
    if (this.weights >= largeWeights) return most;
    const { summedTerms = 0 } = this.limits;
    return Math.min(most, Math.max(1, Math.floor(mostTerms / Math.max(1, summedTerms))));
  }

  /** Samples at a time where neither a budget nor a number of samples is given. */
  #unasked(samples: number): number {
    const { mostMemory = Number.POSITIVE_INFINITY } = this.limits;
    const most = Math.min(this.#lowMemory(samples), this.#inCache(samples));
    if (this.#whole !== undefined || this.memory.at(most) <= mostMemory) return most;
    return Math.max(
      1,
      largest(most - 1, (count) => this.memory.at(count) <= mostMemory),
    );
  }

  #inCache(samples: number): number {
    const { fewAtATime = false } = this.limits;
    const least = fewAtATime && !this.#isSummed ? fewest : cached.samples;
    if (this.#whole !== undefined || samples <= least) return samples;
    if (!fewAtATime && !this.#leavesCache(samples)) return samples;
    const most = largest(samples, (count) => this.memory.at(count) <= cached.bytes);
    return Math.max(least, most);
  }

  /** Whether a run holds so much beside weights and sums, which every part reads and adds up, that parts take less time. */
  #leavesCache(samples: number): boolean {
    const sums = this.#outputs.reduce((sum, { value }) => sum + bytesOfValue(value).fixed, 0);
    const memory = this.memory.at(samples);
    return memory > 2 * cached.bytes && memory > muchBesideSums * (this.weights + sums);
  }

  /**
   * Samples of a large model at a time. Sums stay whole: what adds those of parts up is twice as large as the weights.
   */
  #lowMemory(samples: number): number {
    const budget = this.weights * spare;
    const isWhole = this.#whole !== undefined || this.#isSummed;
    const isSpare = isWhole || this.weights < largeWeights || this.memory.at(samples) <= budget;
    if (isSpare || this.#gathered(samples) > budget / 2) return samples;
    return Math.max(
      1,
      largest(samples - 1, (count) => this.#inParts(samples, count) <= budget),
    );
  }

  /** Bytes of a run of so many samples, as `run` computes them by default. */
  bytesOf(samples: number): number {
    const most = Math.min(this.#mostAccurate, asksNothing(this.defaults) ? this.#inCache(samples) : samples);
    if (samples <= most || this.isForParts(samples, {})) return this.memory.at(samples);
    return this.#inParts(samples, Math.ceil(samples / Math.ceil(samples / most)));
  }

  /** Throws INVALID_ARGUMENT where results of parts cannot be put together. */
  requireSplit(what: string): void {
    if (this.#whole === undefined) return;
    throw new PergradError(
      "INVALID_ARGUMENT",
      `${what.charAt(0).toUpperCase()}${what.slice(1)}: ${this.#whole}; give smaller batches, or more memory.`,
    );
  }

  #fitting(samples: number, budget: number): number {
    if (samples <= this.#mostAccurate && this.memory.at(samples) <= budget) return samples;
    this.#requireOne(samples, budget);
    return largest(samples - 1, (count) => this.#inParts(samples, count) <= budget);
  }

  #requireOne(samples: number, budget: number): void {
    const needed = samples > 1 ? this.#inParts(samples, 1) : this.memory.at(1);
    if (needed <= budget) return;
    const [one, whole] = [sizeText(this.memory.at(1)), sizeText(needed - this.memory.at(1))];
    const beside = samples > 1 ? ` and the results of ${samples} samples ${whole}` : "";
    throw new PergradError(
      "MEMORY_BUDGET",
      `A memory budget of ${sizeText(budget)} is too small: one sample alone takes ${one}${beside}.`,
    );
  }

  /** Bytes of a batch in microbatches: one of them, what is gathered of all, and its part of the data where copied. */
  #inParts(samples: number, microbatch: number): number {
    return this.memory.at(microbatch) + this.#gathered(samples) + this.#copied(microbatch);
  }

  #gathered(samples: number): number {
    return this.#outputs.reduce((sum, { value, joining }) => {
      const own = bytesAt(bytesOfValue(value), samples);
      // Sums are held in float64, and rounded.
      return sum + (isSummed(joining) ? 3 * own : own);
    }, 0);
  }

  #copied(microbatch: number): number {
    return [...this.expected.values()].reduce((sum, { value, sampleAxis }) => {
      const view = sampleAxis === null || sizeOf(value.shape.slice(0, sampleAxis).map(Number)) === 1;
      return sum + (view ? 0 : bytesAt(bytesOfValue(value), microbatch));
    }, 0);
  }

  /** Bytes of results that grow with the samples. */
  #perSample(samples: number): number {
    return this.#outputs.reduce((sum, { value }) => {
      const { perSample, perPair } = bytesOfValue(value);
      return sum + samples * (perSample + samples * perPair);
    }, 0);
  }
}

function asksNothing({ memoryBudget, microbatchSize }: MemoryOptions): boolean {
  return memoryBudget === undefined && microbatchSize === undefined;
}

function defined(options: MemoryOptions): MemoryOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function sizeText(bytes: number): string {
  if (bytes < 2 ** 14) return `${bytes} bytes`;
  const [unit, size] = bytes < 2 ** 23 ? ["KiB", 2 ** 10] : ["MiB", 2 ** 20];
  return `${Math.round(bytes / size)} ${unit}`;
}
