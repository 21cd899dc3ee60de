/** `--ray`: the same commands, handed to a cluster. A server in its place tells what it was sent. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unzipSync } from "fflate";
import { afterEach, describe, expect, it } from "vitest";
import { losses, perSample, want } from "../../src/index.js";
import { readTensors } from "../../src/io/files.js";
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

  it.each([
    [["--threads", "2"], "--threads is for computing here"],
    [["--memory-budget", "1GB"], "--memory-budget is for computing here"],
    [["--ray", "head:8265"], "begins with http or https"],
  ])("%j is wrong usage", async (more, text) => {
    const { path, inputs } = await workspace(linear(), data);
    const own = more.includes("--ray") ? [] : ["--ray", "http://127.0.0.1:9"];
    const ended = await run("norms", ...inputs, "--loss", "cross_entropy", "--out", path("out"), ...own, ...more);
    expect(ended.code).toBe(2);
    expect(ended.err).toContain(text);
  });

  it("and without it a folder is no name for a result", async () => {
    const { path, inputs } = await workspace(linear(), data);
    const ended = await run("norms", ...inputs, "--loss", "cross_entropy", "--out", path("out"));
    expect(ended).toMatchObject({ code: 2, out: "" });
    expect(ended.err).toContain(".safetensors");
  });
});
