/** Decides how many samples a program computes at a time. */

import { isSummed, type Output, whyWhole } from "../compile/joining.js";
import { PergradError } from "../errors.js";
import { bytesAt, bytesOfValue, type MemoryUse } from "../graph/bytes.js";
import type { Expected } from "../graph/model.js";
import { largeWeights } from "../target/target.js";
import { sizeOf } from "../tensor/tensor.js";

/** Limits on the memory of a run. */
export interface MemoryOptions {
  /**
   * Bytes that a run may take beyond the data, the parameters and the loaded program. A batch that needs more is
   * computed in microbatches, as large as fit. Default: no limit in Node; on WebAssembly, which addresses 4 GiB, 1 GiB
   * if the batch can be split (and no error if a single sample takes more).
   */
  readonly memoryBudget?: number;
  /**
   * The most samples computed at a time. Default: as many as `memoryBudget` allows, and no more than these limits. Sums
   * over samples: at most 256 samples, or 1,024 in a program compiled for that, since longer float32 sums lose digits;
   * and, if products sum over positions too, at most 8,192 positions together (except in models with more than 256 MB
   * of weights). Models with more than 256 MB of weights, if nothing is summed: as many samples as take a quarter of
   * the weights. A batch that would hold more than 16 MiB, and more than 64 times as much as weights and sums: as many
   * samples as take 8 MiB, which is faster.
   */
  readonly microbatchSize?: number;
}

function checkCount(value: number | undefined, what: string): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) return;
  throw new PergradError("INVALID_ARGUMENT", `${what} must be a whole number from 1 up, not ${value}.`);
}

/** Throws INVALID_ARGUMENT. */
export function checkMemoryOptions({ memoryBudget, microbatchSize }: MemoryOptions): void {
  checkCount(memoryBudget, "memoryBudget, in bytes,");
  checkCount(microbatchSize, "microbatchSize, in samples,");
}

