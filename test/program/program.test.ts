import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, expectTypeOf, it } from "vitest";
import { type ErrorCode, losses, nn, perSample, type Tensor, type Traced, want } from "../../src/index.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import type { ByParameter, ClippedSum, Norms } from "../../src/wants/want.js";
import { expectClose } from "../support/per-sample.js";

const network = nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2));
const x = Float32Array.of(0.1, -0.4, 0.9, 0.3, 0.7, -0.2);
const target = [0, 1];
const folder = mkdtempSync(join(tmpdir(), "pergrad-"));
afterAll(() => rmSync(folder, { recursive: true }));

const compile = () => perSample(network, { loss: losses.crossEntropy(), want: { gradients: want.gradients() } });
const code = (expected: ErrorCode) => expect.objectContaining({ code: expected });

describe("a program", () => {
  it("types its results by what was asked for", async () => {
    const program = await perSample(network, {
      loss: losses.crossEntropy(),
      want: { norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }), mean: want.mean() },
    });
    const results = await program.run({ x, target });
    expectTypeOf(results.norms).toEqualTypeOf<Norms>();
    expectTypeOf(results.sum).toEqualTypeOf<ClippedSum>();
    expectTypeOf(results.mean).toEqualTypeOf<ByParameter>();
    expect(results.norms.total.dims).toEqual([2]);
    expect(Object.keys(results.sum.sum)).toEqual(["0.weight", "0.bias", "2.weight", "2.bias"]);
    expect(results.mean["0.weight"]?.dims).toEqual([4, 3]);
  });

  it("serves every batch size, 0 included", async () => {
    const program = await perSample(network, {
      loss: losses.crossEntropy(),
      want: { gradients: want.gradients(), norms: want.norms(), mean: want.mean(), losses: want.losses() },
    });
    const two = await program.run({ x, target });
    const one = await program.run({ x: x.slice(3), target: [1] });
    const none = await program.run({ x: new Float32Array(0), target: [] });
    const wanted = two.gradients["0.weight"]?.data.slice(12) ?? [];
    expectClose(one.gradients["0.weight"]?.data ?? [], wanted, 1e-5, "the second sample by itself");
    expect(none.gradients["0.weight"]?.dims).toEqual([0, 4, 3]);
    expect(none.norms.total.dims).toEqual([0]);
    expect(none.losses.data.length).toBe(0);
    expect([...(none.mean["2.bias"]?.data ?? [])]).toEqual([0, 0]);
  });

  it("clips each parameter by its own limit", async () => {
    const limits = { "0.weight": 0.01, "0.bias": 10, "2.weight": 0.02, "2.bias": 10 };
    const program = await perSample(network, {
      loss: losses.crossEntropy(),
      want: { gradients: want.gradients(), clipped: want.clippedSum({ maxNorm: limits }), norms: want.norms() },
    });
    const { gradients, clipped, norms } = await program.run({ x, target });
    for (const [name, limit] of Object.entries(limits)) {
      const own = gradients[name]?.data ?? new Float32Array();
      const size = own.length / 2;
      const factor = (n: number) => Math.min(1, limit / (norms.parameters[name]?.data[n] ?? 0));
      const wanted = Array.from(
        { length: size },
        (_, i) => factor(0) * (own[i] ?? 0) + factor(1) * (own[size + i] ?? 0),
      );
      expectClose(clipped.sum[name]?.data ?? [], wanted, 1e-5, name);
    }
  });

  it("takes other values of its parameters for a run", async () => {
    const program = await perSample(network, { loss: losses.crossEntropy(), want: { losses: want.losses() } });
    const zero = { dtype: "float32", dims: [2, 4], data: new Float32Array(8) } as const;
    const bias = { dtype: "float32", dims: [2], data: new Float32Array(2) } as const;
    const { losses: found } = await program.run({ x, target }, { parameters: { "2.weight": zero, "2.bias": bias } });
    expectClose(found.data, [Math.LN2, Math.LN2], 1e-6, "losses of a constant output");
    const wrong = program.run({ x, target }, { parameters: { "2.bias": zero } });
    await expect(wrong).rejects.toEqual(code("SHAPE_MISMATCH"));
    await expect(program.run({ x, target }, { parameters: { nobody: zero } })).rejects.toEqual(code("MISSING_TENSOR"));
  });

  it("is an ONNX file that runs by itself", async () => {
    const program = await compile();
    const path = join(folder, "program.onnx");
    await program.save(path);
    expect(readdirSync(folder)).toEqual(["program.onnx"]);
    expect(nodeRuntime.version).toMatch(/^onnxruntime-node \d+\.\d+\.\d+$/);
    expect(readFileSync(path).includes(nodeRuntime.version), "the file says which runtime made it").toBe(true);
    const session = await nodeRuntime.load(readFileSync(path));
    const labels: Tensor = { dtype: "int64", dims: [2], data: BigInt64Array.of(0n, 1n) };
    const results = await session.run({ x: { dtype: "float32", dims: [2, 3], data: x }, target: labels });
    const { gradients } = await program.run({ x, target });
    expect([...(results["gradients/2.weight"]?.data ?? [])]).toEqual([...(gradients["2.weight"]?.data ?? [])]);
    await expect(program.save(join(folder, "missing", "program.onnx"))).rejects.toEqual(code("FILE_UNWRITABLE"));
  });

  it("explains what it does for each parameter", async () => {
    const program = await perSample(network, { loss: losses.crossEntropy(), want: { norms: want.norms() } });
    const explanation = program.explain();
    expect(explanation.rows.map(({ parameter, kind, norm }) => [parameter, kind, norm])).toEqual([
      ["0.weight", "outer", "closed form"],
      ["0.bias", "dense", "materialise"],
      ["2.weight", "outer", "closed form"],
      ["2.bias", "dense", "materialise"],
    ]);
    expect(String(explanation)).toContain("0.weight");
  });

  it("differentiates with respect to chosen parameters only", async () => {
    const options = { loss: losses.crossEntropy(), want: { gradients: want.gradients() } };
    const some = await perSample(network, { ...options, parameters: ["*.weight"] });
    expect(some.parameters).toEqual(["0.weight", "2.weight"]);
    await expect(perSample(network, { ...options, parameters: ["nothing*"] })).rejects.toEqual(code("NO_PARAMETERS"));
  });

  it("gives zeros for a parameter that only decides what is compared", async () => {
    const parts = { bound: nn.ones([3]), gain: nn.ones([3]) };
    const model = nn.trace({ x: ["N", 3] }, parts, ({ x }, { bound, gain }) =>
      x.mul(gain).mul(x.less(bound).cast("float32")).sum([1]),
    );
    const wants = { gradients: want.gradients(), norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }) };
    const program = await perSample(model, { loss: losses.output(), want: wants });
    const { gradients, norms, sum } = await program.run({ x });
    expect(gradients.bound).toEqual({ dtype: "float32", dims: [2, 3], data: new Float32Array(6) });
    expect([...(norms.parameters.bound?.data ?? [1])]).toEqual([0, 0]);
    expect([...(sum.sum.bound?.data ?? [1])]).toEqual([0, 0, 0]);
    expect(program.explain().toString()).toContain("bound");
  });

  it("takes any traced function as loss, and refuses one that is not one number per sample", async () => {
    const loss = (output: Traced, wanted: Traced) => output.sub(wanted).abs().sum([1]);
    const program = await perSample(network, { loss, want: { losses: want.losses(), outputs: want.outputs() } });
    const wanted = Float32Array.of(1, 2, 3, 4);
    const { losses: found, outputs } = await program.run({ x, target: wanted });
    const output = outputs.output?.data as Float32Array;
    const expected = [0, 1].map(
      (n) =>
        Math.abs((output[2 * n] ?? 0) - (wanted[2 * n] ?? 0)) +
        Math.abs((output[2 * n + 1] ?? 0) - (wanted[2 * n + 1] ?? 0)),
    );
    expectClose(found.data, expected, 1e-6, "losses");
    const mean = (output: Traced, given: Traced) => output.sub(given).square().mean();
    await expect(perSample(network, { loss: mean, want: { losses: want.losses() } })).rejects.toThrow(/per sample/);
  });

  it("takes samples along another axis", async () => {
    const forward = nn.module((input: Traced) => input.transpose([1, 0]), {});
    const model = nn.model(nn.sequential(forward, network), { input: { x: [3, "N"] } });
    const program = await perSample(model, { loss: losses.crossEntropy(), want: { gradients: want.gradients() } });
    const along = Float32Array.from({ length: 6 }, (_, i) => x[(i % 2) * 3 + (i >> 1)] ?? 0);
    const { gradients } = await program.run({ x: along, target });
    const plain = await (
      await perSample(network, { loss: losses.crossEntropy(), want: { gradients: want.gradients() } })
    ).run({ x, target });
    expect(gradients["1.0.weight"]?.data ?? gradients["1.weight"]?.data).toEqual(plain.gradients["0.weight"]?.data);
  });
});

