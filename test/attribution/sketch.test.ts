/** What a search by sketches finds is what all features give, number for number; and what is damaged is refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { IndexOnDisk, QueryRows } from "../../src/attribution/store/exact.js";
import { format, type Manifest } from "../../src/attribution/store/manifest.js";
import { largestBySketch, largestOf, largestOfAll } from "../../src/attribution/store/search.js";
import { ShardRows } from "../../src/attribution/store/shard-rows.js";
import { writeShard } from "../../src/attribution/store/shards.js";
import { type QueryCodes, sketchedQueries, sketchOf, zeroCode } from "../../src/attribution/store/sketch.js";
import { addSketch, writeSketch } from "../../src/attribution/store/sketches.js";
import { readTensors, type Tensor } from "../../src/index.js";
import { encodeSafetensors } from "../../src/io/safetensors.js";

const root = mkdtempSync(join(tmpdir(), "pergrad-sketch-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Numbers from a seed: of a normal distribution, or nearly. */
function noise(seed: number): () => number {
  let state = seed | 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) / 2 ** 24;
  };
  return () => next() + next() + next() + next() - 2;
}

const kinds = ["normal", "equal", "few", "zeros", "spiked", "copies", "tiny", "growing"] as const;
type Kind = (typeof kinds)[number];

function rowOf(kind: Kind, n: number, dims: number, draw: () => number): Float32Array {
  const numbers: Record<Kind, (i: number) => number> = {
    normal: draw,
    equal: (i) => Math.sin(i),
    // Scores of few different values: many ties.
    few: () => Math.sign(Math.round(draw())),
    zeros: (i) => (n % 3 === 0 ? 0 : i === n % dims ? 1 : 0),
    spiked: (i) => (i === 0 ? 1 : draw() * 1e-3),
    copies: (i) => Math.sin(i * (1 + (n % 4))),
    tiny: (i) => draw() * (i === 0 ? 1e-30 : 1e-38),
    growing: () => draw() * n,
  };
  return Float32Array.from({ length: dims }, (_, i) => numbers[kind](i));
}

interface Made {
  readonly kind: Kind;
  readonly samples: number;
  readonly models: number;
  readonly dims: number;
  readonly shardSize: number;
  readonly storage: "float16" | "float32";
  readonly cosine: boolean;
  readonly seed: number;
}

const drawn: fc.Arbitrary<Made> = fc.record({
  kind: fc.constantFrom(...kinds),
  samples: fc.integer({ min: 1, max: 300 }),
  models: fc.integer({ min: 1, max: 3 }),
  dims: fc.integer({ min: 1, max: 40 }),
  shardSize: fc.integer({ min: 1, max: 120 }).map((size) => Math.max(size, 20)),
  storage: fc.constantFrom("float16", "float32"),
  cosine: fc.boolean(),
  seed: fc.integer({ min: 1, max: 1e6 }),
});

let folders = 0;

/** An index of such rows, as `attribution.index` writes it. */
async function written(made: Made, sketched = true): Promise<IndexOnDisk> {
  const { kind, samples, models, dims, shardSize, storage, cosine, seed } = made;
  const folder = mkdtempSync(join(root, `${folders++}-`));
  const manifest: Manifest = {
    format,
    models: Array.from({ length: models }, (_, k) => `${k}`),
    loss: "mse",
    parameters: ["w"],
    method: "gradDot",
    settings: {},
    dims,
    seed: 0,
    by: "shifts",
    storage,
    shardSize,
    ids: false,
    versions: {},
  };
  const draw = noise(seed);
  for (let from = 0; from < samples; from += shardSize) {
    const count = Math.min(shardSize, samples - from);
    const rows = new ShardRows(manifest);
    for (let at = 0; at < count * models; at++) {
      const [sample, model] = [Math.floor(at / models), at % models];
      const row = rowOf(kind, from + sample, dims, draw);
      const weight = kind === "few" || kind === "equal" ? 1 : 1 + draw() / 3;
      rows.put(sample, model, row, { norm: Math.hypot(...row), weight });
    }
    const source = { digest: "d", samples: count, ids: undefined };
    await writeShard(folder, from / shardSize, manifest, rows.parts(), source);
    if (sketched) await writeSketch(folder, from / shardSize, manifest, rows.parts(), source);
  }
  return { folder, manifest, samples, cosine, threads: 1 };
}

function asked({ manifest }: IndexOnDisk, count: number, kind: Kind, seed: number): QueryRows {
  const draw = noise(seed + 7);
  const rows = manifest.models.map(() => {
    const all = new Float32Array(count * manifest.dims);
    for (let m = 0; m < count; m++) all.set(rowOf(kind, m, manifest.dims, draw), m * manifest.dims);
    return all;
  });
  return { rows, count };
}

