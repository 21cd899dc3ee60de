/** Products of curvature are compared with single samples in float64, and skipped where there is no second derivative. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { type FactorsOptions, PlainFactors } from "../../src/check/kronecker.js";
import { Reference, referenceParts } from "../../src/check/oracle.js";
import { receivedParts, sentParts } from "../../src/check/references.js";
import { objectiveOf } from "../../src/compile/objective.js";
import {
  type CheckOptions,
  check,
  type KroneckerFactors,
  losses,
  type Model,
  nn,
  PergradError,
  perSample,
  type Tensor,
  want,
} from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { Program } from "../../src/program/program.js";
import { floats } from "../cli/support.js";

type Feeds = Readonly<Record<string, Tensor>>;
type Products = Readonly<Record<string, Tensor<"float32">>>;

const network = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 3)), { seed: 1 });
const feeds: Feeds = { x: floats([3, 3]), target: floats([3, 3]) };
const labels: Tensor = { dtype: "int64", dims: [3], data: BigInt64Array.of(0n, 2n, 1n) };

const checked = (model: Model, data: Feeds, options: Partial<CheckOptions> = {}) =>
  check(model, data, { loss: losses.mse(), differences: 0, ...options });

const products = ["hvp", "ggnProduct"];
const matrices = ["ggnDiagonal", "hessianDiagonal", "trace", "jacobian", "ntk", "kroneckerFactors"];
const ofProducts = <T extends { readonly want: string }>(wants: readonly T[]) =>
  wants.filter(({ want }) => products.includes(want));

/** Lets programs return what `change` makes of a product. */
function spoil(name: string, change: (x: number, index: number, parameter: string) => number): void {
  const run = Program.prototype.run;
  vi.spyOn(Program.prototype, "run").mockImplementation(async function (this: Program<never>, ...args) {
    const results = (await run.apply(this, args)) as Readonly<Record<string, Products>>;
    for (const [parameter, { data }] of Object.entries(results[name] ?? {}))
      data.forEach((x, i) => {
        data[i] = change(x, i, parameter);
      });
    return results as never;
  });
}
afterEach(() => vi.restoreAllMocks());

describe("products of the oracle", () => {
  const objective = objectiveOf(network, { loss: losses.crossEntropy() });
  const parts = referenceParts(objective, { x: floats([3, 3]), target: labels }, true);
  const reference = new Reference(parts);

  test("of the Hessian are central differences of the gradients", () => {
    const along = [...parts.vectors].map(([, { value, tensor }]) => [value, tensor] as const);
    expect(along.length).toBe(parts.trained.length);
    const step = 1e-5;
    const gradientsAt = (side: number) => {
      const parameters = parts.parameters.map(([value, { dims, data }]) => {
        const k = parts.trained.indexOf(value);
        const vector = along[k]?.[1].data;
        return [value, { dims, data: data.map((x, i) => x + side * step * (vector?.[i] ?? 0)) }] as const;
      });
      return new Reference({ ...parts, parameters }).sample(1).gradients;
    };
    const [up, down] = [gradientsAt(1), gradientsAt(-1)];
    const found = reference.products(1);
    for (const name of parts.names) {
      const product = found.get(`hvp/${name}`) ?? [];
      expect(product.length).toBeGreaterThan(0);
      product.forEach((x, i) => {
        const difference = ((up.get(name)?.[i] ?? Number.NaN) - (down.get(name)?.[i] ?? Number.NaN)) / (2 * step);
        expect(Math.abs(x - difference)).toBeLessThan(1e-8);
      });
    }
  });

  test("are the same in a thread that they were sent to", () => {
    const received = new Reference(receivedParts(structuredClone(sentParts(parts))));
    for (const sample of [0, 2]) expect(received.products(sample)).toEqual(reference.products(sample));
  });
});

