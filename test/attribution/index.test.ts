/** An index answers as scores do, goes on where a killed process stopped, and refuses what does not fit or is damaged. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { attribution, type Model, nn, type Tensor } from "../../src/index.js";
import { expectNear } from "../curvature/support.js";

const root = mkdtempSync(join(tmpdir(), "pergrad-index-"));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;
const folder = () => join(root, `index-${made++}`);

const network = () => nn.sequential(nn.linear(6, 16), nn.tanh(), nn.linear(16, 3));
const model = nn.model(network(), { seed: 1 });
const other = nn.model(network(), { seed: 2 });

function samples(count: number, seed = 1) {
  const x = Float32Array.from({ length: count * 6 }, (_, k) => Math.sin(seed + k * k));
  return { x, target: Array.from({ length: count }, (_, n) => (n * n + seed) % 3) };
}

const train = samples(75);
const queries = samples(5, 9);
const common = { loss: "cross_entropy", threads: 1, shardSize: 20 } as const;

/** All parts side by side. */
async function all(index: attribution.AttributionIndex, asked = queries): Promise<Tensor<"float64">> {
  const rows: number[][] = [];
  for await (const { from, to, scores } of index.scores(asked)) {
    expect(from).toBe(rows[0]?.length ?? 0);
    const [count = 0, width = 0] = scores.dims;
    expect(width).toBe(to - from);
    for (let m = 0; m < count; m++) {
      rows[m] ??= [];
      rows[m]?.push(...scores.data.subarray(m * width, (m + 1) * width));
    }
  }
  return { dtype: "float64", dims: [rows.length, rows[0]?.length ?? 0], data: Float64Array.from(rows.flat()) };
}

/** As many numbers as parameters, projected, tell almost all; here they are the same as those of the method itself. */
const cases: readonly (readonly [name: string, models: Model | readonly Model[], method: attribution.Method])[] = [
  ["trak", [model, other], attribution.trak({ dims: 40, damping: 0.5 })],
  ["loGra", [model, other], attribution.loGra({ dims: 40, damping: 0.05 })],
  ["trak of the loss", model, attribution.trak({ dims: 40, damping: 0.5, output: "loss" })],
];

describe("an index", () => {
  it.each(cases)("gives the scores of %s", async (_, models, method) => {
    for (const [storage, tolerance] of [["float32", 1e-4] as const, ["float16", 5e-3] as const]) {
      const index = await attribution.index(models, train, { ...common, method, storage, out: folder() });
      const { scores } = await attribution.scores(models, train, queries, { loss: "cross_entropy", method });
      const found = await all(index);
      expect(found.dims).toEqual(scores.dims);
      expectNear(found.data, scores.data, tolerance, storage);
      await index.release();
    }
  });

  it("keeps products and cosines of gradients, as projections do", async () => {
    const parameters = ["2.bias"];
    for (const name of ["gradDot", "gradCos", "tracIn"] as const) {
      const options = { ...common, method: name, parameters };
      const index = await attribution.index(model, train, {
        ...options,
        dims: 4000,
        storage: "float32",
        out: folder(),
      });
      const { scores } = await attribution.scores(model, train, queries, {
        loss: "cross_entropy",
        method: name,
        parameters,
      });
      // Of 3 parameters at most 3 numbers are kept: how closely is a matter of chance, of which the seed is part.
      const found = await all(index);
      expect(found.dims).toEqual(scores.dims);
      const agreement = found.data.reduce((sum, value, k) => sum + value * (scores.data[k] ?? 0), 0);
      expect(agreement).toBeGreaterThan(0);
      await index.release();
    }
  });

  it("gives the top of its scores, and is asked again after it is opened", async () => {
    const method = attribution.loGra({ dims: 30, damping: 0.1 });
    const out = folder();
    const index = await attribution.index(model, train, { ...common, method, out });
    const { dims, data } = await all(index);
    const opened = await attribution.openIndex(out, model, { loss: "cross_entropy", method });
    for (const each of [index, opened]) {
      const top = await each.query(queries, { top: 4 });
      expect(top.samples.dims).toEqual([5, 4]);
      for (let m = 0; m < 5; m++) {
        const row = [...data.subarray(m * (dims[1] ?? 0), (m + 1) * (dims[1] ?? 0))];
        const order = row.map((_, n) => n).sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0));
        expect([...top.samples.data.subarray(m * 4, m * 4 + 4)]).toEqual(order.slice(0, 4));
      }
    }
    const most = await opened.query(queries, { top: 100 });
    expect(most.samples.data[99]).toBe(-1);
    await expect(opened.query(queries, { top: 0 })).rejects.toThrow(/from 1 up/);
    await index.release();
    await opened.release();
  });
});

