/** pergrad train: an ONNX file with new weights, and what is said of its privacy. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { describe, expect, it, test, vi } from "vitest";
import { loadModel, losses, perSample, sgd, train, trainPrivately, want } from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { readLedger } from "../../src/privacy/ledger.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { floats, labels, linear, readBy, run, workspace } from "./support.js";

/** Label 1 where the first feature is above 0: a line tells them apart. */
const samples = 60;
const x = floats([samples, 3], (k) => Math.sin(1 + 1.7 * k));
const target = labels(...Array.from({ length: samples }, (_, n) => ((x.data[3 * n] ?? 0) > 0 ? 1 : 0)));
const data = { x, target };
const learningBy = (batchSize: string) => [
  "--loss",
  "cross_entropy",
  "--batch-size",
  batchSize,
  "--learning-rate",
  "0.1",
];
const learning = learningBy("20");
const privately = ["--private", "--noise-multiplier", "1.5", "--delta", "1e-4"];

async function meanLoss(path: string): Promise<number> {
  const program = await perSample(await loadModel(path), {
    loss: losses.crossEntropy(),
    want: { each: want.losses() },
  });
  const { each } = await program.run(data);
  return each.data.reduce((sum, loss) => sum + loss, 0) / samples;
}

const dimsOf = (tensors: Readonly<Record<string, Tensor>>) =>
  Object.fromEntries(Object.entries(tensors).map(([name, { dims }]) => [name, dims]));

const property = (path: string) =>
  fromBinary(ModelProtoSchema, readFileSync(path)).metadataProps.find(({ key }) => key === "pergrad.privacy")?.value;

describe("a training that cannot end well", () => {
  it("is refused before its first step where its result could not be written", async () => {
    const { command, path } = await workspace(linear(), data);
    for (const [out, message] of [
      [path("none/t.onnx"), /its folder does not exist/],
      [path("model.onnx/t.onnx"), /its folder does not exist/],
    ] as const) {
      const ended = await command("train", ...learning, "--steps", "3", "--out", out);
      expect(ended).toMatchObject({ code: 1, err: expect.stringMatching(message) });
      expect(ended.err).not.toContain("step 1/3");
    }
    const kept = await command(
      "train",
      ...learning,
      "--steps",
      "3",
      "--out",
      path("t.onnx"),
      "--checkpoint",
      path("model.onnx"),
    );
    expect(kept).toMatchObject({ code: 1, err: expect.stringContaining("a file of that name is in the way") });
  });

  it.each(["adam", "sgd"])("exits with 1 and writes nothing where %s leaves all bounds", async (optimizer) => {
    const { command, path, files } = await workspace(linear(), data);
    const options = ["--loss", "cross_entropy", "--batch-size", "20", "--optimizer", optimizer];
    const ended = await command("train", ...options, "--learning-rate", "1e9", "--steps", "9", "--out", path("t.onnx"));
    expect(ended).toMatchObject({ code: 1, out: "", err: expect.stringMatching(/try a smaller learning rate\.$/m) });
    expect(files()).not.toContain("t.onnx");
  });
});