describe("a right program agrees", () => {
  const relu = nn.model(nn.sequential(nn.linear(3, 8), nn.relu(), nn.linear(8, 3)), { seed: 2 });
  const recurrent = nn.model(nn.sequential(nn.lstm(3, 4), nn.tanh(), nn.linear(4, 2)), {
    seed: 1,
    input: { x: ["N", 5, 3] },
  });
  const overTime: Feeds = { x: floats([3, 5, 3]), target: floats([3, 5, 2]) };

  test.each<[string, Model, Feeds, Partial<CheckOptions>]>([
    ["tanh, cross entropy", network, { ...feeds, target: labels }, { loss: losses.crossEntropy() }],
    ["kinks", relu, feeds, {}],
    ["frozen parameters", network, feeds, { frozen: ["0.*"] }],
    ["one sample", network, feeds, { samples: 1 }],
  ])("%s", async (_, model, data, options) => {
    const { passed, wants, skipped } = await checked(model, data, options);
    expect(skipped).toEqual([]);
    const second = wants.slice(-products.length - matrices.length);
    expect(second.map(({ want }) => want)).toEqual([...products, ...matrices]);
    for (const { error, cause } of second) {
      expect(error).toBeLessThan(1e-5);
      expect(cause).toBeUndefined();
    }
    expect(passed).toBe(true);
  });

  test("a recurrent layer, of which all columns would take too long", async () => {
    const { passed, wants, skipped } = await checked(recurrent, overTime);
    expect(skipped.map(({ want }) => want)).toEqual(matrices);
    expect(ofProducts(wants).map(({ cause }) => cause)).toEqual([undefined, undefined]);
    expect(passed).toBe(true);
  });

  test("and a loss that is linear in the parameters has no curvature that rounding could be relative to", async () => {
    const { passed, wants } = await checked(nn.model(nn.linear(3, 3), { seed: 1 }), feeds, {
      loss: (output, target) => output.mul(target).sum(1),
    });
    expect(ofProducts(wants)).toMatchObject([{ error: 0 }, { error: 0 }]);
    expect(passed).toBe(true);
  });
});

describe("a wrong product is a difference", () => {
  const last = (size: number) => (i: number) => i >= 2 * size;
  test.each<[string, string, (x: number, index: number, parameter: string) => number]>([
    ["hvp", "everything is 0.1% too large", (x) => 1.001 * x],
    ["hvp", "zeros", () => 0],
    ["hvp", "NaN", () => Number.NaN],
    ["ggnProduct", "everything is 0.1% too small", (x) => 0.999 * x],
    ["ggnProduct", "a bias in the last sample", (x, i, name) => (name === "2.bias" && last(3)(i) ? x + 1e-2 : x)],
  ])("%s: %s", async (name, _, change) => {
    spoil(name, change);
    const { passed, wants } = await checked(network, feeds);
    const differing = wants.filter(({ cause }) => cause !== undefined);
    expect(differing.map(({ want, cause }) => [want, cause])).toEqual([[name, "difference"]]);
    expect(differing[0]?.aloneError).toBeLessThan(1e-5);
    expect(passed).toBe(false);
  });

  test("one number of each of the others", async () => {
    const run = Program.prototype.run;
    vi.spyOn(Program.prototype, "run").mockImplementation(async function (this: Program<never>, ...args) {
      const results = (await run.apply(this, args)) as Readonly<Record<string, Products & Tensor>>;
      for (const name of matrices) {
        const own = results[name];
        const { data } = own?.total ?? own?.["0.weight"] ?? own ?? {};
        if (data) data[1] = 1.01 * Number(data[1]) + 1e-2;
      }
      const { layers } = (results.ofModel ?? {}) as Partial<KroneckerFactors>;
      const { data } = layers?.["0.weight"]?.B ?? {};
      if (data) data[1] = 1.01 * Number(data[1]) + 1e-2;
      return results as never;
    });
    const { passed, wants } = await checked(network, feeds);
    const differing = wants.filter(({ cause }) => cause === "difference");
    expect(differing.map(({ want, worst }) => [want, worst])).toEqual([
      ["ggnDiagonal", "0.weight"],
      ["hessianDiagonal", "0.weight"],
      ["trace", "all"],
      ["jacobian", "0.weight"],
      ["ntk", "all"],
      ["kroneckerFactors", "0.weight"],
    ]);
    expect(passed).toBe(false);
  });

  test("the Hessian in the Gauss-Newton matrix's place", async () => {
    const run = Program.prototype.run;
    vi.spyOn(Program.prototype, "run").mockImplementation(async function (this: Program<never>, ...args) {
      const results = (await run.apply(this, args)) as Readonly<Record<string, Products>>;
      return (results.hvp ? { ...results, ggnProduct: results.hvp } : results) as never;
    });
    const { wants } = await checked(network, feeds);
    expect(wants.filter(({ cause }) => cause === "difference").map(({ want }) => want)).toEqual(["ggnProduct"]);
  });
});

