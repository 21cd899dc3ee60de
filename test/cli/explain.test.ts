import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { wantNames } from "../../src/cli/explain.js";
import { floats, labels, linear, run, workspace } from "./support.js";

const data = { x: floats([4, 3]), target: floats([4, 2]) };

it("explain knows every want that takes no arguments", async () => {
  const names = wantNames.split(", ");
  expect(names).toEqual(expect.arrayContaining(["moments", "noise-scale", "dot", "gram", "cosine"]));
  const { command } = await workspace(linear(), { x: floats([2, 3]), target: floats([2, 2]) });
  const { code, out, err } = await command("explain", "--json", ...names.flatMap((name) => ["--want", name]));
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const [gram] = JSON.parse(out).filter(({ wants }: { wants: string[] }) => wants[0] === "gram");
  expect(gram.parameters).toMatchObject([{ gram: "materialise" }, { gram: "materialise" }]);
});

afterEach(() => vi.unstubAllEnvs());

describe("explain looks inside a program", () => {
  it("--graph prints the graph that the runtime is given", async () => {
    const { command } = await workspace(linear(), data);
    const { code, out, err } = await command("explain", "--want", "norms", "--graph");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatchInlineSnapshot(`
      "norms

      inputs
        x: float32 [N, 3]  # samples: axis 0
        target: float32 [N, 2]  # samples: axis 0
      parameters
        weight: float32 [3, 2]
        bias: float32 [2]
      nodes
        MatMul: float32 [N, 2] = MatMul(x, weight)  # samples: axis 0
        output: float32 [N, 2] = Add(MatMul, bias)  # samples: axis 0
        Sub: float32 [N, 2] = Sub(output, target)  # samples: axis 0
        Expand: float32 [N, 1] = Expand(1, [N, 1])  # samples: axis 0
        Div: float32 [N, 1] = Div(Expand, 2)  # samples: axis 0
        Mul: float32 [N, 2] = Mul(Div, Sub)  # samples: axis 0
        Add: float32 [N, 2] = Add(Mul, Mul)  # samples: axis 0
        ReduceSumSquare: float32 [N] = ReduceSumSquare(Add, [1], keepdims=0)  # samples: axis 0
        ReduceSumSquare_1: float32 [N] = ReduceSumSquare(x, [1], keepdims=0)  # samples: axis 0
        Mul_1: float32 [N] = Mul(ReduceSumSquare_1, ReduceSumSquare)  # samples: axis 0
        Sum: float32 [N] = Sum(Mul_1, ReduceSumSquare)  # samples: axis 0
        Concat: float32 [N*3] = Concat(Sum, Mul_1, ReduceSumSquare, axis=0)  # samples: axis 0 as 3 x N
      outputs
        norms/total = Concat: float32 [N*3]  # samples: axis 0 as 3 x N
      "
    `);
  });

  it("--rewrites prints which rule fired where, and how often each did", async () => {
    const { command } = await workspace(linear(), data);
    const { out } = await command("explain", "--want", "norms", "--rewrites");
    expect(out).toMatch(/^norms\n\n.* -> .*\n\nrule +times\n/s);
    const { out: text } = await command("explain", "--want", "norms", "--rewrites", "--json");
    const [{ rewrites, counts }] = JSON.parse(text);
    expect(Object.values<number>(counts).reduce((sum, count) => sum + count, 0)).toBe(rewrites.length);
    expect(out).toContain(`${rewrites[0]}\n`);
  });

  it("--profile runs the first samples of the data, at most 64 or as many as are asked for", async () => {
    const { command } = await workspace(linear(), data);
    const { code, out } = await command("explain", "--want", "norms", "--profile");
    expect(code).toBe(0);
    expect(out).toMatch(/^norms\n\nnode +belongs to .*\n4 samples, mean of 10 runs/s);
    const { out: text } = await command(
      "explain",
      "--want",
      "norms",
      "--profile",
      "--samples",
      "3",
      "--threads",
      "1",
      "--json",
    );
    const [{ profile }] = JSON.parse(text);
    expect(profile).toMatchObject({ samples: 3, runs: 10 });
    expect(profile.byPart.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(["forward", "norms"]),
    );
  });

  it("--profile draws data of the model's dimensions where there is none", async () => {
    const { path } = await workspace(linear(), data);
    const model = [path("model.onnx"), "--loss", "cross_entropy"];
    const { code, out, err } = await run("explain", ...model, "--profile", "--want", "grads", "--want", "dot");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out.match(/\n64 samples, mean of 10 runs/g)).toHaveLength(2);
    const { out: few } = await run("explain", ...model, "--profile", "--want", "norms", "--samples", "5");
    expect(few).toContain("\n5 samples,");
  });

  it("several views are printed one after another, in place of the plan", async () => {
    const { command } = await workspace(linear(), data);
    const { out } = await command("explain", "--want", "norms", "--graph", "--rewrites", "--profile");
    const places = ["inputs\n", "rule ", "belongs to"].map((text) => out.indexOf(text));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places).not.toContain(-1);
    expect(out).not.toContain("holds for N");
  });

  it("--save-stages writes the stages of one program into the folder, of several into folders of their own", async () => {
    const { command, path } = await workspace(linear(), data);
    const one = await command("explain", "--want", "norms,clipped-sum", "--save-stages", path("one"));
    expect(one).toMatchObject({ code: 0, err: expect.stringContaining(path("one")) });
    expect(one.out).toContain("holds for N");
    const files = readdirSync(path("one")).sort();
    expect(files).toHaveLength(8);
    expect(files[0]).toBe("01-traced.onnx");
    expect(files.at(-1)).toBe("08-as-run.onnx");
    await command("explain", "--want", "norms", "--want", "grads", "--save-stages", path("two"));
    expect(readdirSync(path("two")).sort()).toEqual(["grads", "norms"]);
    expect(readdirSync(path("two/grads")).sort()).toEqual(files);
  });

  it("wrong use is told before anything is compiled", async () => {
    const { command, path } = await workspace(linear(), data);
    expect(await command("explain", "--samples", "3")).toMatchObject({
      code: 2,
      err: expect.stringContaining("--profile"),
    });
    expect(await command("explain", "--threads", "1")).toMatchObject({
      code: 2,
      err: expect.stringContaining("--threads is for --profile"),
    });
    expect(await command("explain", "--profile", "--samples", "0")).toMatchObject({ code: 2 });
    writeFileSync(path("taken"), "");
    const taken = await command("explain", "--want", "norms", "--save-stages", path("taken"));
    expect(taken).toMatchObject({ code: 1, out: "", err: expect.stringContaining("taken") });
    const empty = await workspace(linear(), { x: floats([0, 3]), target: floats([0, 2]) });
    const none = await empty.command("explain", "--profile");
    expect(none).toMatchObject({ code: 1, err: expect.stringContaining("no samples") });
  });
});