describe("pergrad train", () => {
  it("writes the same model with weights of a smaller loss, and says how it goes", async () => {
    const { command, path } = await workspace(linear(), data);
    const out = path("trained.onnx");
    const ended = await command("train", ...learning, "--epochs", "20", "--out", out);
    expect(ended).toMatchObject({ code: 0, out: `wrote ${out}: 60 steps\n` });
    expect(ended.err.split("\n").filter((line) => /^step \d+\/60 {2}loss [\d.]+ {2}accuracy/.test(line))).toHaveLength(
      10,
    );
    const [before, after] = await Promise.all([loadModel(path("model.onnx")), loadModel(out)]);
    expect(dimsOf(after.parameters)).toEqual(dimsOf(before.parameters));
    expect(await meanLoss(out)).toBeLessThan(0.7 * (await meanLoss(path("model.onnx"))));
    expect(property(out)).toBeUndefined();
  });

  it("draws a page of diagnostics while it runs", async () => {
    const { command, path } = await workspace(linear(), data);
    const [out, page] = [path("trained.onnx"), path("run.html")];
    const paged = ["--diagnose-page", page, "--diagnose-every", "4"];
    const ended = await command("train", ...learning, "--steps", "6", "--out", out, ...paged);
    expect(ended).toMatchObject({ code: 0, out: `wrote ${out}: 6 steps\n` });
    const [, json = ""] = /id="data">(.*?)<\/script>/s.exec(readFileSync(page, "utf8")) ?? [];
    const { steps, ended: over }: { steps: { step: number }[]; ended: boolean } = JSON.parse(json);
    expect([steps.map(({ step }) => step), over]).toEqual([[1, 5], true]);
    const secret = await command("train", ...learning, "--steps", "6", "--out", out, ...privately, ...paged);
    expect(secret).toMatchObject({
      code: 2,
      err: expect.stringMatching(/private training refuses it; leave out --diagnose-page or --private/),
    });
  });

  it("trains privately to a target epsilon, and says what is guaranteed, in the file too", async () => {
    const { command, path } = await workspace(linear(), data);
    const out = path("trained.onnx");
    const options = ["--private", "--epsilon", "3", "--delta", "1e-4", "--epochs", "5", "--out", out];
    const ended = await command("train", ...learning, ...options);
    expect(ended.code).toBe(0);
    const [, epsilon] = /^Differentially private: epsilon ([\d.]+) at delta 0.0001/m.exec(ended.out) ?? [];
    expect(Number(epsilon)).toBeLessThanOrEqual(3);
    expect(Number(epsilon)).toBeGreaterThan(2.9);
    expect(ended.err).toMatch(/^step 15\/15 .* epsilon [\d.]+ {2}clipped [\d.]+ %/m);
    expect(property(out)).toMatch(/^Differentially private/);
  });

  it("repeats itself with a seed, and says everywhere that this is not private", async () => {
    const { command, path } = await workspace(linear(), data);
    const seeded = (seed: string, out: string) =>
      command("train", ...learning, ...privately, "--steps", "6", "--seed", seed, "--out", path(out));
    const first = await seeded("3", "a.onnx");
    const second = await seeded("3", "b.onnx");
    const unlike = await seeded("4", "c.onnx");
    expect([first.code, second.code, unlike.code]).toEqual([0, 0, 0]);
    const [a, b, c] = await Promise.all(["a", "b", "c"].map((name) => loadModel(path(`${name}.onnx`))));
    expect(a?.parameters).toEqual(b?.parameters);
    expect(a?.parameters).not.toEqual(c?.parameters);
    expect(first.out).toMatch(/^NOT PRIVATE/m);
    expect(first.err).toMatch(/^step .* epsilon [\d.]+ NOT PRIVATE/m);
    expect(property(path("a.onnx"))).toMatch(/^NOT PRIVATE/);
  });

  it("keeps its run in a folder, and goes on with it where there is one", async () => {
    const { command, path } = await workspace(linear(), data);
    const folder = path("run");
    const options = [...learning, ...privately, "--checkpoint", folder, "--out", path("trained.onnx")];
    expect((await command("train", ...options, "--steps", "4")).code).toBe(0);
    const again = await command("train", ...options, "--steps", "4");
    expect(again).toMatchObject({ code: 0, out: expect.stringContaining("4 steps") });
    const resumed = await command("train", ...options, "--steps", "6");
    expect(resumed).toMatchObject({ code: 0, out: expect.stringContaining("6 steps") });
    expect(await readLedger(join(folder, "ledger"))).toHaveLength(6);
    const other = await command("train", ...options, "--steps", "6", "--max-norm", "2");
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining("begun with the clipping norm 1, not 2") });
  });

  it("says what the noise was chosen for, where the run is to be another; and of a large delta before it trains", async () => {
    const { command, path } = await workspace(linear(), data);
    const aimed = ["--private", "--epsilon", "3", "--delta", "0.5", "--checkpoint", path("run")];
    const options = [...learning, ...aimed, "--out", path("trained.onnx")];
    const first = await command("train", ...options, "--epochs", "2");
    expect(first).toMatchObject({
      code: 0,
      err: expect.stringMatching(/^pergrad: warning: --delta 0.5 is not below 1/),
    });
    const longer = await command("train", ...options, "--epochs", "4");
    expect(longer).toMatchObject({ code: 1, err: expect.stringMatching(/begun with the number of steps 6, not 12/) });
  });

  it.each([
    ["adaptive", ["--clipping", "adaptive"]],
    ["automatic", ["--clipping", "automatic"]],
    ["shuffled", ["--sampling", "shuffled"]],
    ["sgd", ["--optimizer", "sgd", "--momentum", "0.9", "--schedule", "cosine", "--warm-up", "2"]],
    ["adamw", ["--optimizer", "adamw", "--weight-decay", "0.1", "--schedule", "linear", "--microbatch-size", "3"]],
    ["part", ["--parameters", "bias"]],
  ])("takes options: %s", async (name, more) => {
    const { command, path } = await workspace(linear(), data);
    const ended = await command("train", ...learning, ...privately, "--steps", "3", "--out", path("t.onnx"), ...more);
    expect(ended).toMatchObject({ code: 0, out: expect.stringContaining("Differentially private") });
    if (name !== "part") return;
    const [before, after] = await Promise.all([loadModel(path("model.onnx")), loadModel(path("t.onnx"))]);
    expect(after.parameters.weight).toEqual(before.parameters.weight);
    expect(after.parameters.bias).not.toEqual(before.parameters.bias);
  });

  it("refuses NaN unless told to drop such samples", async () => {
    const spoilt = { ...data, x: floats([samples, 3], (k) => (k === 4 ? Number.NaN : 1)) };
    const { command, path } = await workspace(linear(), spoilt);
    const options = [...learningBy("60"), ...privately, "--steps", "10", "--out", path("t.onnx")];
    expect(await command("train", ...options)).toMatchObject({ code: 1, err: expect.stringContaining("sample 1") });
    const allowed = await command("train", ...options, "--allow-not-finite");
    expect(allowed).toMatchObject({ code: 0, err: expect.stringContaining("dropped 1") });
    expect(allowed.out).toMatch(
      /\nDropped 1 sample, 10 times in all \(1\), which count as zero: the data of 1 holds NaN or infinity\. This line is not covered by the guarantee\.\n$/,
    );
    expect((await loadModel(path("t.onnx"))).parameters.weight?.data.every(Number.isFinite)).toBe(true);
  });
});

