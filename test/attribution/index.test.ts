/** An index answers as scores do, goes on where a killed process stopped, and refuses what does not fit or is damaged. */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  attribution,
  type Model,
  nn,
  perSample,
  readTensors,
  type Tensor,
  tensor,
  want,
  writeTensors,
} from "../../src/index.js";
import { encodeSafetensors as spoiled } from "../../src/io/safetensors.js";
import { expectNear } from "../curvature/support.js";

const root = mkdtempSync(join(tmpdir(), "pergrad-index-"));
afterAll(() => rmSync(root, { recursive: true }));
let folders = 0;
const folder = () => join(root, `index-${folders++}`);

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
async function all(
  index: attribution.AttributionIndex,
  asked: Parameters<typeof index.scores>[0] = queries,
): Promise<Tensor<"float64">> {
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

/** Projected at random, as by the method itself. */
const cases: readonly (readonly [name: string, models: Model | readonly Model[], method: attribution.Method])[] = [
  ["trak", [model, other], attribution.trak({ dims: 40, damping: 0.5 })],
  ["loGra", [model, other], attribution.loGra({ dims: 40, damping: 0.05 })],
  ["trak of the loss", model, attribution.trak({ dims: 40, damping: 0.5, output: "loss" })],
  ["trak of all numbers", [model, other], attribution.trak({ damping: 0.5 })],
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

  it.each([
    ["gradDot", "gradDot"],
    ["gradCos", "gradCos"],
    ["tracIn", attribution.tracIn({ learningRates: [0.5, 2] })],
    ["tracIn of cosines", attribution.tracIn({ learningRates: [0.5, 2], cosine: true })],
  ] as const)("keeps %s exactly, if it keeps as many numbers as there are parameters", async (_, method) => {
    for (const dims of [163, 4000]) {
      const [models, options] = [[model, other], { loss: "cross_entropy", method } as const];
      const index = await attribution.index(models, train, {
        ...options,
        dims,
        shardSize: 20,
        storage: "float32",
        out: folder(),
      });
      const { scores } = await attribution.scores(models, train, queries, options);
      const found = await all(index);
      expect(found.dims).toEqual(scores.dims);
      expectNear(found.data, scores.data, 1e-5, `${dims} numbers`);
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

describe("names of samples", () => {
  const method = attribution.gradDot();
  const ids = Array.from({ length: 75 }, (_, n) => `mail ${n}, "Größe" ${n * n}`);

  it("come back with answers, of the index and of one that is opened", async () => {
    const out = folder();
    const index = await attribution.index(model, train, { ...common, method, ids, out });
    const opened = await attribution.openIndex(out, model, { ...common, method });
    for (const each of [index, opened]) {
      const top = await each.query(queries, { top: 80 });
      expect(top.ids).toHaveLength(5);
      for (const [m, names] of (top.ids ?? []).entries())
        expect(names).toEqual([...top.samples.data.subarray(m * 80, m * 80 + 75)].map((n) => ids[n]));
      await each.release();
    }
    const manifest = JSON.parse(readFileSync(join(out, "manifest.json"), "utf8"));
    expect(manifest).toMatchObject({ ids: true, method: "gradDot", loss: "cross_entropy", seed: 0 });
    expect(manifest.models).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect(manifest.versions.pergrad).toMatch(/^\d+\.\d+\.\d+/);
    expect(manifest.versions.runtime).toMatch(/onnxruntime/);
  });

  it("are read from a file's tensor, and may be numbers", async () => {
    const file = join(root, "train.safetensors");
    const target = BigInt64Array.from(train.target, BigInt);
    await writeTensors(file, {
      x: { dtype: "float32", dims: [75, 6], data: train.x },
      target: { dtype: "int64", dims: [75], data: target },
      ids: { dtype: "int64", dims: [75], data: BigInt64Array.from({ length: 75 }, (_, n) => BigInt(1000 + n)) },
    });
    const numbers = Int32Array.from({ length: 75 }, (_, n) => 1000 + n);
    const [a, b] = [folder(), folder()];
    await (await attribution.index(model, file, { ...common, method, out: a })).release();
    await (await attribution.index(model, train, { ...common, method, ids: numbers, out: b })).release();
    for (const name of readdirSync(a)) expect(readFileSync(join(a, name))).toEqual(readFileSync(join(b, name)));
    const opened = await attribution.openIndex(a, model, { ...common, method });
    const { ids: found, samples: places } = await opened.query(queries, { top: 1 });
    expect(found).toEqual([...places.data].map((n) => [String(1000 + n)]));
    await opened.release();
  });

  it.each([
    ["too few", ids.slice(0, 74)],
    ["too many", [...ids, "one"]],
  ])("%s are refused", async (_, given) => {
    const index = attribution.index(model, train, { ...common, method, ids: given, out: folder() });
    await expect(index).rejects.toThrow(/ids, but there are/);
  });

  it("others than before are refused", async () => {
    const out = folder();
    await (await attribution.index(model, train, { ...common, method, ids, out })).release();
    for (const given of [{}, { ids: ids.map((id) => `${id}.`) }])
      await expect(attribution.index(model, train, { ...common, method, ...given, out })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
  });
});

it("samples that lie along another axis may come in other batches too", async () => {
  const along = nn.trace({ x: [6, "N"] }, { net: network() }, ({ x }, { net }) => net(x.transpose([1, 0])), {
    seed: 1,
  });
  const part = (from: number, to: number) => {
    const data = Float32Array.from({ length: 6 * (to - from) }, (_, k) => {
      const [i, n] = [Math.floor(k / (to - from)), from + (k % (to - from))];
      return train.x[n * 6 + i] ?? Number.NaN;
    });
    return { x: tensor("float32", [6, to - from], data), target: train.target.slice(from, to) };
  };
  const [method, out] = [attribution.gradDot(), folder()];
  const whole = await attribution.index(along, part(0, 75), { ...common, method, out });
  const scores = await all(whole, part(0, 4));
  await whole.release();
  const parts = [part(0, 30), part(30, 31), part(31, 75)];
  const again = await attribution.index(along, parts, { ...common, method, out });
  expect((await all(again, part(0, 4))).data).toEqual(scores.data);
  await again.release();
});

it("shards hold as many samples whatever the batches in which they come", async () => {
  const method = attribution.gradDot();
  const batches = [7, 1, 0, 40, 3, 24].reduce<{ from: number; list: (typeof train)[] }>(
    ({ from, list }, size) => ({
      from: from + size,
      list: [...list, { x: train.x.slice(from * 6, (from + size) * 6), target: train.target.slice(from, from + size) }],
    }),
    { from: 0, list: [] },
  ).list;
  const [whole, parts] = [folder(), folder()];
  await (await attribution.index(model, train, { ...common, method, out: whole })).release();
  const index = await attribution.index(model, batches, { ...common, method, out: parts });
  expect(readdirSync(parts).sort()).toEqual(readdirSync(whole).sort());
  const opened = await attribution.openIndex(whole, model, { ...common, method });
  expectNear((await all(index)).data, (await all(opened)).data, 1e-5, "scores");
  // Gone on with in batches of other sizes.
  rmSync(join(whole, "complete"));
  rmSync(join(whole, "shard-00000003.safetensors"));
  await (await attribution.index(model, batches, { ...common, method, out: whole })).release();
  expectNear((await all(opened)).data, (await all(index)).data, 1e-5, "scores");
  for (const each of [index, opened]) await each.release();
});

it("an index that was made without sketches answers, and gets them by the same call", async () => {
  const [out, options] = [folder(), { ...common, method: attribution.gradDot() }];
  await (await attribution.index(model, train, { ...options, out })).release();
  const names = readdirSync(out).filter((name) => name.startsWith("sketch"));
  expect(names).toHaveLength(4);
  const before = names.map((name) => readFileSync(join(out, name)));
  for (const name of names) rmSync(join(out, name));
  const opened = await attribution.openIndex(out, model, options);
  expect((await opened.query(queries, { top: 3 })).samples.dims).toEqual([5, 3]);
  await opened.release();
  await (await attribution.index(model, train, { ...options, out })).release();
  expect(names.map((name) => readFileSync(join(out, name)))).toEqual(before);
});

it("an index of an older version is gone on with, and asked, by the projection that it was begun with", async () => {
  const out = folder();
  const options = { ...common, method: "gradDot", dims: 40, storage: "float32" } as const;
  await (await attribution.index(model, train, { ...options, out })).release();
  // What such a version leaves behind when it is killed before its first shard is done.
  const manifest = readFileSync(join(out, "manifest.json"), "utf8");
  const older = manifest.replace(/index \d+"/, 'index 2"').replace(/\s*"by": "shifts",/, "");
  expect(older).not.toContain("shifts");
  rmSync(out, { recursive: true });
  mkdirSync(out);
  writeFileSync(join(out, "manifest.json"), older);
  await (await attribution.index(model, train, { ...options, out })).release();
  expect(readFileSync(join(out, "manifest.json"), "utf8")).toBe(older);

  const program = await perSample(model, {
    loss: "cross_entropy",
    want: { phi: want.project({ dims: 40, by: "signs" }) },
  });
  const [rows, asked] = [(await program.run(train)).phi.data, (await program.run(queries)).phi.data];
  await program.release();
  const expected = Array.from({ length: 5 * 75 }, (_, at) => {
    const [m, n] = [Math.floor(at / 75), at % 75];
    return asked.subarray(m * 40, (m + 1) * 40).reduce((sum, x, k) => sum + x * (rows[n * 40 + k] ?? 0), 0);
  });
  const opened = await attribution.openIndex(out, model, options);
  expectNear((await all(opened)).data, expected, 1e-4, "scores of an older index");
  await opened.release();
});

describe("what does not fit is refused", () => {
  const method = attribution.gradDot();
  const made = folder();
  beforeAll(async () => (await attribution.index(model, train, { ...common, method, out: made })).release());
  /** An index that is complete, to be spoiled. */
  const copied = () => {
    const out = folder();
    cpSync(made, out, { recursive: true });
    return out;
  };

  it.each([
    ["another model", other, train, { method }],
    ["another loss", model, train, { method, loss: "nll" as const }],
    ["another method", model, train, { method: attribution.gradCos() }],
    ["another seed", model, train, { method, seed: 5 }],
    ["fewer parameters", model, train, { method, parameters: ["0.*"] }],
    ["other samples", model, samples(75, 3), { method }],
    ["fewer samples", model, samples(40), { method }],
  ])("%s", async (_, given, data, options) => {
    const out = copied();
    const again = attribution.index(given, data, { ...common, ...options, out });
    await expect(again).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("methods without projected gradients, and folders without an index", async () => {
    const exact = attribution.influence({ inverse: "exact", damping: 1 });
    await expect(attribution.index(model, train, { ...common, method: exact, out: folder() })).rejects.toThrow(
      /which can be used for gradDot/,
    );
    const own = attribution.trak({ projection: tensor("float32", [163, 2], new Float32Array(326)) });
    await expect(attribution.index(model, train, { ...common, method: own, out: folder() })).rejects.toThrow(
      /leave out the projection/,
    );
    await expect(attribution.openIndex(folder(), model, { ...common, method })).rejects.toThrow(/no index/);
  });

  it.each([
    ["a manifest that is no JSON", "manifest.json", () => "{"],
    ["a manifest of another kind", "manifest.json", () => '{"format":"other"}'],
    ["an empty manifest", "manifest.json", () => ""],
    ["a manifest that is a list", "manifest.json", () => "[]"],
    ["another version", "manifest.json", (text: string) => text.replace(/index \d+"/, 'index 99"')],
    ["a seed that is no number", "manifest.json", (text: string) => text.replace(/"seed": \d+/, '"seed": "0"')],
    ["an unknown projection", "manifest.json", (text: string) => text.replace(/"by": "\w+"/, '"by": "turns"')],
    ["an unknown storage", "manifest.json", (text: string) => text.replace('"float16"', '"int8"')],
    ["scalars that are no text", "manifest.json", (text: string) => text.replace(/"scalars": "[^"]*"/, '"scalars": 7')],
    ["no models", "manifest.json", (text: string) => text.replace(/"models": \[[^\]]*\]/, '"models": []')],
    [
      "parameters that are numbers",
      "manifest.json",
      (text: string) => text.replace(/"parameters": \[/, '"parameters": [1, '),
    ],
    ["ids that are a list", "manifest.json", (text: string) => text.replace('"ids": false', '"ids": ["a"]')],
    [
      "versions that are numbers",
      "manifest.json",
      (text: string) => text.replace(/"pergrad": "[^"]*"/, '"pergrad": 1'),
    ],
    ["settings that are a list", "manifest.json", (text: string) => text.replace(/"settings": \{\}/, '"settings": []')],
    ["a shard without samples", "manifest.json", (text: string) => text.replace(/"shardSize": \d+/, '"shardSize": 0')],
    ["a manifest that is too large", "manifest.json", (text: string) => text + " ".repeat(2 ** 24)],
    ["dims that fill all memory", "manifest.json", (text: string) => text.replace(/"dims": \d+/, '"dims": 1e15')],
    ["models that are no list", "manifest.json", (text: string) => text.replace(/"models": \[[^\]]*\]/, '"models": 5')],
    ["a negative shard", "manifest.json", (text: string) => text.replace(/"shardSize": \d+/, '"shardSize": -1')],
  ])("%s", async (_, file, spoil) => {
    const out = copied();
    writeFileSync(join(out, file), spoil(readFileSync(join(out, file), "utf8")));
    const opened = attribution.openIndex(out, model, { ...common, method });
    await expect(opened).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await expect(attribution.index(model, train, { ...common, method, out })).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
    });
  });

  it.each([
    ["no number", "many"],
    ["a number of more samples", "95\n"],
    ["a number of fewer samples than the shards", "70\n"],
    ["a number of fewer shards", "40\n"],
    ["zero", "0\n"],
    ["a huge number", "999999999999999\n"],
    ["a path", "../../complete\n"],
  ])("a count of samples that is %s", async (_, text) => {
    const out = copied();
    writeFileSync(join(out, "complete"), text);
    const answered = async () => {
      const opened = await attribution.openIndex(out, model, { ...common, method });
      try {
        await opened.query(queries);
      } finally {
        await opened.release();
      }
    };
    await expect(answered()).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });

  it("an index to which a call that failed has added some samples, until the call is repeated", async () => {
    const out = folder();
    await (await attribution.index(model, samples(40), { ...common, method, out })).release();
    async function* failing() {
      yield samples(60);
      throw new Error("no more can be read");
    }
    await expect(attribution.index(model, failing(), { ...common, method, out })).rejects.toThrow(/no more/);
    const opened = attribution.openIndex(out, model, { ...common, method });
    await expect(opened).rejects.toThrow(/is not complete; repeat the call/);
    const again = await attribution.index(model, train, { ...common, method, out });
    expect((await all(again)).dims).toEqual([5, 75]);
    await again.release();
  });

  it("a shard that is gone, one that is twice there, and one of another index", async () => {
    const [out, foreign] = [folder(), folder()];
    await (await attribution.index(model, train, { ...common, method, out })).release();
    const narrow = { ...common, method, dims: 8, out: foreign };
    await (await attribution.index(model, train, narrow)).release();
    const opened = await attribution.openIndex(out, model, { ...common, method });
    const path = (number: number) => join(out, `shard-0000000${number}.safetensors`);
    const second = readFileSync(path(1));
    for (const bytes of [null, readFileSync(path(2)), readFileSync(join(foreign, "shard-00000001.safetensors"))]) {
      if (bytes) writeFileSync(path(1), bytes);
      else rmSync(path(1));
      await expect(opened.query(queries)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    }
    writeFileSync(path(1), second);
    expect((await opened.query(queries)).samples.dims).toEqual([5, 10]);
    await opened.release();
  });

  it.each([
    ["no list", () => Buffer.from("{".padEnd(20))],
    ["too few", () => Buffer.from('["a"]'.padEnd(20))],
    ["numbers", () => Buffer.from(JSON.stringify(Array(20).fill(1)))],
    ["no UTF-8", () => Buffer.alloc(20, 0xff)],
  ])("ids of a shard that are %s", async (_, made) => {
    const out = folder();
    const ids = Array.from({ length: 75 }, (_, n) => `n${n}`);
    await (await attribution.index(model, train, { ...common, method, ids, out })).release();
    const path = join(out, "shard-00000000.safetensors");
    const [tensors, bytes] = [await readTensors(path), made()];
    const { from, digest } = JSON.parse(
      /"__metadata__":(\{[^}]*\})/.exec(readFileSync(path).toString("latin1"))?.[1] ?? "",
    );
    writeFileSync(path, spoiled({ ...tensors, ids: tensor("uint8", [bytes.length], bytes) }, { from, digest }));
    const opened = await attribution.openIndex(out, model, { ...common, method });
    await expect(opened.query(queries, { top: 75 })).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await opened.release();
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
      "of fewer numbers",
      (bytes: Buffer) => Buffer.from(bytes.toString("latin1").replace('"shape":[20,1]', '"shape":[19,1]'), "latin1"),
    ],
    [
      "of a huge shape",
      (bytes: Buffer) => Buffer.from(bytes.toString("latin1").replace('"shape":[20,1]', '"shape":[2e9]'), "latin1"),
    ],
    [
      "of overlapping tensors",
      (bytes: Buffer) =>
        Buffer.from(bytes.toString("latin1").replace('"data_offsets":[80,160]', '"data_offsets":[00,080]'), "latin1"),
    ],
    [
      "of other numbers than the manifest says",
      (bytes: Buffer) => Buffer.from(bytes.toString("latin1").replace('"F16"', '"I16"'), "latin1"),
    ],
    [
      "with NaN in its features",
      (bytes: Buffer) => Buffer.concat([bytes.subarray(0, bytes.length - 2), Buffer.from([0, 0x7e])]),
    ],
    [
      "with infinity in its features",
      (bytes: Buffer) => Buffer.concat([bytes.subarray(0, bytes.length - 2), Buffer.from([0, 0x7c])]),
    ],
    [
      "with NaN in its scales",
      (bytes: Buffer) => {
        const start = 8 + Number(bytes.readBigUInt64LE(0));
        return Buffer.concat([bytes.subarray(0, start), Buffer.from([0, 0, 0xc0, 0x7f]), bytes.subarray(start + 4)]);
      },
    ],
    [
      "with NaN",
      (bytes: Buffer) => Buffer.concat([bytes.subarray(0, bytes.length - 4), Buffer.from([0, 0, 0xc0, 0x7f])]),
    ],
  ])("a shard that is %s", async (_, spoil) => {
    const out = copied();
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