describe("rounding is no fault", () => {
  const places = 4096;
  const half = (k: number) => k % (places / 2);
  const halves: Feeds = {
    x: floats([2, places], (k) => 1 + 0.9 * Math.sin(1 + half(k)) + (k % places < places / 2 ? 1e-5 : 0)),
    target: floats([2, places], (k) => (k % places < places / 2 ? 1 : -1)),
  };

  test("where what adds up to the product nearly cancels", async () => {
    const model = trace({ x: ["N", places] }, { scale: uniform([1], 1) }, ({ x }, { scale }) => x.mul(scale.square()));
    const { passed, wants } = await checked(model, halves, { loss: (output, target) => output.mul(target).mean(1) });
    const [hvp] = ofProducts(wants);
    expect(hvp?.error).toBeGreaterThan(1e-4);
    expect(hvp?.cause).toBe("rounding");
    expect(passed).toBe(true);
  });
});

describe("what cannot be compared is said, and passes", () => {
  test("where the second derivative is not finite in float64", async () => {
    const drawn = trace({ x: ["N", 3] }, { w: uniform([3], 1) }, ({ x }, { w }) => x.mul(w));
    const model = { ...drawn, parameters: { w: floats([3], () => 0) } };
    // The slope is 1.5 x sqrt(wx), which is 0 at w = 0, and its derivative infinite.
    const { passed, wants, skipped } = await checked(
      model,
      { x: floats([2, 3], () => 1), target: floats([2, 3]) },
      { loss: (output) => output.pow(1.5).sum(1) },
    );
    expect(skipped.map(({ want }) => want)).toEqual([...products, ...matrices]);
    for (const { reason } of skipped) expect(reason).toMatch(/not finite/);
    expect(ofProducts(wants)).toEqual([]);
    expect(passed).toBe(true);
  });

  test("where the reference would take too long", async () => {
    const large = nn.model(nn.linear(800, 800), { seed: 1 });
    const { passed, skipped } = await checked(large, { x: floats([1, 800]), target: floats([1, 800]) });
    expect(skipped.map(({ want }) => want)).toEqual([...products, ...matrices]);
    expect(skipped[0]?.reason).toMatch(/check 16 or more/);
    expect(skipped.at(-1)?.reason).toMatch(/product for each element/);
    expect(passed).toBe(true);
  });

  test("where an op of the gradient has no derivative", async () => {
    const refusal = new PergradError("UNSUPPORTED_OP", "pergrad cannot differentiate this.");
    const compile = Program.compile;
    vi.spyOn(Program, "compile").mockImplementation((model, options, target) =>
      "hvp" in options.want || "jacobian" in options.want
        ? Promise.reject(refusal)
        : compile.call(Program, model, options, target),
    );
    const { passed, wants, skipped } = await checked(network, feeds);
    expect(skipped.slice(0, 2)).toEqual(products.map((want) => ({ want, reason: refusal.message })));
    expect(ofProducts(wants)).toEqual([]);
    expect(passed).toBe(true);
  });
});

