/** `--ray`: the same commands, handed to a cluster. A server in its place tells what it was sent. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unzipSync } from "fflate";
import { afterEach, describe, expect, it } from "vitest";
import { losses, perSample, want } from "../../src/index.js";
import { readTensors, writeTensors } from "../../src/io/files.js";
import { FakeRay } from "../cluster/fake-ray.js";
import { floats, labels, linear, run, workspace } from "./support.js";

const fakes: FakeRay[] = [];

afterEach(async () => {
  for (const fake of fakes.splice(0)) await fake.close();
});

async function done(): Promise<FakeRay> {
  const told = 'pergrad: done {"parts": 1, "samples": 7}\n';
  const fake = await FakeRay.start({ looks: [{ status: "SUCCEEDED", logs: told }] });
  fakes.push(fake);
  return fake;
}

const data = { x: floats([4, 3]), target: labels(0, 1, 1, 0) };

describe("pergrad project", () => {
  it("writes what want.project gives", async () => {
    const { path, inputs } = await workspace(linear(), data);
    const ended = await run(
      ...["project", ...inputs, "--loss", "cross_entropy", "--dims", "5", "--seed", "3"],
      ...["--out", path("projected.safetensors")],
    );
    expect(ended).toMatchObject({ code: 0, err: "" });
    const program = await perSample(linear(), {
      loss: losses.crossEntropy(),
      want: { projected: want.project({ dims: 5, seed: 3 }) },
    });
    const { projected } = await program.run(data);
    await program.release();
    expect((await readTensors(path("projected.safetensors"))).get("projected")).toEqual(projected);
  });
});

describe("with --ray", () => {
  it.each([
    [["norms"], ["norms/total", "norms/of/weight"]],
    [["grads"], ["losses/losses", "gradients/weight"]],
    [["project", "--dims", "4"], ["projected/projected"]],
    [
      ["clipped-sum", "--max-norm", "1", "--leave-out-not-finite"],
      ["clipped/sum/weight", "clipped/norms"],
    ],
  ])("%j sends the program, and the folders' names", async (command, results) => {
    const fake = await done();
    const { path } = await workspace(linear(), data);
    mkdirSync(path("out"));
    for (const name of ["part-00000.parquet", "done.json"]) writeFileSync(join(path("out"), name), "");
    const [name = "", ...more] = command;
    const ended = await run(
      ...[name, path("model.onnx"), "--loss", "cross_entropy", "--data", path("data/*.parquet"), ...more],
      ...["--ray", fake.url, "--out", path("out")],
    );
    expect(ended).toEqual({ code: 0, err: "", out: `wrote ${path("out")}: 7 samples, 1 parts\n` });
    const files = unzipSync([...fake.packages.values()][0] ?? Buffer.alloc(0));
    const job = JSON.parse(new TextDecoder().decode(files["job.json"]));
    expect(job).toMatchObject({ data: path("data/*.parquet"), out: path("out") });
    expect(job.settings).toEqual(name === "clipped-sum" ? { not_finite: "leave out" } : {});
    const program = new TextDecoder("latin1").decode(files["program.onnx"]);
    for (const each of results) expect(program).toContain(each);
  });

  it("says what computes on the nodes, and which operators did not run there", async () => {
    const note = 'pergrad: note {"text": "Not on cuda but on the CPU run Scan."}\n';
    const told = `${note}pergrad: done {"parts": 1, "samples": 7}\n`;
    const fake = await FakeRay.start({ looks: [{ status: "SUCCEEDED", logs: told }] });
    fakes.push(fake);
    const { path } = await workspace(linear(), data);
    mkdirSync(path("out"));
    for (const name of ["part-00000.parquet", "done.json"]) writeFileSync(join(path("out"), name), "");
    const base = ["norms", path("model.onnx"), "--loss", "cross_entropy", "--data", "x", "--out", path("out")];
    const ended = await run(...base, "--ray", fake.url, "--execution", "cuda,cpu", "--ids", "name");
    expect([ended.code, ended.err]).toEqual([0, expect.stringContaining("Not on cuda but on the CPU run Scan.")]);
    const files = unzipSync([...fake.packages.values()][0] ?? Buffer.alloc(0));
    const { settings } = JSON.parse(new TextDecoder().decode(files["job.json"]));
    expect(settings).toEqual({ execution: ["cuda", "cpu"], ids: "name" });
    for (const alone of [
      ["--execution", "cpu"],
      ["--ids", "name"],
      ["--shared", "s.safetensors"],
    ])
      expect(await run(...base, ...alone)).toMatchObject({ code: 2, err: expect.stringContaining("is for --ray") });
  });

  it.each([
    [["--threads", "2"], "The workers of a cluster choose --threads themselves; leave out --threads or --ray"],
    [["--memory-budget", "1GB"], "choose --memory-budget themselves"],
    [["--ray", "head:8265"], "begins with http or https"],
    [["--execution", "gpu"], "of cpu, cuda"],
    [["--out", "norms.csv"], "--out must be the folder for the parts of the result, but it is"],
    [[], "--data must be a folder or a glob of Parquet files, but it is"],
  ])("%j is wrong usage", async (more, text) => {
    const { path, inputs } = await workspace(linear(), data);
    const own = more.includes("--ray") ? [] : ["--ray", "http://127.0.0.1:9"];
    const given = more.length === 0 ? inputs : [path("model.onnx"), "--data", path("data")];
    const out = more.includes("--out") ? [] : ["--out", path("out")];
    const ended = await run("norms", ...given, "--loss", "cross_entropy", ...out, ...own, ...more);
    expect(ended.code).toBe(2);
    expect(ended.err).toContain(text);
  });

  it.each([
    [["--method", "relatif"], /relatIF needs all training samples at once/],
    [["--method", "influence", "--inverse", "lissa"], /inverse "lissa" needs products of all training samples/],
  ])("%j cannot be computed there, which is said before the cluster is asked", async (more, text) => {
    const { path } = await workspace(linear(), data);
    const own = ["--loss", "cross_entropy", "--data", path("data"), "--query", path("data.safetensors")];
    const nowhere = ["--ray", "http://127.0.0.1:9", "--out", path("out")];
    const ended = await run("attribute", path("model.onnx"), ...own, ...nowhere, ...more);
    expect(ended.code).toBe(1);
    expect(ended.err).toMatch(text);
  });

  it("and without it a folder is no name for a result", async () => {
    const { path, inputs } = await workspace(linear(), data);
    const ended = await run("norms", ...inputs, "--loss", "cross_entropy", "--out", path("out"));
    expect(ended).toMatchObject({ code: 2, out: "" });
    expect(ended.err).toContain(".safetensors");
  });
});

describe("attribute with --ray", () => {
  it("sends programs, and what they are fed of the queries; scores are the workers'", async () => {
    const fake = await done();
    const { path } = await workspace(linear(), data);
    await writeTensors(path("query.safetensors"), { ...data, ids: labels(7, 8, 9, 10) });
    mkdirSync(path("out"));
    for (const name of ["part-00000.parquet", "done.json"]) writeFileSync(join(path("out"), name), "");
    const own = ["--query", path("query.safetensors"), "--loss", "cross_entropy", "--ray", fake.url];
    const base = ["attribute", path("model.onnx"), ...own, "--out", path("out")];
    const ended = await run(...base, "--data", path("data/*.parquet"), "--method", "gradcos");
    const told = "4 queries, 7 training samples, 1 models, 1 parts";
    expect(ended).toEqual({ code: 0, err: "", out: `wrote ${path("out")}: ${told}\n` });
    const files = unzipSync([...fake.packages.values()][0] ?? Buffer.alloc(0));
    const job = JSON.parse(new TextDecoder().decode(files["job.json"]));
    expect(job).toMatchObject({ data: path("data/*.parquet"), out: path("out"), settings: {} });
    const [products] = job.scores.products;
    expect(products).toMatchObject({ program: "program-0.onnx", files: ["given-0.safetensors"], over: "norms/total" });
    expect(products.factors).toHaveLength(4);
    expect(files["program-0.onnx"]).toBeDefined();
    expect((await readTensors(path("out/queries.safetensors"))).get("query_ids")?.data).toEqual(
      BigInt64Array.of(7n, 8n, 9n, 10n),
    );
  });

  it.each([
    [["--method", "graddot"], "--ray needs the training samples; give --data"],
    [["--method", "graddot", "--data", "x", "--train", "y"], "leave out --train"],
    [["--method", "graddot", "--data", "x", "--self"], "--self cannot be computed on a cluster"],
    [
      ["--method", "graddot", "--data", "x", "--threads", "2"],
      "The workers of a cluster choose --threads themselves; leave out --threads or --ray",
    ],
  ])("%j is wrong usage", async (more, text) => {
    const { path } = await workspace(linear(), data);
    const own = ["--query", path("data.safetensors"), "--loss", "cross_entropy", "--ray", "http://127.0.0.1:1"];
    const ended = await run("attribute", path("model.onnx"), ...own, "--out", path("out"), ...more);
    expect([ended.code, ended.err]).toEqual([2, expect.stringContaining(text)]);
  });

  it("without it wants --train", async () => {
    const { path } = await workspace(linear(), data);
    const own = ["--query", path("data.safetensors"), "--loss", "cross_entropy", "--method", "graddot"];
    const ended = await run("attribute", path("model.onnx"), ...own, "--out", path("s.safetensors"));
    expect([ended.code, ended.err]).toEqual([
      2,
      expect.stringContaining("The option --train <file> must be given, or else --ray with --data"),
    ]);
  });

  it("refuses what a cluster cannot compute, before anything is sent", async () => {
    const fake = await done();
    const { path } = await workspace(linear(), data);
    const own = ["--query", path("data.safetensors"), "--loss", "cross_entropy", "--ray", fake.url];
    const base = ["attribute", path("model.onnx"), ...own, "--out", path("out"), "--data", "x"];
    const ended = await run(...base, "--method", "influence", "--damping", "0.1");
    expect([ended.code, ended.err]).toEqual([1, expect.stringContaining('with the inverse "ekfac", "kfac" or "diag')]);
    expect(fake.packages.size).toBe(0);
  });
});
