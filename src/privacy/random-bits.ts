/** Sources of randomness: a cryptographic generator or, for experiments, a seed. */
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";
import { PergradError } from "../errors.js";

/** A source of random 32-bit words, independent and uniform. */
export interface RandomBits {
  fill(words: Uint32Array<ArrayBuffer>): void;
}

// The most bytes that the Web Crypto API returns at once.
const mostBytes = 65536;

/** The operating system's or browser's cryptographic generator. */
export const secretBits: RandomBits = {
  fill(words) {
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    for (let from = 0; from < bytes.length; from += mostBytes)
      globalThis.crypto.getRandomValues(bytes.subarray(from, from + mostBytes));
  },
};

/** The purposes for which a seeded run draws random numbers. Each has a stream of its own at each step. */
const purposes = { noise: 1, sample: 2, count: 3, order: 4 } as const;
export type Purpose = keyof typeof purposes;

/** The finaliser of MurmurHash3: a bijection in which each bit depends on all. */
function mixed(word: number): number {
  const once = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}

/** Throws INVALID_ARGUMENT. */
export function checkSeed(seed: number): void {
  if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32) return;
  throw new PergradError("INVALID_ARGUMENT", `A seed must be a whole number from 0 to 2^32 - 1, not ${seed}.`);
}

/**
 * The same words for the same seed, purpose and step, so that no state is kept from step to step. Predictable: not for
 * privacy.
 */
export function seededBits(seed: number, purpose: Purpose, step: number): RandomBits {
  checkSeed(seed);
  // Different triples give different states, because each word is a bijection of one of the three, given the others.
  const first = mixed(seed + 0x9e3779b9);
  const second = mixed(step ^ first);
  const third = mixed(purposes[purpose] ^ second);
  const generator = xoroshiro128plusFromState([first, second, third, mixed(third + 1)]);
  return {
    fill(words) {
      for (let i = 0; i < words.length; i++) words[i] = generator.next();
    },
  };
}

const buffered = 8192;

/** Reads words from a source, in blocks. */
export class Words {
  readonly #bits: RandomBits;
  readonly #block = new Uint32Array(buffered);
  #at = buffered;

  constructor(bits: RandomBits) {
    this.#bits = bits;
  }

  /** Uniform below 2^32. */
  next(): number {
    if (this.#at === buffered) {
      this.#bits.fill(this.#block);
      this.#at = 0;
    }
    return this.#block[this.#at++] as number;
  }

  /** Uniform in [0, 1), in steps of 2^-53. */
  unit(): number {
    return ((this.next() >>> 6) * 2 ** 27 + (this.next() >>> 5)) * 2 ** -53;
  }

  /** A whole number below `bound`, which is at most 2^32; all are equally likely. */
  below(bound: number): number {
    // Words from the largest multiple of the bound on would favour small numbers.
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const word = this.next();
      if (word < limit) return word % bound;
    }
  }
}