describe("what does not fit is refused", () => {
  const method = attribution.gradDot();

  it.each([
    ["another model", other, train, { method }],
    ["another loss", model, train, { method, loss: "nll" as const }],
    ["another method", model, train, { method: attribution.gradCos() }],
    ["another seed", model, train, { method, seed: 5 }],
    ["fewer parameters", model, train, { method, parameters: ["0.*"] }],
    ["other samples", model, samples(75, 3), { method }],
    ["fewer samples", model, samples(40), { method }],
  ])("%s", async (_, given, data, options) => {
    const out = folder();
    await (await attribution.index(model, train, { ...common, method, out })).release();
    const again = attribution.index(given, data, { ...common, ...options, out });
    await expect(again).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("methods without projected gradients, and folders without an index", async () => {
    const exact = attribution.influence({ inverse: "exact", damping: 1 });
    await expect(attribution.index(model, train, { ...common, method: exact, out: folder() })).rejects.toThrow(
      /serve gradDot/,
    );
    await expect(attribution.openIndex(folder(), model, { ...common, method })).rejects.toThrow(/no index/);
  });

  it.each([
    ["a manifest that is no JSON", "manifest.json", () => "{"],
    ["a manifest of another kind", "manifest.json", () => '{"format":"other"}'],
    ["dims that fill all memory", "manifest.json", (text: string) => text.replace(/"dims": \d+/, '"dims": 1e15')],
    ["models that are no list", "manifest.json", (text: string) => text.replace(/"models": \[[^\]]*\]/, '"models": 5')],
    ["a negative shard", "manifest.json", (text: string) => text.replace(/"shardSize": \d+/, '"shardSize": -1')],
  ])("%s", async (_, file, spoil) => {
    const out = folder();
    await (await attribution.index(model, train, { ...common, method, out })).release();
    writeFileSync(join(out, file), spoil(readFileSync(join(out, file), "utf8")));
    const opened = attribution.openIndex(out, model, { ...common, method });
    await expect(opened).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await expect(attribution.index(model, train, { ...common, method, out })).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
    });
  });

  it.each([
    ["cut short", (bytes: Buffer) => bytes.subarray(0, bytes.length - 7)],
    ["empty", () => Buffer.alloc(0)],
    [
      "of other samples",
      (bytes: Buffer) => Buffer.from(bytes.toString("latin1").replace('"from":"20"', '"from":"40"'), "latin1"),
    ],
    [
      "without its samples",
      (bytes: Buffer) => Buffer.from(bytes.toString("latin1").replace('"from":"20"', '"frum":"20"'), "latin1"),
    ],
    [
      "with NaN",
      (bytes: Buffer) => Buffer.concat([bytes.subarray(0, bytes.length - 4), Buffer.from([0, 0, 0xc0, 0x7f])]),
    ],
  ])("a shard that is %s", async (_, spoil) => {
    const out = folder();
    await (await attribution.index(model, train, { ...common, method, out })).release();
    const shard = join(out, "shard-00000001.safetensors");
    writeFileSync(shard, spoil(readFileSync(shard)));
    const opened = await attribution.openIndex(out, model, { ...common, method });
    await expect(opened.query(queries)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await opened.release();
  });
});

const built = join(import.meta.dirname, "../../dist/src/attribution/indexes.js");

describe("a process that is killed", () => {
  it("loses a shard at most: gone on with, the index is that of a process that was not", async () => {
    expect(existsSync(built), "the package is not built: npm run build").toBe(true);
    const whole = folder();
    const options = { ...common, shardSize: 10, method: attribution.gradDot(), dims: 16 };
    await (await attribution.index(model, train, { ...options, out: whole })).release();
    const out = folder();
    const script = `
      import { attribution, nn } from ${JSON.stringify(pathToFileURL(join(built, "../../index.js")).href)};
      const model = nn.model(nn.sequential(nn.linear(6, 16), nn.tanh(), nn.linear(16, 3)), { seed: 1 });
      const x = Float32Array.from({ length: 75 * 6 }, (_, k) => Math.sin(1 + k * k));
      const target = Array.from({ length: 75 }, (_, n) => (n * n + 1) % 3);
      async function* train() {
        for (let n = 0; n < 75; n += 10) {
          if (n === 40) { console.log("waiting"); await new Promise((resolve) => setTimeout(resolve, 1e6)); }
          yield { x: x.slice(n * 6, (n + 10) * 6), target: target.slice(n, n + 10) };
        }
      }
      const options = { loss: "cross_entropy", threads: 1, shardSize: 10, method: attribution.gradDot(), dims: 16 };
      await attribution.index(model, train(), { ...options, out: ${JSON.stringify(out)} });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    expect(readdirSync(out).filter((name) => name.startsWith("shard"))).toHaveLength(4);
    writeFileSync(join(out, ".shard-00000004.safetensors.1-a.tmp"), "half of a shard");
    await expect(attribution.openIndex(out, model, options)).rejects.toThrow(/not complete/);
    const done: number[] = [];
    const onProgress = (samples: number) => done.push(samples);
    const index = await attribution.index(model, train, { ...options, out, onProgress });
    expect(done).toEqual([10, 20, 30, 40, 50, 60, 70, 75]);
    await index.release();
    expect(readdirSync(out).sort()).toEqual(readdirSync(whole).sort());
    for (const name of readdirSync(whole))
      expect(readFileSync(join(out, name)).equals(readFileSync(join(whole, name))), name).toBe(true);
  });
});