describe("PERGRAD_DEBUG", () => {
  it("prints to stderr what the commands compile and run", async () => {
    const { command, path } = await workspace(linear(), { x: data.x, target: labels(0, 1, 1, 0) });
    vi.stubEnv("PERGRAD_DEBUG", "plan,time");
    const out = ["--loss", "cross_entropy", "--out", path("out.safetensors")];
    const { code, err } = await command("norms", ...out);
    expect(code).toBe(0);
    expect(err).toMatch(/\[pergrad\] time: traced .*\[pergrad\] plan\n.*\[pergrad\] time by node\n/s);
    const trained = await command(
      "train",
      "--loss",
      "cross_entropy",
      "--steps",
      "1",
      "--batch-size",
      "2",
      "--out",
      path("trained.onnx"),
    );
    expect(trained).toMatchObject({ code: 0, err: expect.stringContaining("[pergrad] time by node") });
    const checked = await command("check", "--loss", "cross_entropy", "--samples", "2", "--differences", "0");
    expect(checked.err.match(/\[pergrad\] plan/g)).toHaveLength(1);
  });

  it("that is misspelt is wrong use, whatever the command", async () => {
    vi.stubEnv("PERGRAD_DEBUG", "plan,tine");
    const { command, path } = await workspace(linear(), data);
    const { code, out, err } = await command("norms", "--out", path("out.safetensors"));
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toBe(
      'pergrad: PERGRAD_DEBUG cannot be "tine"; it must be a list, separated by commas, of plan, rewrite, graph, time, memory, stack.\n',
    );
    expect(existsSync(path("out.safetensors"))).toBe(false);
  });
});
