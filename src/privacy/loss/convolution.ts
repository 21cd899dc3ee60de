/** Sums of many independent losses, by Fourier transform. */
import type FFT from "fft.js";
import type { Grid } from "./grid.js";
import { logSumExp, type Repeated } from "./moments.js";

/**
 * A grid whose masses are weighted by e^(theta * loss) and scaled to 1. The weights put the losses that matter to a
 * small delta in the middle of the distribution, where the rounding of a transform is small beside them.
 */
export class Tilted {
  readonly #losses: Float64Array;
  readonly #logMasses: Float64Array;
  readonly #moment: number;
  /** The index of the mean, which is at 0 in `spectrum`. */
  readonly #middle: number;
  /** The first half of the transform, real and imaginary parts in turn. */
  readonly #spectrum: Float64Array;

  constructor(grid: Grid, theta: number, fft: FFT) {
    this.#losses = Float64Array.from(grid.masses, (_, i) => (grid.first + i) * grid.step);
    this.#logMasses = grid.masses.map(Math.log);
    this.#moment = this.logMoment(theta);
    const weighted = this.#logMasses.map((log, i) => Math.exp(log + theta * (this.#losses[i] ?? 0) - this.#moment));
    this.#middle = grid.first + Math.round(weighted.reduce((sum, mass, i) => sum + i * mass, 0));
    const folded = new Float64Array(fft.size);
    weighted.forEach((mass, i) => {
      const at = modulo(grid.first + i - this.#middle, fft.size);
      folded[at] = (folded[at] ?? 0) + mass;
    });
    const transformed = new Float64Array(2 * fft.size);
    fft.realTransform(transformed, folded);
    this.#spectrum = transformed.slice(0, fft.size + 2);
  }

  /** log of the sum of masses times e^(theta * loss). */
  logMoment(theta: number): number {
    return logSumExp(this.#losses, this.#logMasses, theta);
  }

  get moment(): number {
    return this.#moment;
  }

  get middle(): number {
    return this.#middle;
  }

  /** Multiplies each number of a spectrum by that of this one, `times` times. */
  multiply(spectrum: Float64Array, times: number): void {
    for (let k = 0; k < this.#spectrum.length; k += 2) {
      let [re, im] = [spectrum[k] ?? 0, spectrum[k + 1] ?? 0];
      let [baseRe, baseIm] = [this.#spectrum[k] ?? 0, this.#spectrum[k + 1] ?? 0];
      // Not by bit operations: there may be more than 2^31 times.
      for (let left = times; left > 0; left = Math.floor(left / 2)) {
        if (left % 2 === 1) [re, im] = [re * baseRe - im * baseIm, re * baseIm + im * baseRe];
        [baseRe, baseIm] = [baseRe * baseRe - baseIm * baseIm, 2 * baseRe * baseIm];
      }
      spectrum[k] = re;
      spectrum[k + 1] = im;
    }
  }
}

/**
 * The weighted masses of the sum of all losses: those of the indices from `first` on, as many as the transform has.
 * What lies outside is folded into it.
 */
export function convolved(parts: readonly Repeated<Tilted>[], first: number, fft: FFT): Float64Array {
  const spectrum = new Float64Array(2 * fft.size);
  const half = spectrum.subarray(0, fft.size + 2);
  for (let k = 0; k < half.length; k += 2) half[k] = 1;
  for (const { of, times } of parts) of.multiply(half, times);
  fft.completeSpectrum(spectrum);
  const folded = new Float64Array(2 * fft.size);
  fft.inverseTransform(folded, spectrum);
  const shift = parts.reduce((sum, { of, times }) => sum + modulo(of.middle * times, fft.size), 0);
  return Float64Array.from({ length: fft.size }, (_, i) => folded[2 * modulo(first + i - shift, fft.size)] ?? 0);
}

function modulo(index: number, size: number): number {
  return ((index % size) + size) % size;
}
