/** Sums of many independent losses, by Fourier transform. */
import type FFT from "fft.js";
import type { Grid } from "./grid.js";
import { logSumExp, type Repeated } from "./moments.js";

/**
 * A grid whose masses are weighted by e^(theta * loss) and scaled to 1. The weights move the losses that matter for a
 * small delta to the middle of the distribution, where the rounding of a transform is small beside them.
 */
export class Tilted {
  readonly #losses: Float64Array;
  readonly #logMasses: Float64Array;
  readonly #moment: number;
  /** The index of the mean, which `spectrum` places at 0. */
  readonly #middle: number;
  /** The first half of the transform, with real and imaginary parts alternating. */
  readonly #spectrum: Float64Array;

  constructor(grid: Grid, theta: number, fft: FFT) {
    const { first, step, masses } = grid;
    const size = masses.length;
    this.#losses = new Float64Array(size);
    this.#logMasses = new Float64Array(size);
    for (let i = 0; i < size; i++) {
      this.#losses[i] = (first + i) * step;
      this.#logMasses[i] = Math.log(masses[i] ?? 0);
    }
    this.#moment = this.logMoment(theta);
    const weighted = new Float64Array(size);
    let mean = 0;
    for (let i = 0; i < size; i++) {
      weighted[i] = Math.exp((this.#logMasses[i] ?? 0) + theta * (this.#losses[i] ?? 0) - this.#moment);
      mean += i * (weighted[i] ?? 0);
    }
    this.#middle = first + Math.round(mean);
    const folded = new Float64Array(fft.size);
    for (let i = 0; i < size; i++) {
      const at = modulo(first + i - this.#middle, fft.size);
      folded[at] = (folded[at] ?? 0) + (weighted[i] ?? 0);
    }
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

  /** Multiplies each number of a spectrum by the corresponding one of this spectrum, `times` times. */
  multiply(spectrum: Float64Array, times: number): void {
    const own = this.#spectrum;
    for (let k = 0; k < own.length; k += 2) {
      let re = spectrum[k] ?? 0;
      let im = spectrum[k + 1] ?? 0;
      let baseRe = own[k] ?? 0;
      let baseIm = own[k + 1] ?? 0;
      for (let left = times; left > 0; left = Math.floor(left / 2)) {
        if (left % 2 === 1) {
          const product = re * baseRe - im * baseIm;
          im = re * baseIm + im * baseRe;
          re = product;
        }
        const square = baseRe * baseRe - baseIm * baseIm;
        baseIm *= 2 * baseRe;
        baseRe = square;
      }
      spectrum[k] = re;
      spectrum[k + 1] = im;
    }
  }
}

/**
 * The weighted masses of the sum of all losses, for as many indices from `first` on as the transform has. Masses
 * outside are folded into these.
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
  const masses = new Float64Array(fft.size);
  const start = modulo(first - shift, fft.size);
  for (let i = 0; i < fft.size; i++) masses[i] = folded[2 * ((start + i) % fft.size)] ?? 0;
  return masses;
}

function modulo(index: number, size: number): number {
  return ((index % size) + size) % size;
}
