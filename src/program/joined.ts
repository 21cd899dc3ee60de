/** Joins the results of microbatches to those of one run. */

import type { Output } from "../compile/joining.js";
import { bindShape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { entryOf, present } from "../present.js";
import { areFinite } from "../tensor/finite.js";
import { addDeviations, addTo, times } from "../tensor/float64-sums.js";
import { floatsIn, numberArrayOf, sizeOf, type Tensor, tensorWith, zeroTensor } from "../tensor/tensor.js";
import type { Returned } from "../wants/want.js";

/** Results for some samples. */
export interface Computed {
  readonly returned: Returned;
  readonly samples: number;
  /** The number of samples in sums and means, which is smaller if some are left out. */
  readonly counted: number;
  /** Sums and means that are finite for each part, but not for all parts together. */
  readonly overflowed?: readonly string[];
}

const floats = (tensor: Tensor | undefined) => floatsIn(present(tensor));

/**
 * Joins the results of microbatches. Sums are accumulated in float64 and rounded once. Results that need all samples at once are
 * taken as they are, because there is only one microbatch then.
 */
export class Joined {
  readonly #sums = new Map<string, Float64Array>();
  readonly #tensors = new Map<string, Tensor>();
  readonly #waiting: { readonly returned: Returned; readonly samples: number }[] = [];
  #samples = 0;
  #counted = 0;

  /** @param total the number of samples in all microbatches; if it is not known, per-sample results are held until `finish` */
  constructor(
    private readonly outputs: readonly Output[],
    private readonly total?: number,
  ) {}

  /** @param counted the number of samples in sums and means, if some are left out */
  add(returned: Returned, samples: number, counted = samples): void {
    // Deviations need the sums of the parts before.
    for (const { name, joining } of this.outputs)
      if (joining.kind === "deviations") this.#deviate(name, joining.sum, returned, counted);
    for (const { name, joining } of this.outputs) {
      if (joining.kind === "sum") this.#accumulate(name, entryOf(returned, name), 1);
      if (joining.kind === "mean") this.#accumulate(name, entryOf(returned, name), counted);
      if (joining.kind === "shared" || joining.kind === "whole") this.#tensors.set(name, entryOf(returned, name));
    }
    if (this.total === undefined) this.#waiting.push({ returned: this.#ofSamples(returned), samples });
    else this.#place(returned, samples, this.total);
    this.#samples += samples;
    this.#counted += counted;
  }

  /** The results of all samples. */
  finish(): Computed {
    const samples = this.#samples;
    this.#samples = 0;
    for (const { returned, samples: count } of this.#waiting.splice(0)) {
      this.#place(returned, count, samples);
      this.#samples += count;
    }
    const overflowed: string[] = [];
    for (const { name, value, joining } of this.outputs) {
      const sum = this.#sums.get(name);
      if (!sum) continue;
      const data =
        joining.kind === "mean" ? times(sum, 1 / Math.max(1, this.#counted)) : new (numberArrayOf(value.dtype))(sum);
      if (!areFinite(data) && data.some((each, k) => !Number.isFinite(each) && Number.isFinite(sum[k])))
        overflowed.push(name);
      this.#tensors.set(name, tensorWith(value.dtype, bindShape(value.shape, samples), data));
      this.#sums.delete(name);
    }
    const inOrder = this.outputs.map(({ name }) => [name, present(this.#tensors.get(name))] as const);
    return { returned: Object.fromEntries(inOrder), samples, counted: this.#counted, overflowed };
  }

  #ofSamples(returned: Returned): Returned {
    const own = this.outputs.filter(({ joining }) => joining.kind === "samples");
    return Object.fromEntries(own.map(({ name }) => [name, entryOf(returned, name)]));
  }

  #accumulate(name: string, { data }: Tensor, weight: number): void {
    const part = floatsIn({ data });
    addTo(this.#sumOf(name, part.length), part, weight);
  }

  #deviate(name: string, sum: string, returned: Returned, counted: number): void {
    const part = { count: counted, sum: floats(returned[sum]), deviations: floats(returned[name]) };
    const deviations = this.#sumOf(name, part.sum.length);
    addDeviations({ count: this.#counted, sum: this.#sumOf(sum, part.sum.length), deviations }, part);
  }

  #sumOf(name: string, length: number): Float64Array {
    const sum = this.#sums.get(name) ?? new Float64Array(length);
    this.#sums.set(name, sum);
    return sum;
  }

  #place(returned: Returned, samples: number, total: number): void {
    for (const { name, value, joining } of this.outputs) {
      if (joining.kind !== "samples") continue;
      const { dims, data } = this.#tensor(name, value, total);
      const { axis, outer, inner } = joining.at;
      const blocks = sizeOf(dims.slice(0, axis)) * outer;
      const behind = inner * sizeOf(dims.slice(axis + 1));
      const part = floatsIn(entryOf(returned, name));
      for (let block = 0; block < blocks; block++) {
        const own = part.subarray(block * samples * behind, (block + 1) * samples * behind);
        floatsIn({ data }).set(own, (block * total + this.#samples) * behind);
      }
    }
  }

  #tensor(name: string, { dtype, shape }: Value, total: number): Tensor {
    const before = this.#tensors.get(name);
    if (before) return before;
    const dims = bindShape(shape, total);
    const made = zeroTensor(dtype, dims);
    this.#tensors.set(name, made);
    return made;
  }
}
