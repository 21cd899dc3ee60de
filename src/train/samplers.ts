/** How a step's batch is drawn from the data set, and what this means for the step's privacy. */
import { PergradError } from "../errors.js";
import { type RandomBits, secretBits, seededBits, Words } from "../privacy/random-bits.js";
import type { Sampling } from "./types.js";

export interface Sampler {
  readonly sampling: Sampling;
  /** The average number of samples per step: sums are divided by it. */
  readonly batchSize: number;
  /** The number of steps in which each sample is used once, on average. */
  readonly stepsPerEpoch: number;
  /** The numbers of the samples of a step's batch; steps are counted from 0. */
  draw(step: number): Uint32Array;
}

export interface SamplerOptions {
  readonly samples: number;
  readonly batchSize: number;
  /** Null if a cryptographic generator draws the batches. */
  readonly seed: number | null;
  /** The seed of shuffled orders. */
  readonly order: number;
}

/** The number of steps in which each sample is used once: on average, or exactly if batches are shuffled. */
export function stepsPerEpoch(sampling: Sampling, samples: number, batchSize: number): number {
  return sampling === "shuffled" ? Math.ceil(samples / batchSize) : samples / batchSize;
}

/**
 * The number of steps in `epochs` epochs, rounded up to whole steps. The quotient of two whole numbers may be off by a
 * rounding error.
 */
export function stepsOfEpochs(epochs: number, perEpoch: number): number {
  return Math.ceil(epochs * perEpoch * (1 - 1e-12));
}

/** Throws INVALID_ARGUMENT. */
export function samplerOf(sampling: Sampling, options: SamplerOptions): Sampler {
  const { samples, batchSize, seed } = options;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new PergradError("INVALID_ARGUMENT", `A batch's size must be a whole number from 1 up, not ${batchSize}.`);
  }
  if (batchSize > samples) {
    throw new PergradError(
      "INVALID_ARGUMENT",
      `A batch of ${batchSize} cannot be drawn from ${samples} samples; make it smaller.`,
    );
  }
  const bits = (step: number) => (seed === null ? secretBits : seededBits(seed, "sample", step));
  const common = { sampling, batchSize, stepsPerEpoch: stepsPerEpoch(sampling, samples, batchSize) };
  if (sampling === "poisson") return { ...common, draw: (step) => poisson(samples, batchSize, bits(step)) };
  if (sampling === "uniform") return { ...common, draw: (step) => some(samples, batchSize, bits(step)) };
  return shuffled(options);
}

/** Each of the numbers below `samples`, independently, with probability expected / samples. */
export function poisson(samples: number, expected: number, bits: RandomBits): Uint32Array {
  const threshold = (expected / samples) * 2 ** 32;
  const whole = Math.floor(threshold);
  const words = new Words(bits);
  const drawn: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    const word = words.next();
    // 32 bits nearly always decide; if they do not, 53 more do.
    if (word < whole || (word === whole && words.unit() < threshold - whole)) drawn.push(sample);
  }
  return Uint32Array.from(drawn);
}

/** The numbers below `samples` in random order; or the first `count` of them, if the others are not needed. */
function some(samples: number, count: number, bits: RandomBits): Uint32Array {
  const words = new Words(bits);
  const numbers = Uint32Array.from({ length: samples }, (_, i) => i);
  for (let i = 0; i < count; i++) {
    const j = i + words.below(samples - i);
    [numbers[i], numbers[j]] = [numbers[j] as number, numbers[i] as number];
  }
  return numbers.subarray(0, count);
}

function shuffled({ samples, batchSize, order }: SamplerOptions): Sampler {
  const perEpoch = stepsPerEpoch("shuffled", samples, batchSize);
  let last: { readonly epoch: number; readonly numbers: Uint32Array } | undefined;
  return {
    sampling: "shuffled",
    batchSize,
    stepsPerEpoch: perEpoch,
    draw: (step) => {
      const epoch = Math.floor(step / perEpoch);
      if (last?.epoch !== epoch) last = { epoch, numbers: some(samples, samples, seededBits(order, "order", epoch)) };
      const from = (step % perEpoch) * batchSize;
      return last.numbers.subarray(from, from + batchSize);
    },
  };
}
