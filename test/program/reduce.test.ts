/** want.reduce: a function of one sample's gradients, against the same computed from all gradients. */
import { afterAll, describe, expect, expectTypeOf, it } from "vitest";
import {
  constant,
  type ErrorCode,
  input,
  losses,
  nn,
  parameter,
  perSample,
  type Tensor,
  type Traced,
  type Want,
  want,
  where,
} from "../../src/index.js";

const network = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2)), { input: { x: ["N", 3] } });
const data = (samples: number) => ({
  x: Float32Array.from({ length: samples * 3 }, (_, i) => Math.sin(7.1 * i + 1)),
  target: BigInt64Array.from({ length: samples }, (_, i) => BigInt(i % 2)),
});
const loss = losses.crossEntropy();
const released: { release(): Promise<void> }[] = [];
afterAll(async () => {
  for (const program of released) await program.release();
});

async function run<R>(wanted: Want<R>, samples: number) {
  const program = await perSample(network, { loss, want: { wanted, gradients: want.gradients() } });
  released.push(program);
  return program.run(data(samples));
}

type First = { readonly "0.weight": Traced; readonly "2.bias": Traced };

describe("a function of one sample's gradients", () => {
  it.each([0, 1, 2, 5])("is run for each of %i samples", async (samples) => {
    const largest = want.reduce((g: First) => g["0.weight"].abs().max());
    const { wanted, gradients } = await run(largest, samples);
    const all = gradients["0.weight"]?.data ?? [];
    const expected = Array.from({ length: samples }, (_, n) =>
      Math.fround(Math.max(...Array.from(all.slice(n * 12, n * 12 + 12), Math.abs))),
    );
    expect(wanted.dims).toEqual([samples]);
    expect([...wanted.data]).toEqual(expected);
  });

  it("keeps its results' shapes, and their names where there are several", async () => {
    const several = want.reduce((g: First) => ({
      rows: g["0.weight"].square().sum([1]),
      both: g["0.weight"].slice(0, 0, 2).matmul(g["0.weight"].transpose()).mul(g["2.bias"].sum()),
      itself: g["2.bias"],
      fixed: constant([1, 2, 3]),
    }));
    const { wanted, gradients } = await run(several, 2);
    expectTypeOf(wanted.rows).toEqualTypeOf<Tensor<"float32">>();
    expect([wanted.rows.dims, wanted.both.dims, wanted.itself.dims]).toEqual([
      [2, 4],
      [2, 2, 4],
      [2, 2],
    ]);
    expect([...wanted.itself.data]).toEqual([...(gradients["2.bias"]?.data ?? [])]);
    expect([...wanted.fixed.data]).toEqual([1, 2, 3, 1, 2, 3]);
    const w = gradients["0.weight"]?.data ?? new Float32Array();
    const row = (n: number, k: number) => w.slice(n * 12 + k * 3, n * 12 + k * 3 + 3);
    const product = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);
    for (const n of [0, 1]) {
      const [first = 0, second = 0] = gradients["2.bias"]?.data.slice(n * 2, n * 2 + 2) ?? [];
      for (const o of [0, 1])
        for (const k of [0, 1, 2, 3])
          expect(wanted.both.data[n * 8 + o * 4 + k]).toBeCloseTo(product(row(n, o), row(n, k)) * (first + second), 6);
    }
  });

  it("may return integers and booleans, typed so", async () => {
    const count = want.reduce((g: First) => g["0.weight"].greater(0).cast("int64").sum(), { dtype: "int64" });
    const some = want.reduce((g: First) => g["2.bias"].greater(0), { dtype: "bool" });
    const counted = await run(count, 2);
    expectTypeOf(counted.wanted).toEqualTypeOf<Tensor<"int64">>();
    const positive = (n: number) => counted.gradients["0.weight"]?.data.slice(n * 12, n * 12 + 12).filter((x) => x > 0);
    expect([...counted.wanted.data]).toEqual([0, 1].map((n) => BigInt(positive(n)?.length ?? -1)));
    const { wanted, gradients } = await run(some, 2);
    expect(wanted.dims).toEqual([2, 2]);
    expect([...wanted.data]).toEqual([...(gradients["2.bias"]?.data ?? [])].map((x) => (x > 0 ? 1 : 0)));
  });

  it("sees each sample alone: a softmax, a norm, a choice do not mix the samples", async () => {
    const own = want.reduce((g: First) => {
      const unit = g["2.bias"].div(g["2.bias"].square().sum().sqrt());
      return where(unit.greater(0), unit.softmax(0), unit);
    });
    const [five, one] = [await run(own, 5), await run(own, 1)];
    expect([...one.wanted.data]).toEqual([...five.wanted.data.slice(0, 2)]);
  });

  it("of which one is a scalar, and one never reaches the loss smoothly", async () => {
    const [x, s, dead] = [input("x", ["N", 3]), parameter("s", [], [2]), parameter("dead", [2], [1, 1])];
    const y = x.mul(s).sum([1]).add(dead.greater(0).cast("float32").sum());
    const model = {
      graph: {
        inputs: [x.value],
        parameters: [s.value, dead.value],
        outputs: [{ name: "y", value: y.value }],
      },
      parameters: { s: scalar(2), dead: { dtype: "float32" as const, dims: [2], data: Float32Array.of(1, 1) } },
      sampleAxes: { x: 0 },
      leftOut: {},
      notes: [],
    };
    const program = await perSample(model, {
      loss: (output) => output,
      want: { r: want.reduce((g: { s: Traced; dead: Traced }) => ({ s: g.s.mul(2), dead: g.dead.sum() })) },
    });
    released.push(program);
    const { r } = await program.run({ x: Float32Array.of(1, 2, 3, 4, 5, 6), target: Float32Array.of(0, 0) });
    expect([r.s.dims, [...r.s.data], [...r.dead.data]]).toEqual([[2], [12, 30], [0, 0]]);
  });
});

const scalar = (value: number): Tensor<"float32"> => ({ dtype: "float32", dims: [], data: Float32Array.of(value) });

describe("want.reduce refuses", () => {
  const refused = (wanted: Want<unknown>, code: ErrorCode, message: string) =>
    expect(perSample(network, { loss, want: { wanted } })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });

  it("parameters that are not there", () =>
    refused(
      want.reduce((g: { weight: Traced }) => g.weight.sum()),
      "MISSING_TENSOR",
      '"weight"; read one of "0.weight"',
    ));
  it("another dtype than was said", () =>
    refused(
      want.reduce((g: First) => g["2.bias"].greater(0)),
      "DTYPE_MISMATCH",
      "returned bool, not float32",
    ));
  it("what depends on other inputs", () =>
    refused(
      want.reduce((g: First) => g["2.bias"].mul(input("y", [2]))),
      "INVALID_ARGUMENT",
      'reads "y"',
    ));
  it("what depends on the batch", async () => {
    await refused(
      want.reduce((g: First) => g["2.bias"].expand("N")),
      "INVALID_ARGUMENT",
      "works on one sample, but returned [N, 2]",
    );
    await refused(
      want.reduce((g: First) => g["2.bias"].expand("N").sum()),
      "INVALID_ARGUMENT",
      "the size of the batch",
    );
  });
  it("no result", () =>
    refused(
      want.reduce(() => ({})),
      "INVALID_ARGUMENT",
      "returned nothing",
    ));
});
