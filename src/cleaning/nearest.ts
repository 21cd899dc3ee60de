/** Nearest neighbours of rows of length 1, all against all. */
import { compiled } from "../program/compiled.js";
import { Largest } from "../tensor/largest.js";
import { floatsIn } from "../tensor/tensor.js";
import { input } from "../trace/functions.js";
import type { ProjectedGradients } from "./gradient-features.js";

/** The number of rows compared at once, and of others they are compared with. */
const [rowsAtOnce, othersAtOnce] = [256, 8192];

export interface Neighbours {
  /** For each row; smaller than requested if there are too few others. */
  readonly count: number;
  /** `[N, count]`, the nearest first. */
  readonly indices: Int32Array;
  /** |a - b|, from 0 to 2, `[N, count]`. */
  readonly distances: Float32Array;
}

/**
 * @param wanted the number of neighbours of each row
 * @param left rows that become neighbours only if there are too few others
 */
export async function nearestOf(
  rows: ProjectedGradients,
  wanted: number,
  left: readonly number[] = [],
): Promise<Neighbours> {
  const { samples, dims, data } = rows;
  const count = Math.max(0, Math.min(wanted, samples - 1));
  const best = new Largest(samples, count);
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
        for (const m of left)
          if (m >= first && m < last)
            for (let n = from; n < to; n++) cosines[(n - from) * (last - first) + m - first] = -2;
        for (let n = from; n < to; n++)
          best.take(n, first, cosines.subarray((n - from) * (last - first), (n - from + 1) * (last - first)), n);
      }
    }
  } finally {
    await program.release();
  }
  return measured(rows, count, best.places);
}

/**
 * The distances, computed from the differences themselves, since a cosine near 1 has lost their digits. The nearest
 * come first.
 */
function measured({ samples, dims, data }: ProjectedGradients, count: number, indices: Int32Array): Neighbours {
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