describe("the largest scores by sketches are those of all features", () => {
  it("for rows and queries of any kind", async () => {
    let found = 0;
    await fc.assert(
      fc.asyncProperty(
        drawn,
        fc.constantFrom(...kinds),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 400 }),
        async (made, kind, count, top) => {
          const stored = await written(made);
          const questions = asked(stored, count, kind, made.seed);
          const exact = await largestOfAll(stored, questions, top, undefined);
          const fast = await largestBySketch(stored, questions, top, undefined, 1);
          rmSync(stored.folder, { recursive: true });
          if (!fast) return;
          found++;
          expect(fast.places).toEqual(exact.places);
          expect(fast.values).toEqual(exact.values);
        },
      ),
      { numRuns: 40 },
    );
    expect(found).toBeGreaterThan(30);
  });

  const many: Made = {
    kind: "normal",
    samples: 20000,
    models: 1,
    dims: 64,
    shardSize: 3000,
    storage: "float16",
    cosine: false,
    seed: 5,
  };

  it("where few rows are read", async () => {
    const stored = await written(many);
    const questions = asked(stored, 3, "normal", 1);
    const exact = await largestOfAll(stored, questions, 7, undefined);
    // Scored on the way, and read one by one at the end: a quarter at most.
    expect(await largestBySketch(stored, questions, 7, undefined)).toEqual(exact);
    expect(await largestOf(stored, questions, 7, undefined, 0)).toEqual(exact);
  });

  it("where nothing can be ruled out: then there is no answer by sketches, and the exact one is given", async () => {
    const stored = await written({ ...many, samples: 4000, kind: "equal" });
    const questions = asked(stored, 2, "normal", 1);
    expect(await largestBySketch(stored, questions, 5, undefined)).toBeNull();
    const { places } = await largestOf(stored, questions, 5, undefined, 0);
    expect([...places.subarray(0, 5)]).toEqual([0, 1, 2, 3, 4]);
  });

  it("a query without a gradient takes the first samples, and the others keep theirs", async () => {
    const stored = await written(many);
    const questions = asked(stored, 2, "normal", 1);
    questions.rows[0]?.fill(0, 0, many.dims);
    const found = await largestBySketch(stored, questions, 4, undefined);
    expect(found).toEqual(await largestOfAll(stored, questions, 4, undefined));
    expect([...(found?.places.subarray(0, 4) ?? [])]).toEqual([0, 1, 2, 3]);
  });

  it("ends between blocks by its signal", async () => {
    const stored = await written({ ...many, samples: 4000 });
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(largestBySketch(stored, asked(stored, 2, "normal", 1), 4, signal)).rejects.toThrow("enough");
  });
});

