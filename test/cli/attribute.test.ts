/** `pergrad attribute` writes the scores that PyTorch's autograd gives, of one model and of several checkpoints, and says what is wrong. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readTensors, writeTensors } from "../../src/io/files.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { loadCase, turned } from "../curvature/load-case.js";
import { below, expectNear } from "../curvature/support.js";
import { floats, linear, run, workspace } from "./support.js";

const folder = mkdtempSync(join(tmpdir(), "pergrad-attribute-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = (name: string) => join(folder, name);
const model = join(import.meta.dirname, "../curvature/cases/mlp_gelu/model.onnx");
const out = path("scores.safetensors");
let expected: ReadonlyMap<string, Tensor>;

beforeAll(async () => {
  const loaded = await loadCase("mlp_gelu");
  expected = loaded.expected;
  await writeTensors(path("train.safetensors"), loaded.train);
  await writeTensors(path("query.safetensors"), loaded.queries);
  for (const k of [0, 1, 2]) await writeTensors(path(`${k}.safetensors`), below(loaded.tensors, `checkpoint/${k}/`));
  const projection = loaded.tensors.get("projection") as Tensor;
  await writeTensors(path("projection.safetensors"), { projection });
});

const attribute = (files: readonly string[], ...options: readonly string[]) =>
  run(
    ...["attribute", model, ...files.map(path), "--train", path("train.safetensors")],
    ...["--query", path("query.safetensors"), "--loss", "cross_entropy", "--out", out, "--threads", "1", ...options],
  );

const all = ["0.safetensors", "1.safetensors", "2.safetensors"];
const rates = ["--learning-rates", "0.2,0.1,0.05"];

describe("attribute", () => {
  it.each([
    ["graddot", [], ["--method", "graddot"], 1e-4],
    ["gradcos", [], ["--method", "gradcos"], 1e-4],
    // The model's own weights are those of the last checkpoint.
    ["tracin", all, ["--method", "tracin", ...rates], 1e-4],
    ["tracin", ["1.safetensors", "0.safetensors"], ["--method", "tracin", "--learning-rates", "0.05,0.1,0.2"], 1e-4],
    ["tracin_cos", all, ["--method", "tracin", "--cosine", ...rates], 1e-4],
    ["influence/ggn", [], ["--method", "influence", "--inverse", "exact", "--damping", "0.05"], 1e-3],
    ["influence/ggn", [], ["--method", "influence", "--inverse", "cg", "--damping", "0.05"], 1e-3],
    ["influence/fisher", [], ["--method", "influence", "--inverse", "gram", "--damping", "0.02"], 1e-3],
    [
      "influence/ggn",
      [],
      ["--method", "influence", "--inverse", "gram", "--curvature", "ggn", "--damping", "0.05"],
      1e-3,
    ],
    ["influence/datainf", [], ["--method", "influence", "--inverse", "datainf", "--damping", "0.05"], 1e-4],
    ["relatif_l/ggn", [], ["--method", "relatif", "--inverse", "exact", "--damping", "0.05"], 1e-3],
  ])("%s of %j", async (key, files, options, tolerance) => {
    const { code, err } = await attribute(files, ...options);
    expect([code, err.replace(/^pergrad: note: .*$/gm, "").trim()]).toEqual([0, ""]);
    const { scores, ...others } = Object.fromEntries(await readTensors(out));
    expect(Object.keys(others)).toEqual([]);
    const wanted = expected.get(key) as Tensor;
    expect(scores?.dims).toEqual([4, 10]);
    expectNear(scores?.data as Float64Array, turned(wanted), tolerance, key);
  });

  it("what leaving each sample out does, with an error bar", async () => {
    const given = ["--method", "influence", "--inverse", "exact", "--damping", "0.05", "--leave-out"];
    const { code } = await attribute(["0.safetensors", "1.safetensors"], ...given);
    expect(code).toBe(0);
    const found = await readTensors(out);
    const scores = found.get("scores");
    for (const name of ["change", "error"]) expect(found.get(name)?.dims).toEqual(scores?.dims);
    const [, samples = 0] = scores?.dims ?? [];
    const row = Array.from(scores?.data.subarray(0, samples) ?? [], Number);
    const mean = row.reduce((sum, each) => sum + each, 0) / samples;
    for (const [n, score] of row.entries())
      expect(Number(found.get("change")?.data[n])).toBeCloseTo((score - mean) / (samples - 1), 6);
    expect(Math.min(...Array.from(found.get("error")?.data ?? [], Number))).toBeGreaterThan(0);
    const alone = await attribute([], ...given);
    expect([alone.code, alone.err]).toEqual([2, expect.stringContaining("several models")]);
  });

  it("says what trak projects of a loss without labels", async () => {
    const own = await workspace(linear(), { x: floats([5, 3]), target: floats([5, 2]) });
    const files = [
      own.path("model.onnx"),
      "--train",
      own.path("data.safetensors"),
      "--query",
      own.path("data.safetensors"),
    ];
    const given = ["--loss", "mse", "--method", "trak", "--damping", "1", "--dims", "4", "--out", own.path("out.npz")];
    const { code, err } = await run("attribute", ...files, ...given);
    expect([code, err]).toEqual([
      0,
      expect.stringMatching(/note: trak projects the gradients of the loss itself, because mse has no label/),
    ]);
  });

  it("says of a loss that is linear in the output that its ggn is 0", async () => {
    const own = await workspace(linear(), { x: floats([25, 3]), target: floats([25, 2]) });
    const data = own.path("data.safetensors");
    const given = [
      "--train",
      data,
      "--query",
      data,
      "--loss",
      "l1",
      "--method",
      "influence",
      "--out",
      own.path("o.npz"),
    ];
    const ended = (...options: string[]) => run("attribute", own.path("model.onnx"), ...given, ...options);
    const ggn = ["--inverse", "ekfac"];
    const note = /note: the ggn of l1 is 0, .* scores of graddot divided by the damping; use --curvature fisher\.\n/;
    expect(await ended(...ggn, "--damping", "1")).toMatchObject({ code: 0, err: expect.stringMatching(note) });
    const unset = await ended(...ggn);
    expect([unset.code, unset.err]).toEqual([2, expect.stringMatching(/use cross_entropy .*, or --curvature fisher/)]);
    expect(await ended(...ggn, "--curvature", "fisher", "--damping", "1")).toMatchObject({ code: 0, err: "" });
    expect(await ended("--damping", "1")).toMatchObject({ code: 0, err: "" });
  });

  it("spells what DataInf cannot do as options", async () => {
    const given = ["--method", "relatif", "--inverse", "datainf", "--by", "parameters", "--damping", "1"];
    const { code, err } = await attribute([], ...given);
    expect([code, err]).toEqual([2, expect.stringMatching(/give --by loss, or another --inverse/)]);
  });

  it("TRAK by a given projection, over checkpoints, and each sample's score with itself", async () => {
    const given = ["--method", "trak", "--projection", path("projection.safetensors"), "--damping", "0.1", "--self"];
    const { code, out: said } = await attribute(["1.safetensors", "0.safetensors"], ...given);
    expect(code).toBe(0);
    expect(said).toMatch(/4 queries, 10 training samples, 3 models, damping 0.100/);
    const found = await readTensors(out);
    expectNear(found.get("scores")?.data as Float64Array, turned(expected.get("trak_damped") as Tensor), 1e-3, "trak");
    expect(found.get("self")?.dims).toEqual([10]);
  });

  it.each([
    [["--method", "gradot"], 2, /must be one of graddot/],
    [[], 2, /--method <name> must be given/],
    [
      ["--method", "graddot", "--damping", "1"],
      2,
      /--damping is for --method influence, relatif, trak or logra, not for graddot; leave it out/,
    ],
    [["--method", "influence", "--inverse", "exat"], 2, /must be one of exact/],
    [
      ["--method", "influence", "--inverse", "gram", "--curvature", "hessian", "--damping", "1"],
      1,
      /"gram" is of fisher or ggn/,
    ],
    [["--method", "representer"], 2, /give --l2 FACTOR/],
    [
      ["--method", "representer", "--l2", "1", "--layer", "zz"],
      2,
      /"zz" is not the weight of a linear layer.*give another --layer, such as/,
    ],
    [["--method", "influence", "--rank", "3"], 2, /--rank is for --inverse arnoldi/],
    [["--method", "trak", "--rank", "3"], 2, /--rank is for --method influence or relatif/],
    [["--method", "influence", "--inverse", "arnoldi", "--rank", "0"], 2, /--rank/],
    [["--method", "influence", "--inverse", "datainf", "--damping", "0"], 2, /such as --damping 0.01/],
    [["--method", "tracin", "--learning-rates", "1,x"], 2, /numbers from 0 up, separated by commas/],
    [["--method", "tracin", "--learning-rates", "-1"], 2, /numbers from 0 up, separated by commas/],
    [["--method", "tracin", "--learning-rates", "1,2"], 2, /has 2 numbers, but there is 1 checkpoint, MODEL included/],
    [["--method", "trak", "--projection", path("0.safetensors")], 1, /lacks "projection"/],
  ])("%j is wrong usage", async (options, code, message) => {
    const found = await attribute([], ...options);
    expect(found.err).toMatch(message);
    expect(found.code).toBe(code);
  });

  it("checkpoints that do not fit are refused", async () => {
    const tensors = new Map(await readTensors(path("0.safetensors")));
    const [[name, first] = ["", undefined]] = tensors;
    if (!first) throw new Error("There is no tensor.");
    tensors.delete(name);
    await writeTensors(path("less.safetensors"), tensors);
    await writeTensors(path("other.safetensors"), tensors.set(name, { ...first, dims: [1, ...first.dims] }));
    const nan = { ...first, data: new Float32Array(first.data.length).fill(Number.NaN) } as Tensor;
    await writeTensors(path("nan.safetensors"), tensors.set(name, nan));
    const graddot = ["--method", "graddot"];
    expect(await attribute(["less.safetensors"], ...graddot)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/lacks the parameter/),
    });
    expect(await attribute(["other.safetensors"], ...graddot)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/the model needs/),
    });
    expect(await attribute(["nan.safetensors"], ...graddot)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/NaN or infinity/),
    });
    expect(await attribute(["none.safetensors"], ...graddot)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/does not exist/),
    });
  });
});
