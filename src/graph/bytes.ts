/** How many bytes values take, as a function of the batch size. */
import { nth } from "../present.js";
import { bytesOf } from "../tensor/tensor.js";
import { factorOf, isBatch } from "./dim.js";
import type { Value } from "./value.js";

/** Bytes as a function of the batch size N: fixed + perSample * N + perPair * N². */
export interface Bytes {
  readonly fixed: number;
  readonly perSample: number;
  readonly perPair: number;
}

export const noBytes: Bytes = { fixed: 0, perSample: 0, perPair: 0 };

export function plusBytes(a: Bytes, b: Bytes, times = 1): Bytes {
  return {
    fixed: a.fixed + times * b.fixed,
    perSample: a.perSample + times * b.perSample,
    perPair: a.perPair + times * b.perPair,
  };
}

export function addBytes(all: readonly Bytes[]): Bytes {
  return all.reduce((sum, bytes) => plusBytes(sum, bytes), noBytes);
}

export function timesBytes(bytes: Bytes, times: number): Bytes {
  return plusBytes(noBytes, bytes, times);
}

export function bytesAt({ fixed, perSample, perPair }: Bytes, samples: number): number {
  return fixed + samples * (perSample + samples * perPair);
}

/** Bytes of one tensor. */
export function bytesOfValue({ shape, dtype }: Pick<Value, "shape" | "dtype">): Bytes {
  let size = bytesOf(dtype);
  let batches = 0;
  for (const dim of shape) {
    size *= factorOf(dim);
    if (isBatch(dim)) batches += 1;
  }
  return { fixed: batches === 0 ? size : 0, perSample: batches === 1 ? size : 0, perPair: batches > 1 ? size : 0 };
}

/**
 * The bytes alive at the moments of an execution; moments that another one exceeds at every batch size are left out.
 */
export class MemoryUse {
  readonly #moments: readonly Bytes[];

  constructor(moments: readonly Bytes[]) {
    const within = (a: Bytes, b: Bytes) => a.fixed <= b.fixed && a.perSample <= b.perSample && a.perPair <= b.perPair;
    const kept: Bytes[] = [];
    for (const moment of moments) {
      if (kept.some((other) => within(moment, other))) continue;
      for (let k = kept.length - 1; k >= 0; k--) if (within(nth(kept, k), moment)) kept.splice(k, 1);
      kept.push(moment);
    }
    this.#moments = kept;
  }

  get moments(): readonly Bytes[] {
    return this.#moments;
  }

  /** The largest number of bytes alive at once. */
  at(samples: number): number {
    return this.#moments.reduce((most, moment) => Math.max(most, bytesAt(moment, samples)), 0);
  }
}
