/** Jobs on Ray, against a server that answers as Ray's dashboard does. scripts/ray/test.mjs runs jobs on Ray itself. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unzipSync } from "fflate";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { isLoopback, tokenFor } from "../../src/cluster/ray/address.js";
import { RayJobs } from "../../src/cluster/ray/jobs.js";
import { lastLineOf, reportIn } from "../../src/cluster/ray/lines.js";
import { runJob } from "../../src/cluster/ray/map.js";
import { cluster, losses, nn, perSample, ray, tensor, want } from "../../src/index.js";
import { decodeSafetensors } from "../../src/io/safetensors.js";
import { FakeRay, type FakeSettings } from "./fake-ray.js";

const folders: string[] = [];
const fakes: FakeRay[] = [];

beforeEach(() => {
  vi.stubEnv("RAY_AUTH_TOKEN", undefined);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const fake of fakes.splice(0)) await fake.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "pergrad-cluster-"));
  folders.push(made);
  return made;
}

async function fakeRay(settings: FakeSettings = {}): Promise<FakeRay> {
  const fake = await FakeRay.start(settings);
  fakes.push(fake);
  return fake;
}

/** A saved program. */
async function saved(): Promise<string> {
  const program = await perSample(nn.model(nn.sequential(nn.linear(3, 2))), {
    loss: losses.crossEntropy(),
    want: { norms: want.norms() },
  });
  const path = join(folder(), "norms.onnx");
  await program.save(path, { for: "onnxruntime" });
  await program.release();
  return path;
}

const line = (kind: string, what: object) => `pergrad: ${kind} ${JSON.stringify(what)}\n`;

/** A folder as a job of `parts` parts leaves it. */
function finished(parts: number): string {
  const out = folder();
  for (let k = 0; k < parts; k++) writeFileSync(join(out, `part-${k}.parquet`), "");
  writeFileSync(join(out, "done.json"), "{}");
  return out;
}

