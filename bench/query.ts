/** The speed of queries to an index on disk, beside a plain pass over the bytes of its features: one thread, by CPU time. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blocksOf } from "../src/attribution/store/blocks.js";
import { type Manifest, readManifest } from "../src/attribution/store/manifest.js";
import { ShardRows } from "../src/attribution/store/shard-rows.js";
import { writeShard } from "../src/attribution/store/shards.js";
import { writeSketch } from "../src/attribution/store/sketches.js";
import { attribution, nn } from "../src/index.js";
import { interleave, timedAlone } from "./measure.js";

const dims = 2048;
const queries = 100;
/** The size of the pool from which rows are cut: a prime above a power of two, so that no two rows are equal. */
const poolNumbers = 2 ** 23 + 9;

const options = { loss: "cross_entropy", method: "gradDot", dims, threads: 1 } as const;

function samplesOf(count: number) {
  const x = Float32Array.from({ length: count * 784 }, (_, k) => Math.sin(k * k));
  return { x, target: Array.from({ length: count }, (_, n) => n % 10) };
}

/** Normally distributed numbers. */
function pool(): Float32Array {
  return Float32Array.from(
    { length: poolNumbers },
    () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
  );
}

/**
 * Adds shards of normally distributed numbers, each row with its own seed. No score stands out, which is the hardest
 * case for bounds that exclude rows.
 */
async function fill(folder: string, manifest: Manifest, samples: number): Promise<void> {
  const numbers = pool();
  const { shardSize } = manifest;
  const [rows, row] = [new ShardRows(manifest), new Float32Array(dims)];
  for (let from = 0; from < samples; from += shardSize) {
    const count = Math.min(shardSize, samples - from);
    for (let n = 0; n < count; n++) {
      const [a, b] = [0, 1].map(() => Math.floor(Math.random() * (poolNumbers - dims)));
      for (let i = 0; i < dims; i++)
        row[i] = ((numbers[(a ?? 0) + i] ?? 0) + (numbers[(b ?? 0) + i] ?? 0)) * Math.SQRT1_2;
      rows.put(n, 0, row, { norm: 1, weight: 1 });
    }
    const source = { digest: "noise", samples: count, ids: undefined };
    await writeShard(folder, from / shardSize, manifest, rows.parts(), source);
    await writeSketch(folder, from / shardSize, manifest, rows.parts(), source);
    rows.clear();
  }
  await writeFile(join(folder, "complete"), `${samples}\n`);
}

/** A plain pass: reads all features and does nothing with them. */
async function read(folder: string, manifest: Manifest, samples: number): Promise<void> {
  let bytes = 0;
  for await (const { features } of blocksOf(folder, manifest, samples, 2 ** 20)) bytes += features.data.byteLength;
  if (bytes !== samples * dims * 2) throw new Error(`${bytes} bytes were read`);
}

/** The other plain pass: adds up the same number of bytes in memory, going over 256 MiB again and again. */
function summed(bytes: number): () => Promise<number> {
  const numbers = new Float64Array(2 ** 25).fill(1);
  return async () => {
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let done = 0; done < bytes; done += numbers.byteLength)
      for (let k = 0; k < numbers.length; k += 4) {
        a += numbers[k] ?? 0;
        b += numbers[k + 1] ?? 0;
        c += numbers[k + 2] ?? 0;
        d += numbers[k + 3] ?? 0;
      }
    return a + b + c + d;
  };
}

/** The results as a table in Markdown. */
export async function measureQuery(samples: number, seconds: number, told: (line: string) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "pergrad-query-"));
  try {
    const model = nn.model(nn.sequential(nn.linear(784, 64), nn.relu(), nn.linear(64, 10)), { seed: 1 });
    await (await attribution.index(model, samplesOf(8), { ...options, out: folder })).release();
    const manifest = await readManifest(folder);
    if (!manifest) throw new Error("the index has no manifest");
    for (const name of await readdir(folder)) if (/^(shard|sketch)-/.test(name)) await rm(join(folder, name));
    await fill(folder, manifest, samples);
    const index = await attribution.openIndex(folder, model, options);
    const asked = samplesOf(queries);
    const timings = await interleave(
      [
        timedAlone("read all features", () => read(folder, manifest, samples)),
        timedAlone("add up as many bytes in memory", summed(samples * dims * 2)),
        timedAlone("query, the top 10", () => index.query(asked)),
      ],
      seconds,
    );
    await index.release();
    const plain = timings[0]?.cpu?.low ?? Number.NaN;
    told(`\n${queries} queries of ${samples} samples, ${dims} numbers each, float16\n`);
    told("| | CPU ms | GB/s of the features | of the plain pass's speed |\n|---|---:|---:|---:|");
    for (const { name, cpu } of timings) {
      const took = cpu?.low ?? Number.NaN;
      const speed = ((samples * dims * 2) / took / 1e6).toFixed(2);
      told(`| ${name} | ${took.toFixed(0)} | ${speed} | ${(plain / took).toFixed(2)} |`);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}
