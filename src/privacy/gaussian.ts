/**
 * Normal random numbers by the ziggurat method, in the form of Doornik 2005, "An improved ziggurat method to generate
 * normal random samples", with 256 blocks and 53 random bits per number.
 */
import { type RandomBits, Words } from "./random-bits.js";

const blocks = 256;
/**
 * Where the tail of exp(-x^2 / 2) begins, and the area of each block; the lowest block is a rectangle of that width
 * plus the tail.
 */
const tail = 3.6541528853610088;
const area = 0.004928673233974658;

const density = (x: number) => Math.exp(-0.5 * x * x);

/** The blocks' right edges, from the widest to 0; the first is that of a rectangle whose area includes the tail's. */
const edges = (() => {
  const x = new Float64Array(blocks + 1);
  x[0] = area / density(tail);
  x[1] = tail;
  for (let i = 2; i < blocks; i++) {
    const before = x[i - 1] as number;
    x[i] = Math.sqrt(-2 * Math.log(area / before + density(before)));
  }
  return x;
})();
/** The part of each block's width over which the curve is above the whole block. */
const inner = Float64Array.from({ length: blocks }, (_, i) => (edges[i + 1] as number) / (edges[i] as number));

/**
 * For each block, and for u of 53 bits in [-2^52, 2^52): the bound below which u is inside, and the factor that turns u
 * into x.
 */
const insideBelow = inner.map((part) => part * 2 ** 52);
const unitOf = edges.map((edge) => edge * 2 ** -52);

/** The number of values drawn at once: their bits stay in the processor's nearest cache. */
export const normalsAtOnce = 4096;

/** A source of independent normal numbers of mean 0 and variance 1. */
export class Normals {
  readonly #bits: RandomBits;
  readonly #more: Words;
  readonly #words = new Uint32Array(2 * normalsAtOnce);
  readonly #signed = new Int32Array(this.#words.buffer);
  readonly #rest = new Int32Array(normalsAtOnce);

  constructor(bits: RandomBits) {
    this.#bits = bits;
    this.#more = new Words(bits);
  }

  /** Fills the first `count` numbers, at most `normalsAtOnce`. */
  fill(numbers: Float64Array, count: number): void {
    this.#bits.fill(this.#words.subarray(0, 2 * count));
    const left = fillInside(this.#signed, numbers, count, this.#rest);
    for (let i = 0; i < left; i++) {
      const k = this.#rest[i] as number;
      const low = this.#signed[2 * k] as number;
      const u = unitFrom(low, this.#signed[2 * k + 1] as number) * 2 ** -52;
      numbers[k] = nearEdge(this.#more, blockOf(low), u);
    }
  }
}

const blockOf = (low: number) => low & (blocks - 1);
/** The bits that choose the block are not among the 53. */
const unitFrom = (low: number, high: number) => high * 2 ** 21 + (low >>> 11);

// These loops have functions of their own, without calls: that is several times as fast.

/** Turns pairs of words into numbers; returns how many pairs fail, with their places in `rest`. */
function fillInside(words: Int32Array, numbers: Float64Array, count: number, rest: Int32Array): number {
  let left = 0;
  for (let k = 0; k < count; k++) {
    const low = words[2 * k] as number;
    const u = unitFrom(low, words[2 * k + 1] as number);
    numbers[k] = u * (unitOf[blockOf(low)] as number);
    if (Math.abs(u) < (insideBelow[blockOf(low)] as number)) continue;
    rest[left] = k;
    left++;
  }
  return left;
}

/** Reached by about one number in a hundred. */
function nearEdge(words: Words, block: number, u: number): number {
  if (block === 0) return u < 0 ? -inTail(words) : inTail(words);
  const x = u * (edges[block] as number);
  // The curve between the block's lower and upper side, relative to its height at x.
  const lower = Math.exp(0.5 * (x * x - (edges[block] as number) ** 2));
  const upper = Math.exp(0.5 * (x * x - (edges[block + 1] as number) ** 2));
  return lower + words.unit() * (upper - lower) < 1 ? x : anew(words);
}

/** Draws again, after a point above the curve. */
function anew(words: Words): number {
  const block = words.next() & (blocks - 1);
  const u = 2 * words.unit() - 1;
  return Math.abs(u) < (inner[block] as number) ? u * (edges[block] as number) : nearEdge(words, block, u);
}

/** A number in the tail (Marsaglia 1964). */
function inTail(words: Words): number {
  for (;;) {
    // 1 - unit() is never 0.
    const x = -Math.log(1 - words.unit()) / tail;
    const y = -Math.log(1 - words.unit());
    if (2 * y > x * x) return tail + x;
  }
}