describe("bad data ends in one clear sentence", () => {
  const cases: [string, Parameters<Awaited<ReturnType<typeof compile>>["run"]>[0], ErrorCode, RegExp][] = [
    ["an input missing", { target }, "MISSING_TENSOR", /"x" is missing/],
    ["an unknown input", { x, target, y: x }, "MISSING_TENSOR", /no input "y"/],
    ["different batch sizes", { x, target: [0, 1, 1] }, "BATCH_MISMATCH", /3 samples.*"x" holds 2/],
    ["a length that fits no batch", { x: x.slice(1), target }, "SHAPE_MISMATCH", /5 elements.*\[N, 3\]/],
    [
      "a wrong shape",
      { x: { dtype: "float32", dims: [3, 2], data: x }, target },
      "SHAPE_MISMATCH",
      /\[3, 2\].*\[N, 3\]/,
    ],
    ["a wrong dtype", { x: Int32Array.of(1, 2, 3), target: [0] }, "DTYPE_MISMATCH", /int32.*float32/],
    ["a fractional label", { x, target: [0, 0.5] }, "DTYPE_MISMATCH", /0\.5/],
    ["a label out of range", { x, target: [0, 2] }, "LABEL_OUT_OF_RANGE", /2/],
    ["NaN", { x: Float32Array.of(1, 2, 3, 4, Number.NaN, 6), target }, "NOT_FINITE", /sample 1/],
    ["infinity", { x: Float32Array.of(1, Number.POSITIVE_INFINITY, 3, 4, 5, 6), target }, "NOT_FINITE", /sample 0/],
  ];
  it.each(cases)("%s", async (_name, data, expected, message) => {
    const program = await compile();
    const run = program.run(data);
    await expect(run).rejects.toEqual(code(expected));
    await expect(run).rejects.toThrow(message);
    await program.release();
  });

  it("but NaN may be allowed, and stays within its sample", async () => {
    const program = await compile();
    const data = { x: Float32Array.of(1, 2, 3, 4, Number.NaN, 6), target };
    const { gradients } = await program.run(data, { allowNotFinite: true });
    const own = [...(gradients["0.weight"]?.data ?? [])];
    expect(own.slice(0, 12).every(Number.isFinite)).toBe(true);
    expect(own.slice(12).every(Number.isNaN)).toBe(true);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])("a maxNorm of %s", (maxNorm) => {
    expect(() => want.clippedSum({ maxNorm })).toThrow(/maxNorm/);
  });
});

it("a program whose inputs only say how many samples there are", async () => {
  const model = nn.trace({ x: ["N", 2] }, { p: nn.uniform([3], 1) }, ({ x: counted }, { p }) => {
    const rows = p.expand([...counted.shape.slice(0, 1), 3]);
    return rows.mul(p).sum([1]);
  });
  const loss = losses.output();
  const program = await perSample(model, { loss, want: { gradients: want.gradients() } });
  const { gradients } = await program.run({ x: new Float32Array(6) });
  const own = model.parameters.p?.data as Float32Array;
  expect(gradients.p?.dims).toEqual([3, 3]);
  expectClose(
    gradients.p?.data ?? [],
    [0, 1, 2].flatMap(() => [...own].map((value) => 2 * value)),
    1e-6,
    "2 p, for every sample",
  );
});