describe("a file of data", () => {
  it.each([
    ["public", "shuffled", []],
    ["private", "poisson", [...privately, "--seed", "3"]],
  ])("is not held by a %s training, whose weights are those of data in memory", async (kind, sampling, more) => {
    // More numbers than are checked at a time.
    const many = 400_000;
    const wide = {
      x: floats([many, 3], (k) => Math.sin(1 + 1.7 * k)),
      target: {
        dtype: "int64",
        dims: [many],
        data: BigInt64Array.from({ length: many }, (_, n) => BigInt(n % 2)),
      } as const,
    };
    const { command, path } = await workspace(linear(), wide);
    const options = [
      ...learningBy("8"),
      "--optimizer",
      "sgd",
      ...more,
      "--sampling",
      sampling,
      "--steps",
      "3",
      "--out",
      path("t.onnx"),
    ];
    const file = path("data.safetensors");
    const { most, all } = await readBy(file, async () => {
      expect(await command("train", ...options, ...(kind === "public" ? ["--seed", "3"] : []))).toMatchObject({
        code: 0,
      });
    });
    const size = statSync(file).size;
    expect(all).toBeGreaterThan(size);
    expect(most).toBeLessThanOrEqual(4 * 2 ** 20);
    expect(most).toBeLessThan(size / 2);

    const model = await loadModel(path("model.onnx"));
    const common = {
      loss: losses.crossEntropy(),
      optimizer: sgd({ learningRate: 0.1 }),
      batchSize: 8,
      steps: 3,
      seed: 3,
    } as const;
    const trained =
      kind === "public"
        ? await train(model, wide, { ...common, sampling: "shuffled" })
        : await trainPrivately(model, wide, {
            ...common,
            sampling: "poisson",
            noiseMultiplier: 1.5,
            delta: 1e-4,
            maxNorm: 1,
          });
    expect((await loadModel(path("t.onnx"))).parameters).toEqual(trained.model.parameters);
  });
});

