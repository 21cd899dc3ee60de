/** Reproducible choices: what a seed stands for. */
export class Choices {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2654435761 + 12345) >>> 0;
  }

  /** In 0..1 (mulberry32). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  }

  /** In 0..below-1. */
  index(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  of<T>(list: readonly T[]): T {
    return list[this.index(list.length)] as T;
  }

  shuffled<T>(list: readonly T[]): T[] {
    const left = [...list];
    return list.map(() => left.splice(this.index(left.length), 1)[0] as T);
  }

  /** Numbers of the order of 1 that are neither round nor equal. */
  numbers(count: number, scale = 1): Float64Array {
    return Float64Array.from({ length: count }, () => Math.fround((this.fraction() * 2 - 1) * scale));
  }

  dims(minRank: number, maxRank: number, most = 3): number[] {
    const rank = minRank + this.index(maxRank - minRank + 1);
    return Array.from({ length: rank }, () => 1 + this.index(most));
  }
}
