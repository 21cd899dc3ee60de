import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { blocksOf, numbersOf } from "../../src/attribution/store/blocks.js";
import { format, type Manifest } from "../../src/attribution/store/manifest.js";
import { ShardRows } from "../../src/attribution/store/shard-rows.js";
import { writeShard } from "../../src/attribution/store/shards.js";

const root = mkdtempSync(join(tmpdir(), "pergrad-rows-"));
afterAll(() => rmSync(root, { recursive: true }));

const manifest: Manifest = {
  format,
  models: ["a", "b"],
  loss: "mse",
  parameters: ["w"],
  method: "gradDot",
  settings: {},
  dims: 40_000,
  seed: 0,
  by: "shifts",
  storage: "float16",
  shardSize: 20,
  ids: false,
  versions: {},
};

const numberOf = (n: number, k: number, i: number) => (((i * (2 * n + k + 1)) % 1001) / 1000 - 0.5) * (n + 1);

/** Puts samples from one on, model after model, as they are computed. */
function put(rows: ShardRows, first: number, count: number): void {
  for (const k of [0, 1])
    for (let n = 0; n < count; n++) {
      const row = Float32Array.from({ length: manifest.dims }, (_, i) => numberOf(first + n, k, i));
      rows.put(n, k, row, { norm: first + n, weight: k });
    }
}

it("rows of several blocks are written in their order, and memory that held others before holds none of them", async () => {
  for (const storage of ["float16", "float32"] as const) {
    const stored = { ...manifest, storage };
    const rows = new ShardRows(stored);
    const folder = mkdtempSync(join(root, "index-"));
    // The second shard is the smaller one, and takes the memory of the first.
    for (const [number, count] of [20, 14].entries()) {
      rows.clear();
      put(rows, number * 20, count);
      expect([...rows.parts()].length).toBeGreaterThan(1);
      await writeShard(folder, number, stored, rows.parts(), { digest: "d", samples: count, ids: undefined });
    }
    let seen = 0;
    for await (const { from, samples, features, scales, norms, weights } of blocksOf(folder, stored, 34)) {
      const numbers = numbersOf(features.data);
      for (let at = 0; at < samples * 2; at++) {
        const [n, k] = [from + Math.floor(at / 2), at % 2];
        expect([norms[at], weights[at]]).toEqual([n, k]);
        let most = 0;
        for (let i = 0; i < manifest.dims; i++) {
          const found = (numbers[at * manifest.dims + i] ?? 0) * (scales[at] ?? 0);
          most = Math.max(most, Math.abs(found - numberOf(n, k, i)));
        }
        expect(most).toBeLessThan((n + 1) * (storage === "float16" ? 2 ** -11 : 2 ** -22));
      }
      seen += samples;
    }
    expect(seen).toBe(34);
  }
});