describe("numbers that are not finite", () => {
  const rooted = () =>
    trace({ x: ["N", 3] }, { weight: uniform([3, 2], 1) }, ({ x }, { weight }) => x.matmul(weight).square().sqrt());
  const zeros = { ...data, x: { ...x, data: x.data.map((each, k) => (k >= 6 && k < 9 ? 0 : each)) } };

  it.each([
    ["public", []],
    ["private", privately],
  ])("stop a %s training whose weights overflow: exit code 1, and the last good weights", async (_, more) => {
    const options = [
      "--loss",
      "mse",
      "--batch-size",
      "60",
      "--optimizer",
      "sgd",
      "--weight-decay",
      "1",
      "--steps",
      "40",
    ];
    const twoColumns = floats([samples, 2], (k) => Math.cos(k));
    const own = await workspace(linear(), { x, target: twoColumns });
    const { code, err, out } = await own.command(
      "train",
      ...options,
      ...more,
      "--learning-rate",
      "1e9",
      "--out",
      own.path("t.onnx"),
    );
    expect(code).toBe(1);
    expect(err).toMatch(
      /pergrad: Step \d+ .* not finite.*"[^"]*t\.onnx" holds the weights after step \d+ of 40, the last ones that are finite\.\n$/,
    );
    expect(out).toMatch(/steps of 40\n/);
    const trained = await loadModel(own.path("t.onnx"));
    expect(Object.values(trained.parameters).every((each) => each.data.every(Number.isFinite))).toBe(true);
  });

  it("name the sample whose gradient is not finite; no step, no file", async () => {
    const { command, path, files } = await workspace(rooted(), zeros);
    const ended = await command("train", ...learningBy("60"), "--steps", "3", "--out", path("t.onnx"));
    expect(ended).toMatchObject({ code: 1, out: "" });
    expect(ended.err).toMatch(/pergrad: Step 1 was not taken.*the gradient of sample 2 \(in "weight"\) is not finite/);
    expect(files()).not.toContain("t.onnx");
  });

  it("of samples are dropped by private training, which says how many, which and why", async () => {
    const { command, path } = await workspace(rooted(), zeros);
    const { code, out, err } = await command(
      "train",
      ...learningBy("60"),
      ...privately,
      "--steps",
      "4",
      "--out",
      path("t.onnx"),
    );
    expect(code).toBe(0);
    expect(err).not.toContain("NaN");
    expect(out).toMatch(
      /\nDropped 1 sample, 4 times in all \(2\), which count as zero: the gradient of 1 is not finite, although the data is\. /,
    );
  });

  it("of all samples of a step leave its line without a loss", async () => {
    const one = { x: floats([1, 3], () => 0), target: labels(1) };
    const { command, path } = await workspace(rooted(), one);
    const ended = await command("train", ...learningBy("1"), ...privately, "--steps", "2", "--out", path("t.onnx"));
    expect(ended.err).toMatch(/^step 1\/2 {2}loss none .*dropped 1 /m);
    expect(ended).toMatchObject({ code: 0, out: expect.stringContaining("\nDropped 1 sample, ") });
  });
});

it("Ctrl-C without a checkpoint keeps the weights of the last step", async () => {
  const { command, path } = await workspace(linear(), data);
  const exit = vi.spyOn(process, "exit").mockReturnValue(undefined as never);
  const timer = setInterval(() => {
    if (process.listenerCount("SIGINT") > listeners) process.emit("SIGINT", "SIGINT");
    else return;
    clearInterval(timer);
  }, 100);
  const listeners = process.listenerCount("SIGINT");
  const out = path("t.onnx");
  const stopped = await command("train", ...learning, "--out", out, "--steps", "10000000");
  clearInterval(timer);
  expect(exit.mock.calls).toEqual([[130]]);
  exit.mockRestore();
  const [, done] =
    /stopped after (\d+) of 10000000 steps; ".*t\.onnx" holds the weights of the last/.exec(stopped.err) ?? [];
  expect(stopped.out).toContain(`${done} steps of 10000000`);
  expect(await meanLoss(out)).toBeLessThan(await meanLoss(path("model.onnx")));
});

