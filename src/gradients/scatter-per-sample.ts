/** Adds rows into a table per sample, accurately even if many rows go to one place. */

import { type Dim, fixedSize, multiply } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { nth, present } from "../present.js";

/** The most rows that the runtime adds to one place one after another, in float32. */
const mostInARow = 128;

/** The number of positions in a block. Within a block, rows for one place are added up first. */
const block = 32;

/** The most numbers that all tables of one sample may have together. */
const maxTables = 2 ** 24;

/**
 * Rows `[N, T, R]` added to the `rows` places of each sample: `[N, rows, R]`. If there are many positions, each block
 * of them adds at most one nonzero row to a place, and the blocks share enough tables to keep the number of rows added
 * to one place of one table below `mostInARow` (unless the tables would hold too many numbers).
 */
export function scatterPerSample(build: Build, places: Value, updates: Value, rows: number): Value {
  const [samples, positions, size] = rowsOf(updates);
  const shape = [samples, rows, size];
  if (positions === 0 || rows === 0 || size === 0) return build.zeros(shape, updates.dtype);
  if (positions <= mostInARow) return scatter(build, places, updates, rows);
  const needed = Math.ceil(positions / (block * mostInARow));
  const tables = Math.max(1, Math.min(needed, Math.floor(maxTables / (rows * size))));
  const length = block * Math.ceil(positions / tables / block);
  const missing = length * tables - positions;
  const filled = (value: Value) => {
    const none = value.shape.map(() => 0);
    return missing === 0
      ? value
      : build.pad(
          value,
          none,
          none.map((_, axis) => (axis === 1 ? missing : 0)),
        );
  };
  const all = present(multiply(samples, tables));
  const own = build.reshape(filled(places), [all, length]);
  const apart = scatter(build, own, merged(build, own, build.reshape(filled(updates), [all, length, size])), rows);
  return tables === 1 ? apart : build.sum(build.reshape(apart, [samples, tables, rows, size]), [1]);
}

/** The sizes N, T and R of rows `[N, T, R]`. */
function rowsOf({ shape }: Value): readonly [Dim, number, number] {
  return [nth(shape, 0), fixedSize(shape, 1), fixedSize(shape, 2)];
}

function scatter(build: Build, places: Value, updates: Value, rows: number): Value {
  const [samples, , size] = rowsOf(updates);
  const index = build.expand(build.unsqueeze(places, [2]), updates.shape);
  const zeros = build.zeros([samples, rows, size], updates.dtype);
  return build.op("ScatterElements", [zeros, index, updates], { axis: 1, reduction: "add" });
}

/** Each row is added to that of the first position of its block with the same place, and becomes zero itself. */
function merged(build: Build, places: Value, updates: Value): Value {
  const [samples, positions, size] = rowsOf(updates);
  const blocks = present(multiply(samples, positions / block));
  const own = build.reshape(places, [blocks, block]);
  const same = build.cast(build.equal(build.unsqueeze(own, [2]), build.unsqueeze(own, [1])), updates.dtype);
  const before = Float64Array.from({ length: block ** 2 }, (_, k) => (k % block < Math.floor(k / block) ? 1 : 0));
  const earlier = build.reduce("ReduceMax", build.mul(same, build.floats(before, [block, block], same)), [2], true);
  const toFirst = build.mul(same, build.sub(build.scalar(1, same), earlier));
  const sums = build.matmul(toFirst, build.reshape(updates, [blocks, block, size]));
  return build.reshape(sums, [samples, positions, size]);
}
