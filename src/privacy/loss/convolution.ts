/** Sums of many independent losses, by Fourier transform. */
import type FFT from "fft.js";
import type { Grid } from "./grid.js";
import { logSumExp, type Repeated } from "./moments.js";

/** The square of a factor, among those of a transform whose largest product is 1, that makes a product count as 0. */
const negligible = 1e-120;

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
        // Most frequencies soon vanish beside the rounding of the others; going on to denormal numbers is slow.
        if (baseRe * baseRe + baseIm * baseIm < negligible) {
          re = 0;
          im = 0;
          break;
        }
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
  const { size } = fft;
  const spectrum = new Float64Array(size + 2);
  for (let k = 0; k < spectrum.length; k += 2) spectrum[k] = 1;
  for (const { of, times } of parts) of.multiply(spectrum, times);
  const shift = parts.reduce((sum, { of, times }) => sum + modulo(of.middle * times, size), 0);
  return inverse(spectrum, modulo(first - shift, size), fft);
}

/**
 * The real numbers, from index `start` on and around, with this first half of a transform. Another transform of real
 * numbers gives them, which takes half the time of a complex one: of the sums of real and imaginary parts, which
 * in the other half are the differences. Each result is such a sum again.
 */
function inverse(half: Float64Array, start: number, fft: FFT): Float64Array {
  const { size } = fft;
  const sums = new Float64Array(size);
  for (let k = 0; k < size; k++) sums[k] = joined(half, k, size) / size;
  const transformed = new Float64Array(2 * size);
  fft.realTransform(transformed, sums);
  const numbers = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const at = start + i;
    numbers[i] = joined(transformed, at < size ? at : at - size, size);
  }
  return numbers;
}

function joined(half: Float64Array, at: number, size: number): number {
  if (2 * at <= size) return (half[2 * at] ?? 0) + (half[2 * at + 1] ?? 0);
  return (half[2 * (size - at)] ?? 0) - (half[2 * (size - at) + 1] ?? 0);
}

function modulo(index: number, size: number): number {
  return ((index % size) + size) % size;
}