it("Ctrl-C writes a checkpoint after the step under way, and says how to go on", async () => {
  const { command, path, files } = await workspace(linear(), data);
  const exit = vi.spyOn(process, "exit").mockReturnValue(undefined as never);
  const before = process.listenerCount("SIGINT");
  let sent = false;
  const folder = path("run");
  const options = [...learning, ...privately, "--checkpoint", folder, "--out", path("t.onnx"), "--steps", "100000"];
  // Once the first step is recorded; a second signal would not wait for the checkpoint.
  const timer = setInterval(async () => {
    const entries = await readLedger(join(folder, "ledger")).catch(() => []);
    if (entries.length === 0 || sent) return;
    sent = true;
    process.emit("SIGINT", "SIGINT");
  }, 5);
  const stopped = await command("train", ...options);
  clearInterval(timer);
  expect(exit.mock.calls).toEqual([[130]]);
  exit.mockRestore();
  expect(process.listenerCount("SIGINT")).toBe(before);
  const [, done] = /stopped after (\d+) of 100000 steps; the same command resumes/.exec(stopped.err) ?? [];
  expect(await readLedger(join(folder, "ledger"))).toHaveLength(Number(done));
  expect(files()).toEqual(["data.safetensors", "model.onnx", "run"]);
  const resumed = await command("train", ...options.slice(0, -1), `${Number(done) + 2}`);
  expect(resumed).toMatchObject({ code: 0, out: expect.stringContaining(`${Number(done) + 2} steps`) });
  // Nothing was lost, so nothing is counted twice.
  expect(await readLedger(join(folder, "ledger"))).toHaveLength(Number(done) + 2);
});

describe("wrong usage of pergrad train exits with 2", () => {
  const full = ["m.onnx", "--data", "d.npz", "--loss", "mse", "--batch-size", "8", "--out", "t.onnx"];
  test.each<readonly [string[], RegExp]>([
    [["m.onnx"], /--loss <name>, --data <file>, --out <file> and --batch-size <B> must be given/],
    [full, /Give --epochs or --steps \(see/],
    [[...full, "--epochs", "1", "--steps", "2"], /--epochs <E> cannot be used with option --steps <T>/],
    [[...full, "--steps", "1", "--out", "t.safetensors"], /must end in .onnx/],
    [
      [...full, "--steps", "1", "--epsilon", "3"],
      /--epsilon is for private training; give --private too, or leave it out/,
    ],
    [[...full, "--steps", "1", "--max-norm", "3"], /--max-norm is for private training/],
    [[...full, "--steps", "1", "--private"], /Give --epsilon or --noise-multiplier \(see/],
    [[...full, "--steps", "1", "--private", "--epsilon", "3"], /--private needs --delta/],
    [[...full, "--steps", "1", "--allow-not-finite"], /--allow-not-finite is for private training/],
    [[...full, "--steps", "1", "--private", "--epsilon", "0"], /a number above 0/],
    [[...full, "--steps", "1", "--private", "--delta", "1"], /above 0 and below 1/],
    [[...full, "--steps", "1", "--checkpoint-every", "2"], /--checkpoint-every is for --checkpoint FOLDER/],
    [[...full, "--steps", "1", "--optimizer", "lion"], /it must be one of sgd, adam, adamw/],
    [
      [...full, "--steps", "1", "--optimizer", "sgd"],
      /--optimizer sgd has no default learning rate; give --learning-rate/,
    ],
    [[...full, "--steps", "1", "--momentum", "0.9"], /--momentum is for --optimizer sgd, not for adam/],
    [[...full, "--steps", "1", "--seed", "4294967296"], /below 2\^32/],
  ])("pergrad train %j", async (argv, message) => {
    const { code, out, err } = await run("train", ...argv);
    expect({ code, out, err }).toEqual({ code: 2, out: "", err: expect.stringMatching(message) });
    expect(err).toContain("(see pergrad train --help)");
  });
});