describe("a job", () => {
  it("is uploaded, handed in, followed and checked; nothing but ONNX, JSON and our own files is sent", async () => {
    const jobs: Readonly<Record<string, unknown>>[] = [];
    const fake = await fakeRay({
      onSubmit: (job) => jobs.push(job),
      looks: [
        { status: "PENDING" },
        { status: "RUNNING", logs: `noise\n${line("progress", { parts: 1, of: 2, samples: 10 })}` },
        {
          status: "SUCCEEDED",
          logs: line("progress", { parts: 2, of: 2, samples: 20 }) + line("done", { parts: 2, samples: 20 }),
        },
      ],
    });
    const out = finished(2);
    const told: number[] = [];
    const done = await cluster(ray(fake.url)).map(await saved(), "data/*.parquet", {
      out,
      microbatchSize: 7,
      onProgress: ({ parts }) => told.push(parts),
    });
    expect(done).toEqual({ out, parts: 2, samples: 20 });
    expect(told.at(-1)).toBe(2);
    const [[name, zip] = ["", Buffer.alloc(0)]] = fake.packages;
    const files = unzipSync(zip);
    expect(Object.keys(files).filter((each) => !/\.(onnx|json|py)$/.test(each))).toEqual([]);
    expect(Object.keys(files)).toEqual(expect.arrayContaining(["program.onnx", "job.json", "pergrad_ray.py"]));
    const job = JSON.parse(new TextDecoder().decode(files["job.json"]));
    expect(job).toEqual({ data: join(process.cwd(), "data/*.parquet"), out, settings: { batch_size: 7 } });
    expect(jobs).toHaveLength(1);
    expect(jobs[0]).toMatchObject({
      entrypoint: "python pergrad_ray.py",
      runtime_env: { working_dir: `gcs://${name}` },
    });
  });

  it("that picks samples leaves no file for each part; every other job does", async () => {
    const logs = line("done", { parts: 3, samples: 30 });
    const fake = await fakeRay({ looks: [{ status: "SUCCEEDED", logs }] });
    const out = finished(0);
    const job = { data: "/data", out, settings: {} };
    const run = (own: object) => runJob(new RayJobs(ray(fake.url)), { job: { ...job, ...own }, files: {} }, { out });
    expect(await run({ most: 5 })).toEqual({ out, parts: 3, samples: 30 });
    await expect(run({})).rejects.toMatchObject({ code: "CLUSTER_JOB" });
  });

  it("feeds what run would be given: norms in the job, tensors in a file beside the program", async () => {
    const fake = await fakeRay({ looks: [{ status: "SUCCEEDED", logs: line("done", { parts: 1, samples: 1 }) }] });
    const model = nn.model(nn.sequential(nn.linear(3, 2)), { seed: 1 });
    const [name = ""] = Object.keys(model.parameters);
    const data = { x: Float32Array.of(1, 2, 3, 0, 1, 0), target: BigInt64Array.of(0n, 1n) };
    const wants = {
      clipped: want.clippedSum({ maxNorm: 1, adjustable: true }),
      dot: want.dot(),
      cross: want.cross(data),
    };
    const program = await perSample(model, { loss: losses.crossEntropy(), want: wants });
    const vectors = { dot: model.parameters };
    const out = finished(1);
    const on = cluster(ray(fake.url));
    await on.map(program, "x.parquet", { out, vectors, maxNorms: { clipped: 0.5 }, parameters: model.parameters });
    const files = unzipSync([...fake.packages.values()][0] ?? Buffer.alloc(0));
    const { settings } = JSON.parse(new TextDecoder().decode(files["job.json"]));
    expect(settings).toEqual({ scalars: { clipped: 0.5 }, files: ["given.safetensors"] });
    const { tensors } = decodeSafetensors(files["given.safetensors"] ?? new Uint8Array(), "given");
    expect(tensors.get(name)).toEqual(model.parameters[name]);
    expect(tensors.get(`dot/with/${name}`)).toEqual(model.parameters[name]);
    expect([...tensors.keys()].filter((each) => each.startsWith("cross/other/")).length).toBeGreaterThan(0);
    const wrong = { out, vectors: { dot: { [name]: tensor("float32", [1], Float32Array.of(0)) } } };
    await expect(on.map(program, "x.parquet", wrong)).rejects.toMatchObject({ code: "SHAPE_MISMATCH" });
    await expect(on.map(program, "x.parquet", { out, vectors, maxNorms: { cut: 1 } })).rejects.toMatchObject({
      code: "MISSING_TENSOR",
    });
    await expect(on.map("x.onnx", "x.parquet", { out, others: { cross: data } })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await program.release();
  });

  it("whose program the cluster has is not uploaded again", async () => {
    const looks = [{ status: "SUCCEEDED", logs: line("done", { parts: 1, samples: 1 }) }];
    const fake = await fakeRay({ looks });
    const [program, out] = [await saved(), finished(1)];
    for (let k = 0; k < 2; k++) await cluster(ray(fake.url)).map(program, "x.parquet", { out });
    expect(fake.count("PUT", "/api/packages/")).toBe(1);
    expect(fake.packages.size).toBe(1);
  });

  it("is handed in again while no agent is there", async () => {
    const fake = await fakeRay({
      noAgent: 2,
      looks: [{ status: "SUCCEEDED", logs: line("done", { parts: 1, samples: 1 }) }],
    });
    await cluster(ray(fake.url)).map(await saved(), "x.parquet", { out: finished(1) });
    expect(fake.count("POST", "/api/jobs/")).toBe(3);
  });

  it("is stopped on an abort, whose reason is thrown", async () => {
    const fake = await fakeRay({ looks: [{ status: "RUNNING" }] });
    const controller = new AbortController();
    const running = cluster(ray(fake.url)).map(await saved(), "x.parquet", {
      out: folder(),
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(new Error("enough")), 1500);
    await expect(running).rejects.toThrow("enough");
    expect(fake.stopped).toBe(true);
  });

  it.each([
    [
      "with the worker's last sentence",
      line("error", { code: "LABEL_OUT_OF_RANGE", message: "The label 7 of sample 3 is none of 0..2" }),
      "The label 7 of sample 3 is none of 0..2.",
    ],
    ["with the log's last line where it was killed", "a\nKilled\n\n", "Killed"],
  ])("that failed throws CLUSTER_JOB %s", async (_, logs, text) => {
    const fake = await fakeRay({ looks: [{ status: "FAILED", logs, message: "exit code 1" }] });
    const running = cluster(ray(fake.url)).map(await saved(), "x.parquet", { out: folder() });
    await expect(running).rejects.toMatchObject({ code: "CLUSTER_JOB", message: expect.stringContaining(text) });
  });

  it("that says it is done is not believed where its parts are not to be seen", async () => {
    const fake = await fakeRay({ looks: [{ status: "SUCCEEDED", logs: line("done", { parts: 3, samples: 9 }) }] });
    const running = cluster(ray(fake.url)).map(await saved(), "x.parquet", { out: finished(2) });
    await expect(running).rejects.toMatchObject({
      code: "CLUSTER_JOB",
      message: expect.stringContaining("this machine sees 2 of them"),
    });
  });
});

describe("a token", () => {
  it("comes from the environment, as a header", async () => {
    const fake = await fakeRay({
      token: "s3cret",
      looks: [{ status: "SUCCEEDED", logs: line("done", { parts: 1, samples: 1 }) }],
    });
    vi.stubEnv("RAY_AUTH_TOKEN", "s3cret");
    await cluster(ray(fake.url)).map(await saved(), "x.parquet", { out: finished(1) });
    const packed = [...fake.packages.values()].some((zip) => zip.includes("s3cret"));
    expect(packed || fake.received.some(({ path, body }) => `${path}${body}`.includes("s3cret"))).toBe(false);
  });

  it.each([
    [undefined, "wants a token"],
    ["wrong", "refuses the token"],
  ])("that is %s is refused", async (token, text) => {
    const fake = await fakeRay({ token: "right" });
    vi.stubEnv("RAY_AUTH_TOKEN", token);
    await expect(cluster(ray(fake.url)).map("x.onnx", "x.parquet", { out: "o" })).rejects.toMatchObject({
      code: "CLUSTER_REFUSED",
      message: expect.stringContaining(text),
    });
  });

  it.each([
    ["http://head:8265", false],
    ["http://10.0.0.1:8265", false],
    ["http://localhost.example.com:8265", false],
    ["http://127.0.0.1.example.com", false],
    ["http://0.0.0.0:8265", false],
    ["http://localhost:8265", true],
    ["http://127.9.8.7:1", true],
    ["http://[::1]:8265", true],
    ["https://head:8265", true],
  ])("is sent to %s: %s", (url, sent) => {
    const given = () => tokenFor(ray(url), { RAY_AUTH_TOKEN: "t" });
    if (sent) expect(given()).toBe("t");
    else expect(given).toThrow(/plain HTTP/);
    expect(tokenFor(ray(url), {})).toBeNull();
  });

  it("is on this machine where the host is an address of the loopback", () => {
    expect(["127.0.0.1", "localhost", "[::1]"].every(isLoopback)).toBe(true);
    expect(["127.0.0.1.nip.io", "example.com", "1270.0.0.1", "0.0.0.0"].some(isLoopback)).toBe(false);
  });
});

describe("an address", () => {
  it("at which nothing answers is CLUSTER_UNREACHABLE", async () => {
    const fake = await FakeRay.start();
    const { url } = fake;
    await fake.close();
    await expect(cluster(ray(url)).map("x.onnx", "x.parquet", { out: "o" })).rejects.toMatchObject({
      code: "CLUSTER_UNREACHABLE",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  it.each([[{ hello: 1 }], [{ version: "2", ray_version: "1.13.0" }]])(
    "of something else is CLUSTER_VERSION: %j",
    async (version) => {
      const fake = await fakeRay({ version });
      await expect(cluster(ray(fake.url)).map("x.onnx", "x.parquet", { out: "o" })).rejects.toMatchObject({
        code: "CLUSTER_VERSION",
      });
    },
  );

  it.each(["127.0.0.1:8265", "ray://head:10001", "", "http://user:secret@head:8265"])("%j is refused", (url) => {
    expect(() => ray(url)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(() => ray(url)).not.toThrow(/secret/);
  });
});

describe("what a job printed", () => {
  it("is read line by line, whatever else is printed", () => {
    const log = `pergrad: progress {"parts":1,"of":4,"samples":8}\r\nother\npergrad: progress {"parts":2,"of":4,"samp`;
    expect(reportIn(log)).toEqual({ progress: { parts: 1, of: 4, samples: 8 } });
    const notes = `pergrad: note {"text":"Not on cuda but on the CPU run Scan."}\n`;
    expect(reportIn(notes + notes).notes).toEqual(["Not on cuda but on the CPU run Scan."]);
    expect(reportIn("pergrad: done [1]\nxpergrad: error {}\n")).toEqual({});
    expect(lastLineOf("a\n b \n\n")).toBe("b");
  });
});
