/** What the commands make of sample axes, open dimensions, parameters and batches. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readTensors, writeTensors } from "../../src/io/files.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { concat } from "../../src/trace/functions.js";
import { temporaryFolder } from "../support/folder.js";
import { encoded, floats, labels, linear, run, workspace } from "./support.js";

const data = { x: floats([5, 3]), target: floats([5, 2], (k) => Math.cos(k)) };

function values(tensors: ReadonlyMap<string, Tensor>): Record<string, number[]> {
  return Object.fromEntries([...tensors].map(([name, { data }]) => [name, Array.from(data, Number)]));
}

function close(a: Record<string, number[]>, b: Record<string, number[]>): void {
  expect(Object.keys(a)).toEqual(Object.keys(b));
  for (const [name, own] of Object.entries(a)) {
    expect(own).toHaveLength(b[name]?.length ?? -1);
    own.forEach((x, k) => {
      expect(x).toBeCloseTo(b[name]?.[k] ?? Number.NaN, 5);
    });
  }
}

describe("batches", () => {
  test.each(["grads", "norms", "clipped-sum"])("%s does not depend on them", async (command) => {
    const { result } = await workspace(linear(), data);
    const limit = command === "clipped-sum" ? ["--max-norm", "0.5"] : [];
    const whole = await result(command, ...limit);
    for (const size of ["1", "2", "5", "6"]) {
      close(values((await result(command, ...limit, "--microbatch-size", size)).tensors), values(whole.tensors));
    }
    expect(whole.out).toMatch(/^wrote .*out\.safetensors: 5 samples, 2 parameters\n$/);
    expect(whole.err).toBe("");
  });

  test("a memory budget changes nothing but the time; one that is too small for a sample is refused", async () => {
    const { result, command, path } = await workspace(linear(), data);
    const whole = await result("clipped-sum", "--max-norm", "0.5");
    const within = await result("clipped-sum", "--max-norm", "0.5", "--memory-budget", "1.5KiB");
    close(values(within.tensors), values(whole.tensors));
    const { code, err } = await command("grads", "--out", path("other.npz"), "--memory-budget", "60");
    expect(code).toBe(1);
    expect(err).toMatch(/memory budget of 60 bytes is too small: one sample alone takes/);
  });

  test("gradients in half precision take half the file", async () => {
    const { result, command, path } = await workspace(linear(), data);
    const whole = values((await result("grads")).tensors);
    for (const name of ["half.safetensors", "half.npz"]) {
      await command("grads", "--out", path(name), "--float16", "--microbatch-size", "2");
      const halves = values(await readTensors(path(name)));
      expect(Object.keys(halves)).toEqual(Object.keys(whole));
      for (const [k, x] of (halves.weight ?? []).entries()) expect(x).toBeCloseTo(whole.weight?.[k] ?? Number.NaN, 2);
    }
    const header = readFileSync(path("half.safetensors")).toString("latin1", 8, 300);
    expect(header).toContain('"weight":{"dtype":"F16","shape":[5,3,2]');
  });

  test("a file without samples is refused by the same sentence everywhere, and nothing is written", async () => {
    const { command, path } = await workspace(linear(), { x: floats([0, 3]), target: floats([0, 2]) });
    const out = ["--out", path("out.csv")];
    const training = ["--optimizer", "sgd", "--learning-rate", "0.1", "--steps", "1", "--batch-size", "1"];
    const commands = [
      ["grads", "--out", path("out.npz")],
      ["norms", ...out],
      ["clipped-sum", "--max-norm", "1", "--out", path("out.npz")],
      ["project", "--dims", "2", "--out", path("out.npz")],
      ["clean", ...out],
      ["report", "--report", path("out.html")],
      ["check"],
      ["train", ...training, "--out", path("out.onnx")],
    ] as const;
    for (const [name, ...options] of commands) {
      const { code, err } = await command(name, ...options);
      expect([name, code, err.replace(/^pergrad: note: .*\n/gm, "")]).toEqual([
        name,
        1,
        `pergrad: "${path("data.safetensors")}" holds no samples, so there is nothing to compute; give a file with samples.\n`,
      ]);
    }
    for (const file of ["out.npz", "out.csv", "out.html", "out.onnx"]) expect(existsSync(path(file))).toBe(false);
  });
});

describe("sample axes", () => {
  const timeFirst = trace({ x: [4, "N", 3] }, { weight: uniform([3, 2], 1) }, ({ x }, { weight }) => x.matmul(weight));
  const sampleFirst = trace({ x: ["N", 4, 3] }, { weight: uniform([3, 2], 1) }, ({ x }, { weight }) =>
    x.matmul(weight),
  );
  const target = floats([5, 4, 2]);
  const x = floats([5, 4, 3]);
  const transposed = floats([4, 5, 3], (k) => {
    const [t, n, i] = [Math.floor(k / 15), Math.floor(k / 3) % 5, k % 3];
    return x.data[n * 12 + t * 3 + i] ?? 0;
  });

  test("samples along axis 1 give the same gradients", async () => {
    const expected = await (await workspace(sampleFirst, { x, target })).result("grads");
    const { result } = await workspace(timeFirst, { x: transposed, target });
    for (const options of [["x=1"], ["x=-2"], ["x=1", "output=1"], ["x=1", "output=-2"]]) {
      const axes = options.flatMap((option) => ["--sample-axis", option]);
      close(values((await result("grads", ...axes, "--microbatch-size", "2")).tensors), values(expected.tensors));
    }
  });

  test("an output axis that is not so is refused", async () => {
    const { command } = await workspace(timeFirst, { x: transposed, target });
    const { code, err } = await command("check", "--sample-axis", "x=1", "--sample-axis", "output=0");
    expect(code).toBe(1);
    expect(err).toMatch(/"output" \[4, N, 2\] has its samples along axis 1, not 0/);
    const unknown = await command("check", "--sample-axis", "y=1");
    expect(unknown).toMatchObject({ code: 1, err: expect.stringMatching(/sample axis is given for "y"/) });
    const shared = await command("check", "--sample-axis", "x=1", "--sample-axis", "output=shared");
    expect(shared).toMatchObject({
      code: 2,
      err: expect.stringMatching(/the output must hold the samples; give their axis/),
    });
  });

  test("an input may be shared by all samples", async () => {
    const scaled = trace({ x: ["N", 3], s: [3] }, { weight: uniform([3, 2], 1) }, ({ x, s }, { weight }) =>
      x.mul(s).matmul(weight),
    );
    const { result, command } = await workspace(scaled, { ...data, s: floats([3]) });
    const { tensors } = await result("grads", "--sample-axis", "s=shared", "--microbatch-size", "2");
    expect(tensors.get("weight")?.dims).toEqual([5, 3, 2]);
    expect((await command("check", "--sample-axis", "s=shared")).code).toBe(0);
  });
});

describe("open dimensions", () => {
  const model = encoded(
    trace({ x: ["N", 4, 3] }, { weight: uniform([3, 2], 1) }, ({ x }, { weight }) => x.matmul(weight)),
    ({ graph }) => {
      const type = graph?.input[0]?.type?.value;
      const dim = type?.case === "tensorType" ? type.value.shape?.dim[1] : undefined;
      if (dim) dim.value = { case: "dimParam", value: "time" };
    },
  );
  const sequences = { x: floats([5, 7, 3]), target: floats([5, 7, 2]) };

  test("are taken from the data", async () => {
    const { result } = await workspace(model, sequences);
    expect((await result("grads")).tensors.get("weight")?.dims).toEqual([5, 3, 2]);
    expect((await result("grads", "--dim", "time=7")).tensors.get("weight")?.dims).toEqual([5, 3, 2]);
    expect((await result("grads", "--dim", "x.1=7")).tensors.get("weight")?.dims).toEqual([5, 3, 2]);
  });

  test("data that contradicts what is given, or the model, is refused", async () => {
    const { command, path, inputs } = await workspace(model, sequences);
    expect((await command("check", "--dim", "time=6")).err).toMatch(
      /"x" is \[5, 7, 3\], but the model needs \[N, 6, 3\]/,
    );
    await writeTensors(path("data.safetensors"), { ...sequences, x: floats([5, 3]) });
    expect((await command("check")).err).toMatch(/"x" is \[5, 3\] in ".*", but the model needs 3 axes/);
    await writeTensors(path("data.safetensors"), { y: sequences.x, target: sequences.target });
    expect((await command("check")).err).toMatch(
      /data\.safetensors" lacks the input "x"; add it \(the file holds "y", "target"\)\.$/m,
    );
    const explained = await run("explain", inputs[0] ?? "", "--loss", "mse");
    expect(explained).toMatchObject({ code: 1, err: expect.stringMatching(/--dim time=128/) });
    expect((await run("explain", inputs[0] ?? "", "--loss", "mse", "--dim", "time=9")).code).toBe(0);
  });
});

describe("parameters", () => {
  test("are selected by globs", async () => {
    const { result } = await workspace(linear(), data);
    const names = async (...globs: string[]) => {
      const { tensors } = await result("grads", ...globs.flatMap((glob) => ["--parameters", glob]));
      return [...tensors.keys()];
    };
    expect(await names("w*")).toEqual(["losses", "weight"]);
    expect(await names("w*", "bias")).toEqual(["losses", "weight", "bias"]);
    expect(await names("!weight")).toEqual(["losses", "bias"]);
  });

  test("may be clipped one by one", async () => {
    const { result, command, path } = await workspace(linear(), data);
    const norms = (await result("norms")).tensors;
    const gradients = values((await result("grads")).tensors);
    const { tensors } = await result(
      "clipped-sum",
      "--max-norm",
      "weight=0.3",
      "--max-norm",
      "bias=2",
      "--microbatch-size",
      "2",
    );
    for (const [name, limit] of [
      ["weight", 0.3],
      ["bias", 2],
    ] as const) {
      const own = values(norms)[`norms/${name}`] ?? [];
      const size = (gradients[name]?.length ?? 0) / own.length;
      const sum = Array.from({ length: size }, (_, i) =>
        own.reduce((acc, norm, n) => acc + Math.min(1, limit / norm) * (gradients[name]?.[n * size + i] ?? 0), 0),
      );
      close({ [name]: Array.from(tensors.get(name)?.data ?? [], Number) }, { [name]: sum });
    }
    const out = ["--out", path("other.npz")];
    expect(await command("clipped-sum", "--max-norm", "weight=1", ...out)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/has no limit for "bias"/),
    });
    const one = ["--parameters", "weight", "--max-norm", "weight=1"];
    expect((await command("clipped-sum", ...one, ...out)).code).toBe(0);
    expect(await command("clipped-sum", ...one, "--max-norm", "bias=1", ...out)).toMatchObject({ code: 2 });
  });

  test("one that reaches the loss without a derivative has a gradient of zero", async () => {
    const model = trace(
      { x: ["N", 3] },
      { weight: uniform([3, 2], 1), step: uniform([2], 1) },
      ({ x }, { weight, step }) => x.matmul(weight).add(step.sign()),
    );
    const { result } = await workspace(model, data);
    expect(values((await result("grads")).tensors).step).toEqual(new Array(10).fill(0));
    expect(values((await result("norms")).tensors)["norms/step"]).toEqual(new Array(5).fill(0));
    expect(values((await result("clipped-sum", "--max-norm", "1")).tensors).step).toEqual([0, 0]);
  });

  test("one named as another result is refused", async () => {
    const model = trace({ x: ["N", 3] }, { losses: uniform([3, 2], 1) }, ({ x }, { losses }) => x.matmul(losses));
    const { command, path, result } = await workspace(model, data);
    const { code, err } = await command("grads", "--out", path("out.npz"));
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(/"losses" has the name under which the losses/),
    });
    expect([...(await result("norms")).tensors.keys()]).toEqual(["norms", "norms/losses"]);
  });
});

describe("losses", () => {
  test("that the model computes itself need no target", async () => {
    const model = trace({ x: ["N", 3] }, { weight: uniform([3, 2], 1) }, ({ x }, { weight }) => ({
      logits: x.matmul(weight),
      loss: x.matmul(weight).square().mean([1]),
    }));
    const { result, command } = await workspace(model, data);
    const own = await result("grads", "--loss", "output:loss");
    expect(own.err).toMatch(
      /^pergrad: note: ".*" also holds "target", which neither the model nor the loss reads\.\n$/,
    );
    const same = await result("grads", "--loss", "output", "--output", "loss");
    close(values(own.tensors), values(same.tensors));
    const { code, err } = await command("check", "--loss", "output:loss", "--output", "logits");
    expect({ code, err }).toMatchObject({ code: 2, err: expect.stringMatching(/name different outputs/) });
    expect(await command("check", "--loss", "output:nope")).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no output "nope"; its outputs are "logits", "loss"/),
    });
  });

  test("take labels of any integer type, and options", async () => {
    const target: Tensor = { dtype: "uint8", dims: [5], data: Uint8Array.of(0, 1, 255, 1, 0) };
    const { result } = await workspace(linear(), { ...data, target });
    const { tensors } = await result("grads", "--loss", "cross_entropy", "--ignore-index", "255");
    expect(values(tensors).losses?.[2]).toBe(0);
    expect(
      values(tensors)
        .bias?.slice(4, 6)
        .every((x) => x === 0),
    ).toBe(true);
    const smooth = await result(
      "grads",
      "--loss",
      "cross_entropy",
      "--ignore-index",
      "255",
      "--label-smoothing",
      "0.1",
    );
    expect(values(smooth.tensors).losses?.[0]).not.toBeCloseTo(values(tensors).losses?.[0] ?? 0, 4);
  });

  test("find the classes along axis 1 where several axes fit, as PyTorch, and say so", async () => {
    const golden = (file: string) => join(import.meta.dirname, "..", "goldens", "class_axis_square", file);
    const inputs = [golden("model.onnx"), "--data", golden("data.safetensors"), "--loss", "cross_entropy"];
    const out = join(temporaryFolder(), "grads.safetensors");
    const { code, err } = await run("grads", ...inputs, "--out", out);
    expect(code).toBe(0);
    expect(err).toMatch(/^pergrad: note: cross_entropy: .*along axis 1 or 2; axis 1 is taken.*--class-axis.*\n$/);
    const expected = await readTensors(golden("expected.safetensors"));
    const losses = async () => Array.from((await readTensors(out)).get("losses")?.data ?? [], Number);
    const asTorch = Array.from(expected.get("losses")?.data ?? [], Number);
    for (const [n, loss] of (await losses()).entries()) expect(loss).toBeCloseTo(asTorch[n] ?? Number.NaN, 5);
    expect(await run("grads", ...inputs, "--out", out, "--class-axis", "1")).toMatchObject({ code: 0, err: "" });
    expect((await losses())[0]).toBeCloseTo(asTorch[0] ?? Number.NaN, 5);
    expect(await run("grads", ...inputs, "--out", out, "--class-axis", "-1")).toMatchObject({ code: 0, err: "" });
    expect((await losses())[0]).not.toBeCloseTo(asTorch[0] ?? Number.NaN, 3);
    expect((await run("explain", ...inputs.slice(0, 1), "--loss", "cross_entropy")).out).toMatch(/Note: cross_entropy/);
  });

  test("take targets in float64", async () => {
    const { result } = await workspace(linear(), data);
    const expected = values((await result("grads")).tensors);
    const target: Tensor = { ...data.target, dtype: "float64", data: Float64Array.from(data.target.data) };
    const wide = await workspace(linear(), { ...data, target });
    close(values((await wide.result("grads")).tensors), expected);
  });
});

describe("data", () => {
  test("NaN and infinity stop a run unless they are allowed", async () => {
    const x = floats([5, 3]);
    x.data[3 * 3 + 1] = Number.NaN;
    const { command, result, path, files } = await workspace(linear(), { ...data, x });
    const before = files();
    const { code, err } = await command("norms", "--out", path("out.safetensors"), "--microbatch-size", "2");
    expect(code).toBe(1);
    // The sample of the file, not of the batch.
    expect(err).toMatch(/"x" holds NaN or infinity, first in sample 3; .*--allow-not-finite/);
    expect(files()).toEqual(before);
    const norms = values((await result("norms", "--allow-not-finite", "--microbatch-size", "2")).tensors).norms ?? [];
    expect(norms.map(Number.isFinite)).toEqual([true, true, true, false, true]);
  });

  test("a label out of range is found before anything runs", async () => {
    const { command, path, files } = await workspace(linear(), { ...data, target: labels(0, 1, 0, 2, 1) });
    const before = files();
    const { code, err } = await command(
      "grads",
      "--loss",
      "cross_entropy",
      "--out",
      path("out.npz"),
      "--microbatch-size",
      "2",
    );
    expect(code).toBe(1);
    expect(err).toMatch(/label 2 of sample 3 is outside 0\.\.1/);
    expect(files()).toEqual(before);
  });

  test("interacting samples are named by their node", async () => {
    const model = trace({ x: ["N", 3] }, { weight: uniform([3, 2], 1) }, ({ x }, { weight }) =>
      x.sub(x.mean([0], { keepDims: true })).matmul(weight),
    );
    const { command } = await workspace(model, data);
    expect(await command("check")).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^pergrad: ReduceMean node .* samples/),
    });
  });

  test("a check that finds rounding alone passes, however large it is, and says so", async () => {
    // In float32, 1e8 swallows what the float64 loop keeps.
    const model = trace({ x: ["N", 3] }, { weight: uniform([3, 2], 1) }, ({ x }, { weight }) =>
      concat([x.matmul(weight).add(1e8).sub(1e8), x.matmul(weight)], 1),
    );
    const { command } = await workspace(model, { x: data.x, target: floats([5, 4]) });
    const { code, out } = await command("check");
    expect(code).toBe(0);
    expect(out).toMatch(/^weight +rounding/m);
    expect(out).toContain("float32 leaves hardly a digit of it right");
  });
});

describe("gradients that are not finite though the data is", () => {
  const rooted = () =>
    trace({ x: ["N", 3] }, { weight: uniform([3, 2], 1), bias: uniform([2], 1) }, ({ x }, { weight, bias }) =>
      x.matmul(weight).square().sqrt().add(bias),
    );
  const zeros = (...samples: number[]) => {
    const x = floats([5, 3]);
    for (const n of samples) x.data.fill(0, 3 * n, 3 * n + 3);
    return { ...data, x };
  };

  test.each([
    ["grads", ""],
    ["norms", ""],
    ["project --dims 3", ""],
    ["curvature --want ggn-diagonal", ""],
    ["curvature --want hessian-trace", ""],
    ["curvature --want ntk,ggn-diagonal", ""],
    [
      "clipped-sum --max-norm 1",
      "; such samples spoil the sum: --leave-out-not-finite leaves them out and counts them",
    ],
  ])("%s warns of, naming samples and parameters", async (line, then) => {
    const { result } = await workspace(rooted(), zeros(1, 3));
    const [command = "", ...options] = line.split(" ");
    for (const size of ["1", "2", "5"]) {
      const { err } = await result(command, ...options, "--microbatch-size", size);
      expect(err).toBe(
        `pergrad: warning: The gradient of samples 1, 3 (in "weight") is not finite, though the data is${then}.\n`,
      );
    }
  });

  test("curvature of the whole data set stops at, and writes nothing", async () => {
    const { command, files } = await workspace(rooted(), zeros(1, 3));
    const before = files();
    const { code, err } = await command("curvature", "--want", "ggn-top", "--out", "top.safetensors");
    expect(code).toBe(1);
    expect(err).toMatch(/^pergrad: The gradient of samples 1, 3 \(in "weight"\) is not finite; /);
    expect(files()).toEqual(before);
  });

  test("clean and report warn of, and say how such samples appear", async () => {
    const { command, path } = await workspace(rooted(), zeros(1, 3));
    const told = 'pergrad: warning: The gradient of samples 1, 3 (in "weight") is not finite; ';
    const cleaned = await command("clean", "--out", path("scores.csv"), "--report", path("cleaned.html"));
    expect(cleaned.err).toBe(`${told}such samples have the outlier score 1.\n`);
    const reported = await command("report", "--report", path("page.html"));
    expect(reported.err).toBe(`${told}the page shows such samples as "not finite".\n`);
  });

  test("check finds no difference at, and says that the model is so", async () => {
    const { command } = await workspace(rooted(), zeros(1, 3));
    const { code, out } = await command("check");
    expect(code).toBe(0);
    expect(out).toMatch(/^weight +ok/m);
    expect(out).toContain('The gradient of samples 1, 3 (in "weight") is not finite in float64 either');
  });

  test("clipped-sum leaves out and counts", async () => {
    const { result } = await workspace(rooted(), zeros(1, 3));
    const { tensors, out, err } = await result("clipped-sum", "--max-norm", "1", "--leave-out-not-finite");
    expect(out).toMatch(/: 5 samples, 2 parameters, 2 left out of the sum\n$/);
    expect(err).toMatch(/though the data is; such samples are left out of the sum\.\n$/);
    const kept = (tensor: Tensor<"float32">, width: number) =>
      Float32Array.from([0, 2, 4].flatMap((n) => [...tensor.data.subarray(n * width, (n + 1) * width)]));
    const { x, target } = zeros(1, 3);
    const others = await workspace(rooted(), {
      x: { ...x, dims: [3, 3], data: kept(x, 3) },
      target: { ...target, dims: [3, 2], data: kept(target, 2) },
    });
    const wanted = await others.result("clipped-sum", "--max-norm", "1");
    expect(wanted.err).toBe("");
    for (const name of ["weight", "bias"]) {
      const own = values(tensors)[name] ?? [];
      expect(own.length).toBeGreaterThan(0);
      own.forEach((each, k) => {
        expect(each).toBeCloseTo(values(wanted.tensors)[name]?.[k] ?? Number.NaN, 5);
      });
    }
  });

  test("the warning says where it comes of the data", async () => {
    const given = zeros(1);
    given.x.data[9] = Number.NaN;
    const { result } = await workspace(rooted(), given);
    const { err } = await result("norms", "--allow-not-finite");
    expect(err).toMatch(/samples 1, 3 \(in "weight"(, "bias")?\) is not finite, in 1 of them as the data\.\n$/);
  });
});

test("an input that --fix makes a constant is not taken from the data, and a note says so", async () => {
  const { result } = await workspace(linear(), data);
  const fixed = await result("norms", "--fix", "x=1");
  expect(fixed.err).toMatch(/also holds "x", which --fix makes a constant; the data is not used for it\./);
  const { result: ofOnes } = await workspace(linear(), { ...data, x: floats([5, 3], () => 1) });
  close(values(fixed.tensors), values((await ofOnes("norms")).tensors));
});
