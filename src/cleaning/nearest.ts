/** Nearest neighbours of rows of length 1, all against all. */
import { compiled } from "../program/compiled.js";
import { floatsIn } from "../tensor/tensor.js";
import { input } from "../trace/functions.js";
import type { Rows } from "./gradient-features.js";

/** Rows that are compared at once, and with so many others at a time. */
const [rowsAtOnce, othersAtOnce] = [256, 8192];

export interface Neighbours {
  /** Of each row; fewer than asked for where there are no more. */
  readonly count: number;
  /** `[N, count]`, the nearest first. */
  readonly indices: Int32Array;
  /** |a - b|, from 0 to 2, `[N, count]`. */
  readonly distances: Float32Array;
}

/** @param wanted neighbours of each row */
export async function nearestOf(rows: Rows, wanted: number): Promise<Neighbours> {
  const { samples, dims, data } = rows;
  const count = Math.max(0, Math.min(wanted, samples - 1));
  const best = new Best(samples, count);
  const others = input("others", ["N", dims]);
  const program = await compiled({ cosines: input("rows", [rowsAtOnce, dims]).matmul(others.transpose([1, 0])) });
  try {
    const own = new Float32Array(rowsAtOnce * dims);
    for (let from = 0; from < samples && count > 0; from += rowsAtOnce) {
      const to = Math.min(samples, from + rowsAtOnce);
      own.fill(0).set(data.subarray(from * dims, to * dims));
      for (let first = 0; first < samples; first += othersAtOnce) {
        const last = Math.min(samples, first + othersAtOnce);
        const given = { rows: own, others: data.subarray(first * dims, last * dims) };
        const cosines = floatsIn((await program.run(given, { notFinite: "ignore" })).cosines);
        for (let n = from; n < to; n++)
          best.take(n, first, cosines.subarray((n - from) * (last - first), (n - from + 1) * (last - first)));
      }
    }
  } finally {
    await program.release();
  }
  return measured(rows, count, best.indices);
}

/** The largest cosines of each row, in falling order. */
class Best {
  readonly indices: Int32Array;
  readonly #cosines: Float32Array;

  constructor(
    samples: number,
    private readonly count: number,
  ) {
    this.indices = new Int32Array(samples * count).fill(-1);
    this.#cosines = new Float32Array(samples * count).fill(Number.NEGATIVE_INFINITY);
  }

  /** @param first the number of the row that the first cosine is of */
  take(n: number, first: number, cosines: Float32Array): void {
    const start = n * this.count;
    const last = start + this.count - 1;
    for (let k = 0; k < cosines.length; k++) {
      const cosine = cosines[k] ?? 0;
      if (!(cosine > (this.#cosines[last] ?? 0)) || first + k === n) continue;
      let at = last;
      for (; at > start && cosine > (this.#cosines[at - 1] ?? 0); at--) {
        this.#cosines[at] = this.#cosines[at - 1] ?? 0;
        this.indices[at] = this.indices[at - 1] ?? 0;
      }
      this.#cosines[at] = cosine;
      this.indices[at] = first + k;
    }
  }
}

/** The distances, of the differences themselves: a cosine near 1 has lost their digits. The nearest first. */
function measured({ samples, dims, data }: Rows, count: number, indices: Int32Array): Neighbours {
  const distances = new Float32Array(samples * count);
  for (let n = 0; n < samples; n++) {
    const own = Array.from({ length: count }, (_, k) => {
      const other = indices[n * count + k] ?? 0;
      let sum = 0;
      for (let i = 0; i < dims; i++) sum += ((data[n * dims + i] ?? 0) - (data[other * dims + i] ?? 0)) ** 2;
      return { other, distance: Math.sqrt(sum) };
    }).sort((a, b) => a.distance - b.distance || a.other - b.other);
    own.forEach(({ other, distance }, k) => {
      indices[n * count + k] = other;
      distances[n * count + k] = distance;
    });
  }
  return { count, indices, distances };
}