/** The largest of 1..most that fits, assuming that everything below one that fits also fits; 0 if none does. */
function largest(most: number, fits: (count: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Results of chunks up to this many bytes stay in a processor's cache, and re-use warm memory. */
const chunkResults = 4 * 2 ** 20;
const chunkMemory = 2 ** 29;
const largestChunk = 256;

/**
 * The most samples whose sum is computed in float32; longer sums are joined in float64. In float32 the runtime adds one
 * term after another: the sum of 256 equal terms is off by up to 10^-6, of 1,024 by 4 10^-6, of 4,096 by 1.5 10^-5
 * (1.30, for products with a row or a column; wider ones are computed in blocks of 128, and their error stays at 2
 * 10^-6 from there on). `parts` is for programs that sum over the samples in parts.
 */
const maxSummed = { whole: 256, parts: 1024 };

/**
 * The most terms in a sum over samples and their positions, in one product of the runtime: the sum of 128 equal terms
 * is off by up to 1.5 10^-6, of 8,192 by 2.5 10^-6, of 65,536 by 7 10^-6 (1.32). Adding up the results of parts takes
 * about 1 % of the time of such a product.
 */
const mostTerms = 2 ** 13;

/**
 * If a run of `maxSummed.whole` samples takes fewer bytes than this, several such runs take longer than one run of all
 * samples: the work is too little for the number of results. A perceptron's step with 1,024 samples took 1.7 to 2 times
 * as long; that of a convolutional network 0.8 to 1.2 times.
 */
const littleMemory = 2 ** 22;
/** The same limit, as a multiple of the bytes of the sums. */
const littleBesideSums = 16;

/** The memory of a large model's run, as a part of the weights, that slows it down only a little. */
const spare = 1 / 4;

/**
 * The size of a run that fits into a processor's cache, or nearly, and is large enough for its nodes' work to outweigh
 * their overhead.
 */
const cached = { bytes: 2 ** 23, samples: 8 };
/**
 * The fewest samples for wants that are faster within the cache, if no parts have to be added up: a perceptron's
 * projections took a sixth less time 4 at a time than 8, and a GPT's took no more 2 at a time.
 */
const fewest = 2;

/**
 * If a run holds more than this multiple of its weights and sums, parts that fit into the cache take less time: a mean
 * gradient of MNIST's small CNN, which holds 100 times as much, took 0.85 times; larger networks gained nothing.
 */
const muchBesideSums = 64;

/** Limits for runs without a budget or a number of samples. */
interface Limits {
  /** Bytes that a run should stay below, if it can. */
  readonly mostMemory?: number | undefined;
  /** Whether it is faster within the cache. Default false. */
  readonly fewAtATime?: boolean;
  /** See `ProgramGraph`. Default 0. */
  readonly summedTerms?: number;
}

export class Microbatches {
  readonly memory: Pick<MemoryUse, "at">;
  readonly #outputs: readonly Output[];
  readonly #whole: string | undefined;
  readonly #isSummed: boolean;
  /** Bytes of the results that do not grow with the batch. Known before runs, which ask for them each time. */
  readonly #fixed: number;

  constructor(
    { outputs, memory }: { readonly outputs: readonly Output[]; readonly memory: Pick<MemoryUse, "at"> },
    private readonly expected: ReadonlyMap<string, Expected>,
    private readonly defaults: MemoryOptions,
    /** Bytes of all weights. */
    private readonly weights: number,
    /** Whether it sums over the samples in parts, so that it may take more at a time. */
    private readonly manySamples = false,
    private readonly limits: Limits = {},
  ) {
    this.memory = memory;
    this.#outputs = outputs;
    this.#whole = whyWhole(outputs, expected);
    this.#isSummed = outputs.some(({ joining }) => isSummed(joining));
    this.#fixed = outputs.reduce((sum, { value }) => sum + bytesOfValue(value).fixed, 0);
  }

  /**
   * The number of samples of each microbatch, about equal for all. Throws MEMORY_BUDGET, and INVALID_ARGUMENT if the
   * batch would have to be split but cannot be.
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

  /**
   * The number of samples of one chunk of a stream: few enough for cheap results, and for the budget. Throws
   * MEMORY_BUDGET.
   */
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

  /** Whether a program that sums over the samples in parts is better for this batch. */
  isForParts(samples: number, options: MemoryOptions): boolean {
    const own = { ...this.defaults, ...defined(options) };
    const { memoryBudget, microbatchSize = samples } = own;
    const { whole } = maxSummed;
    if (this.manySamples || !this.#isSummed || this.weights >= largeWeights) return false;
    if (asksNothing(own) && this.#inCache(samples) < samples) return false;
    if (Math.min(samples, microbatchSize) <= whole) return false;
    // Such a program holds no sums in float64 besides its own.
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

  get #mostAccurate(): number {
    if (!this.#isSummed || this.#whole !== undefined) return Number.POSITIVE_INFINITY;
    const most = this.manySamples ? maxSummed.parts : maxSummed.whole;
    // Adding up parts takes twice the memory of the sums, which matters more in a large model.
    if (this.weights >= largeWeights) return most;
    const { summedTerms = 0 } = this.limits;
    return Math.min(most, Math.max(1, Math.floor(mostTerms / Math.max(1, summedTerms))));
  }

  /** The number of samples at a time if neither a budget nor a number is given. */
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

  /**
   * Whether a run holds so much more than weights and sums, which every part reads and adds up, that parts take less
   * time.
   */
  #leavesCache(samples: number): boolean {
    const memory = this.memory.at(samples);
    return memory > 2 * cached.bytes && memory > muchBesideSums * (this.weights + this.#fixed);
  }

  /**
   * The number of samples of a large model at a time. Sums are not split: adding up parts takes twice the memory of the
   * weights.
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

  /** The bytes of a run of this many samples, as `run` computes them by default. */
  bytesOf(samples: number): number {
    const most = Math.min(this.#mostAccurate, asksNothing(this.defaults) ? this.#inCache(samples) : samples);
    if (samples <= most || this.isForParts(samples, {})) return this.memory.at(samples);
    return this.#inParts(samples, Math.ceil(samples / Math.ceil(samples / most)));
  }

  /** Throws INVALID_ARGUMENT if results of parts cannot be joined. */
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

  /**
   * The bytes of a batch in microbatches: one microbatch, the results gathered from all, and its part of the data if
   * that is copied.
   */
  #inParts(samples: number, microbatch: number): number {
    return this.memory.at(microbatch) + this.#gathered(samples) + this.#copied(microbatch);
  }

  #gathered(samples: number): number {
    return this.#outputs.reduce((sum, { value, joining }) => {
      const own = bytesAt(bytesOfValue(value), samples);
      // Sums are held in float64, and rounded in the end.
      return sum + (isSummed(joining) ? 3 * own : own);
    }, 0);
  }

  #copied(microbatch: number): number {
    return [...this.expected.values()].reduce((sum, { value, sampleAxis }) => {
      const view = sampleAxis === null || sizeOf(value.shape.slice(0, sampleAxis).map(Number)) === 1;
      return sum + (view ? 0 : bytesAt(bytesOfValue(value), microbatch));
    }, 0);
  }

  /** The bytes of results that grow with the number of samples. */
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
