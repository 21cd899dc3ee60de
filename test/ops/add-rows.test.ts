/** AddRows: its float64 reference, its parts, its derivative and its form with one more axis say the same. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { plain, reverse } from "../../src/autodiff/reverse.js";
import { batchOver } from "../../src/autodiff/vmap.js";
import type { Array64 } from "../../src/float64/array64.js";
import { leaf, nodeOf, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build, definitionOf } from "../../src/ops/registry.js";
import { addRows, addRowsTo } from "../../src/ops/subgraphs/table.js";
import { present } from "../../src/present.js";
import "../support/seed.js";
import { numbers } from "../support/per-sample.js";

const input = (name: string, shape: readonly number[], dtype: "float32" | "int64" = "float32") =>
  leaf(name, { dtype, shape }, { kind: "input" });
const floats = (dims: readonly number[], seed: number): Array64 => {
  return { dims, data: Float64Array.from(numbers(dims, seed).data) };
};

const cases = fc
  .record({ rows: fc.integer({ min: 1, max: 5 }), size: fc.integer({ min: 1, max: 3 }), onto: fc.boolean() })
  .chain(({ rows, size, onto }) =>
    fc
      .array(fc.integer({ min: -rows, max: rows - 1 }), { minLength: 1, maxLength: 6 })
      .map((places) => ({ rows, size, onto, places })),
  );

it("adds each row at its place, from the end where that is negative, in one node and in parts", () => {
  fc.assert(
    fc.property(cases, ({ rows, size, onto, places }) => {
      const count = places.length;
      const [at, updates, table] = [
        input("at", [count], "int64"),
        input("updates", [count, size]),
        input("table", [rows, size]),
      ];
      const sum = onto ? addRowsTo(build, { updates, places: at }, table) : addRows(build, at, updates, rows);
      const feeds = new Map<Value, Array64>([
        [at, { dims: [count], data: Float64Array.from(places) }],
        [updates, floats([count, size], 1)],
        [table, floats([rows, size], 2)],
      ]);
      const expected = onto ? Array.from(present(feeds.get(table)).data) : Array<number>(rows * size).fill(0);
      places.forEach((place, p) => {
        for (let k = 0; k < size; k++) {
          const to = (place < 0 ? place + rows : place) * size + k;
          expected[to] = (expected[to] ?? 0) + (present(feeds.get(updates)).data[p * size + k] ?? 0);
        }
      });
      const node = present(nodeOf(sum));
      const [parts] = present(definitionOf(node)?.parts?.(node, build));
      for (const found of evaluateGraph([sum, present(parts)], feeds, 1)) {
        expect(found.dims).toEqual([rows, size]);
        found.data.forEach((x, k) => {
          expect(x).toBeCloseTo(expected[k] ?? Number.NaN, 12);
        });
      }
      // The derivative of the sum of products with c is c's row at each place, and c for the table.
      const c = floats([rows, size], 3);
      const seed = input("c", [rows, size]);
      const cotangents = reverse(new Map([[sum, seed]]), new Set(onto ? [updates, table] : [updates]), plain);
      const [picked] = evaluateGraph([present(cotangents.get(updates))], new Map(feeds).set(seed, c), 1);
      const rowsOfC = places.flatMap((place) => {
        const from = (place < 0 ? place + rows : place) * size;
        return Array.from(c.data.subarray(from, from + size));
      });
      expect(Array.from(present(picked).data)).toEqual(rowsOfC);
      if (onto) expect(cotangents.get(table)).toBe(seed);
      // With one more axis on some inputs, each of its places gives what it gives alone.
      const more = input("more", [2, count, size]);
      const [both] = batchOver([sum], new Map([[updates, more]]));
      const others = [floats([count, size], 4), floats([count, size], 5)];
      const stacked = { dims: [2, count, size], data: Float64Array.from(others.flatMap(({ data }) => [...data])) };
      const [together] = evaluateGraph([present(both)], new Map(feeds).set(more, stacked), 1);
      const apart = others.map((each) => present(evaluateGraph([sum], new Map(feeds).set(updates, each), 1)[0]));
      expect(Array.from(present(together).data)).toEqual(apart.flatMap(({ data }) => [...data]));
    }),
    { numRuns: 60 },
  );
});