describe("bounds", () => {
  const numbers = fc.record({
    kind: fc.constantFrom(...kinds),
    other: fc.constantFrom(...kinds),
    dims: fc.integer({ min: 1, max: 100 }),
    seed: fc.integer({ min: 1, max: 1e6 }),
    most: fc.constantFrom(127, 64),
  });

  it("hold products of codes with the exact ones, of rows and of queries in either range of codes", () => {
    fc.assert(
      fc.property(numbers, ({ kind, other, dims, seed, most }) => {
        const draw = noise(seed);
        const [row, query] = [rowOf(kind, 1, dims, draw), rowOf(other, 2, dims, draw)];
        const { codes, steps, errors, sizes } = sketchOf(row, dims);
        const queries = sketchedQueries([query], dims, most);
        if (!queries) throw new Error("the query is too large");
        const product = (digits: QueryCodes) =>
          codes.reduce((sum, code, i) => sum + (code - zeroCode) * (digits.codes[0]?.[i] ?? 0), 0) *
          (steps[0] ?? 0) *
          (digits.steps[0]?.[0] ?? 0);
        const exact = row.reduce((sum, x, i) => sum + x * (query[i] ?? 0), 0);
        const size = queries.sizes[0]?.[0] ?? 0;
        const [error = 0, length = 0] = [errors[0], sizes[0]];
        expect(length).toBeGreaterThanOrEqual(Math.hypot(...row));
        expect(size).toBeGreaterThanOrEqual(Math.hypot(...query));
        const within = (missed: number) => size * error + missed * (length + error) + 1e-12 * size * length;
        const coarse = product(queries.coarse);
        expect(Math.abs(exact - coarse)).toBeLessThanOrEqual(within(queries.coarse.errors[0]?.[0] ?? 0));
        const both = coarse + product(queries.fine);
        expect(Math.abs(exact - both)).toBeLessThanOrEqual(within(queries.fine.errors[0]?.[0] ?? 0));
        for (const digits of [queries.coarse, queries.fine])
          expect(digits.codes[0]?.every((code) => Math.abs(code) <= most)).toBe(true);
      }),
    );
  });

  it("nothing is said of rows and queries that are not finite", () => {
    for (const x of [Number.NaN, Number.POSITIVE_INFINITY, 1e30]) {
      const row = Float32Array.of(0, x, 1);
      const { codes, errors, sizes } = sketchOf(row, 3);
      expect([...codes]).toEqual([zeroCode, zeroCode, zeroCode]);
      expect([errors[0], sizes[0]]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
      expect(sketchedQueries([row], 3, 127)).toBeNull();
    }
  });
});

describe("files", () => {
  const made: Made = {
    kind: "normal",
    samples: 900,
    models: 2,
    dims: 16,
    shardSize: 400,
    storage: "float16",
    cosine: false,
    seed: 3,
  };
  const file = (stored: IndexOnDisk, name: string) => join(stored.folder, `${name}-00000001.safetensors`);
  const answer = (stored: IndexOnDisk) => largestBySketch(stored, asked(stored, 3, "normal", 1), 3, undefined, 1);

  it("an index without sketches has none to look at, until they are added", async () => {
    const stored = await written(made, false);
    expect(await answer(stored)).toBeNull();
    for (const number of [0, 1, 2]) await addSketch(stored.folder, number, stored.manifest);
    expect(await answer(stored)).toEqual(await largestOfAll(stored, asked(stored, 3, "normal", 1), 3, undefined));
    const before = readFileSync(file(stored, "sketch"));
    rmSync(file(stored, "sketch"));
    await addSketch(stored.folder, 1, stored.manifest);
    expect(readFileSync(file(stored, "sketch")).equals(before)).toBe(true);
  });

  it("rows that are not finite are looked at, and refused as without sketches", async () => {
    const stored = await written(made, false);
    const bytes = readFileSync(file(stored, "shard"));
    // The last number of the last sample.
    bytes.writeUInt16LE(0x7e00, bytes.length - 2);
    writeFileSync(file(stored, "shard"), bytes);
    for (const number of [0, 1, 2]) await addSketch(stored.folder, number, stored.manifest);
    await expect(answer(stored)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await expect(answer(stored)).rejects.toThrow(/shard-00000001.*NaN or infinity/);
  });

  /** Another file of these tensors. */
  async function spoil(stored: IndexOnDisk, change: (tensors: Record<string, Tensor>) => Record<string, Tensor>) {
    const path = file(stored, "sketch");
    const tensors = change({ ...(await readTensors(path)) });
    writeFileSync(path, encodeSafetensors(tensors, { from: "400", digest: "d" }));
  }

  it.each<[string, (stored: IndexOnDisk) => Promise<void> | void]>([
    [
      "cut short",
      (stored) => writeFileSync(file(stored, "sketch"), readFileSync(file(stored, "sketch")).subarray(0, -9)),
    ],
    ["empty", (stored) => writeFileSync(file(stored, "sketch"), "")],
    [
      "of another shard",
      (stored) =>
        writeFileSync(file(stored, "sketch"), readFileSync(join(stored.folder, "sketch-00000000.safetensors"))),
    ],
    ["without steps", (stored) => spoil(stored, ({ steps: _, ...rest }) => rest)],
    ["of other numbers", (stored) => spoil(stored, (all) => ({ ...all, steps: doubled(all.steps) }))],
    ["with NaN", (stored) => spoil(stored, (all) => ({ ...all, errors: filledWith(all.errors, Number.NaN) }))],
    ["with negative bounds", (stored) => spoil(stored, (all) => ({ ...all, sizes: filledWith(all.sizes, -1) }))],
  ])("a sketch that is %s is refused", async (_, damage) => {
    const stored = await written(made);
    await damage(stored);
    await expect(answer(stored)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });
});

function filledWith(given: Tensor | undefined, value: number): Tensor {
  if (given?.dtype === "float32") return { ...given, data: new Float32Array(given.data.length).fill(value) };
  throw new Error("no floats");
}

function doubled(given: Tensor | undefined): Tensor {
  if (given?.dtype === "float32")
    return { ...given, data: Float32Array.from<number | bigint>(given.data, (x) => 2 * Number(x)) };
  throw new Error("no floats");
}
