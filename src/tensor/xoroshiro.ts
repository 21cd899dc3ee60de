/** The generator of initial weights: a large model draws a billion numbers from it. */
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/**
 * xoroshiro128+ of Blackman and Vigna (2018). It draws the numbers of `pure-rand`, but takes the steps in loops over
 * arrays: a call for each number costs several times as much as the number itself.
 */
export class Xoroshiro {
  /** Two words of 64 bits, each as an upper and a lower half: the first word, then the second. */
  readonly #state: Int32Array;

  constructor(seed: number) {
    const generator = xoroshiro128plus(seed);
    // Neighbouring seeds start out with similar numbers, but no longer after a jump far along the sequence.
    generator.jump();
    this.#state = Int32Array.from(generator.getState());
  }

  /** Numbers uniform in [0, 1), multiples of 2^-53, in the elements from `start` to before `end`. */
  fill(to: Float64Array, start = 0, end = to.length): void {
    const state = this.#state;
    let s01 = state[0] as number;
    let s00 = state[1] as number;
    let s11 = state[2] as number;
    let s10 = state[3] as number;
    let upper = 0;
    for (let step = 2 * start; step < 2 * end; step++) {
      const sum = (s00 + s10) | 0;
      // A number takes the lower 26 bits of one sum and the lower 27 of the next.
      if ((step & 1) === 0) upper = (sum & 0x3ffffff) * 2 ** -26;
      else to[step >> 1] = upper + (sum & 0x7ffffff) * 2 ** -53;
      const low = s10 ^ s00;
      const high = s11 ^ s01;
      const before00 = s00;
      const before01 = s01;
      s00 = (before00 << 24) ^ (before01 >>> 8) ^ low ^ (low << 16);
      s01 = (before01 << 24) ^ (before00 >>> 8) ^ high ^ ((high << 16) | (low >>> 16));
      s10 = (high << 5) ^ (low >>> 27);
      s11 = (low << 5) ^ (high >>> 27);
    }
    state[0] = s01;
    state[1] = s00;
    state[2] = s11;
    state[3] = s10;
  }
}