describe("Kronecker factors agree with those of plain backward passes", () => {
  const numbered = (dims: readonly number[], classes: number): Tensor => ({
    dtype: "int64",
    dims,
    data: BigInt64Array.from({ length: dims.reduce((size, dim) => size * dim, 1) }, (_, k) =>
      BigInt((5 * k + 2) % classes),
    ),
  });
  const words = nn.embedding(5, 3);
  const images = { input: { x: ["N", 2, 4, 4] as const } };
  const pictures = floats([2, 2, 4, 4]);
  const strided = nn.conv2d(2, 3, 3, { padding: 1, stride: 2 });
  const grouped = nn.conv2d(2, 4, 3, { groups: 2 });

  test.each<[string, Model, Tensor, Tensor, readonly string[]]>([
    [
      "positions, and gains by themselves",
      nn.model(nn.sequential(nn.linear(3, 4), nn.layerNorm(4), nn.gelu(), nn.linear(4, 3)), {
        input: { x: ["N", 2, 3] },
      }),
      floats([2, 2, 3]),
      numbered([2, 2], 3),
      ["A/0.weight", "block/1.weight", "A/3.weight"],
    ],
    [
      "a convolution",
      nn.model(nn.sequential(strided, nn.tanh(), nn.flatten(), nn.linear(12, 3)), images),
      pictures,
      numbered([2], 3),
      ["A/0.weight", "A/3.weight"],
    ],
    [
      "a convolution in groups, which is not followed",
      nn.model(nn.sequential(grouped, nn.tanh(), nn.flatten(), nn.linear(16, 3)), images),
      pictures,
      numbered([2], 3),
      ["block/0.bias", "A/3.weight"],
    ],
    [
      "a table",
      nn.model(nn.sequential(nn.embedding(5, 3), nn.linear(3, 3)), {
        input: { x: { shape: ["N", 4], dtype: "int64" } },
      }),
      numbered([2, 4], 5),
      numbered([2, 4], 3),
      ["A/0.weight", "A/1.weight"],
    ],
    [
      "a tied table, which is not followed",
      nn.model(nn.sequential(words, nn.linear(3, 3), nn.tanh(), nn.tied(words)), {
        input: { x: { shape: ["N", 4], dtype: "int64" } },
      }),
      numbered([2, 4], 5),
      numbered([2, 4], 5),
      ["A/1.weight"],
    ],
    [
      "a layer used twice",
      trace({ x: ["N", 3, 4] }, { layer: nn.linear(4, 4), last: nn.linear(4, 3) }, ({ x }, parts) =>
        parts.last(parts.layer(parts.layer(x).tanh()).sum([1])),
      ),
      floats([2, 3, 4]),
      numbered([2], 3),
      ["A/layer.weight", "A/last.weight"],
    ],
  ])("%s", async (_, model, x, target, compared) => {
    const options = { loss: losses.crossEntropy() };
    const { passed, wants } = await checked(model, { x, target }, options);
    const own = wants.find(({ want }) => want === "kroneckerFactors");
    expect(own?.error).toBeLessThan(1e-5);
    expect(passed).toBe(true);
    const objective = objectiveOf(model, options);
    const reference = new Reference(referenceParts(objective, { x, target }, true));
    const wanted: FactorsOptions = { kind: "type2", approximation: "expand" };
    const program = await perSample(model, { ...options, want: { factors: want.kroneckerFactors(wanted) } });
    const { factors } = await program.run({ x, target });
    await program.release();
    const plain = new PlainFactors(reference, objective, false);
    const samples = [0, 1].map((n) => plain.sample(n, wanted.kind));
    const expected = plain.of(factors, wanted, samples);
    expect([...expected.keys()]).toEqual(expect.arrayContaining([...compared]));
    for (const [name, { A, B }] of Object.entries(factors.layers))
      for (const [side, { data }] of Object.entries({ A, B })) {
        const exact = expected.get(`${side}/${name}`);
        if (!exact) continue;
        const most = Math.max(...exact.map(Math.abs));
        expect(data.length).toBe(exact.length);
        data.forEach((number, k) => {
          expect(Math.abs(number - (exact[k] ?? Number.NaN))).toBeLessThan(1e-5 * most);
        });
      }
  });
});
