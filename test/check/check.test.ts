/** Checks that must pass, and checks of programs that are wrong, which must not. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { type CheckOptions, check, losses, type Model, nn, type Tensor, type Traced } from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { Program } from "../../src/program/program.js";
import { floats } from "../cli/support.js";

type Feeds = Readonly<Record<string, Tensor>>;

const places = 4096;

/** A scale whose gradient sums over places what all but cancels: the second half takes away the first. */
const cancelling = trace({ x: ["N", places] }, { scale: uniform([1], 1) }, ({ x }, { scale }) => x.mul(scale));

function halves(samples: number, rest: number): Feeds {
  const half = (k: number) => k % (places / 2);
  return {
    x: floats([samples, places], (k) => 1 + 0.9 * Math.sin(1 + half(k)) + (k % places < places / 2 ? rest : 0)),
    target: floats([samples, places], (k) => (k % places < places / 2 ? 1 : -1)),
  };
}

const product = (output: Traced, target: Traced) => output.mul(target).mean(1);

/** A loss that is no sum which cancels. */
const network = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2)), { seed: 1 });
const feeds: Feeds = { x: floats([3, 3]), target: floats([3, 2]) };

/** Lets every program return what `change` makes of its gradients, in one sample or in all. */
function spoil(change: (x: number, sample: number, parameter: string) => number): void {
  const run = Program.prototype.run;
  vi.spyOn(Program.prototype, "run").mockImplementation(async function (this: Program<never>, ...args) {
    const results = await run.apply(this, args);
    const { gradients = {} } = results as { readonly gradients?: Readonly<Record<string, Tensor<"float32">>> };
    for (const [parameter, { dims, data }] of Object.entries(gradients)) {
      const size = data.length / (dims[0] ?? 1);
      data.forEach((x, i) => {
        data[i] = change(x, Math.floor(i / size), parameter);
      });
    }
    return results;
  });
}
afterEach(() => vi.restoreAllMocks());

function checked(model: Model, data: Feeds, options: Partial<CheckOptions> = {}) {
  return check(model, data, { loss: losses.mse(), ...options });
}

/** Lets programs return what `changes` make of their wants. */
function spoilWants(changes: Readonly<Record<string, (found: never) => unknown>>): void {
  const run = Program.prototype.run;
  vi.spyOn(Program.prototype, "run").mockImplementation(async function (this: Program<never>, ...args) {
    const results = Object.entries((await run.apply(this, args)) as Record<string, unknown>);
    return Object.fromEntries(
      results.map(([name, found]) => [name, changes[name]?.(found as never) ?? found]),
    ) as never;
  });
}
const spoilWant = (name: string, change: (found: never) => unknown) => spoilWants({ [name]: change });

type Floats = Tensor<"float32">;
const scaled = (tensor: Floats, factor: number): Floats => ({ ...tensor, data: tensor.data.map((x) => factor * x) });
const first = (of: Readonly<Record<string, Floats>>, factor: number) => {
  const [[name, tensor]] = Object.entries(of) as [[string, Floats]];
  return { ...of, [name]: scaled(tensor, factor) };
};

describe("every want", () => {
  const wants = ["norms", "clippedSum", "sum", "mean", "moments.mean", "moments.secondMoment", "moments.variance"];
  const others = ["noiseScale", "dot", "gram", "cosine", "cross", "project", "reduce", "hvp", "ggnProduct"];
  const matrices = ["ggnDiagonal", "hessianDiagonal", "trace", "jacobian", "ntk", "kroneckerFactors"];

  test("is held against the loop", async () => {
    const { passed, wants: found } = await checked(network, feeds);
    expect(passed).toBe(true);
    expect(found.map(({ want }) => want)).toEqual([...wants, ...others, ...matrices]);
    for (const { error, cause } of found) {
      expect(error).toBeLessThan(1e-5);
      expect(cause).toBeUndefined();
    }
  });

  test.each<[string, string, (found: never) => unknown]>([
    ["norms", "norms", (found: { total: Floats }) => ({ ...found, total: scaled(found.total, 1.001) })],
    [
      "norms",
      "norms",
      (found: { parameters: Readonly<Record<string, Floats>> }) => ({
        ...found,
        parameters: first(found.parameters, 0.999),
      }),
    ],
    [
      "clippedSum",
      "clippedSum",
      (found: { sum: Readonly<Record<string, Floats>> }) => ({ ...found, sum: first(found.sum, 1.01) }),
    ],
    ["sum", "sum", (found: Readonly<Record<string, Floats>>) => first(found, 1.01)],
    ["mean", "mean", (found: Readonly<Record<string, Floats>>) => first(found, 0.99)],
    [
      "moments",
      "moments.variance",
      (found: { variance: Readonly<Record<string, Floats>> }) => ({ ...found, variance: first(found.variance, 1.01) }),
    ],
    ["noiseScale", "noiseScale", (found: { noise: number }) => ({ ...found, noise: found.noise * 1.01 })],
    ["dot", "dot", (found: { total: Floats }) => ({ ...found, total: scaled(found.total, 1.01) })],
    ["gram", "gram", (found: Floats) => scaled(found, 1.001)],
    ["cosine", "cosine", (found: Floats) => scaled(found, 1.02)],
    ["cross", "cross", (found: Floats) => scaled(found, 1.001)],
    ["project", "project", (found: Floats) => scaled(found, 1.01)],
    ["reduce", "reduce", (found: Readonly<Record<string, Floats>>) => first(found, 1.01)],
    ["hvp", "hvp", (found: Readonly<Record<string, Floats>>) => first(found, 1.01)],
    ["ggnProduct", "ggnProduct", (found: Readonly<Record<string, Floats>>) => first(found, 0.99)],
  ] as [string, string, (found: never) => unknown][])("%s that are wrong are found", async (name, reported, change) => {
    spoilWant(name, change);
    const { passed, wants: found, parameters } = await checked(network, feeds);
    expect(passed).toBe(false);
    expect(found.filter(({ cause }) => cause === "difference").map(({ want }) => want)).toEqual([reported]);
    expect(parameters.every(({ cause }) => cause === undefined)).toBe(true);
  });
});

describe("wants of gradients that round", () => {
  type Norms = { readonly total: Floats; readonly parameters: Readonly<Record<string, Floats>> };
  // The gradient of the one scale cancels in sample 0 only.
  const both = halves(2, 1e-5);
  const inSecond = ({ dims, data }: Tensor | undefined = floats([0]), f: (k: number) => number): Floats => ({
    dtype: "float32",
    dims,
    data: Float32Array.from(data as Float32Array, (each, k) => (k < places ? each : f(k - places))),
  });
  const feedsOfTwo: Feeds = {
    x: inSecond(both.x, (k) => 1e-5 * Math.sin(k)),
    target: inSecond(both.target, (k) => Math.sign(Math.sin(k))),
  };

  test("pass as rounding, since those of the sample alone are as far off", async () => {
    const { passed, wants } = await checked(cancelling, feedsOfTwo, { loss: product });
    expect(passed).toBe(true);
    const beyond = wants.filter(({ error }) => error > 1e-4);
    expect(beyond.map(({ want }) => want)).toEqual(expect.arrayContaining(["norms", "clippedSum", "dot"]));
    for (const { cause, error, aloneError } of beyond) {
      expect(cause).toBe("rounding");
      expect(error).toBeLessThanOrEqual(2 * (aloneError ?? 0));
    }
  });

  test("pass however little rounding leaves right", async () => {
    const { passed, parameters, wants } = await checked(cancelling, halves(2, 1e-8), { loss: product });
    expect(parameters).toMatchObject([{ cause: "rounding" }]);
    expect(Math.max(...wants.map(({ error }) => error))).toBeGreaterThan(0.01);
    expect(passed).toBe(true);
  });

  test("differ where the program's gradients are wrong in the same way", async () => {
    const wrong = 1 + 5e-3;
    const all = (of: Readonly<Record<string, Floats>>) =>
      Object.fromEntries(Object.entries(of).map(([name, tensor]) => [name, scaled(tensor, wrong)]));
    spoilWants({
      gradients: all as (found: never) => unknown,
      norms: (({ total, parameters }: Norms) => ({ total: scaled(total, wrong), parameters: all(parameters) })) as (
        found: never,
      ) => unknown,
    });
    const { wants } = await checked(network, feeds);
    const norms = wants.find(({ want }) => want === "norms");
    expect(norms).toMatchObject({ cause: "difference" });
    expect(norms?.aloneError).toBeLessThan(1e-5);
  });

  test("differ in one sample, while rounding explains more of an error in another", async () => {
    const second = (tensor: Floats): Floats => ({
      ...tensor,
      data: tensor.data.map((each, n) => (n === 1 ? each * (1 + 4e-4) : each)),
    });
    spoilWant("norms", ({ total, parameters }: Norms) => ({
      total: second(total),
      parameters: { scale: second(parameters.scale as Floats) },
    }));
    const { passed, wants } = await checked(cancelling, feedsOfTwo, { loss: product });
    expect(wants.filter(({ cause }) => cause === "difference").map(({ want }) => want)).toEqual(["norms"]);
    expect(passed).toBe(false);
  });
});

describe("a right program", () => {
  test("agrees, and no cause is given", async () => {
    const { passed, samples, parameters } = await checked(network, feeds);
    expect({ passed, samples }).toEqual({ passed: true, samples: 3 });
    for (const { loopError, differenceError, ...rest } of parameters) {
      expect(loopError).toBeLessThan(1e-5);
      expect(differenceError).toBeLessThan(1e-6);
      expect(Object.keys(rest).sort()).toEqual(["parameter", "worstSample"]);
    }
  });

  test.each([1, 2, 5])("that a cancelling sum rounds, in a batch of %d, passes as rounding", async (samples) => {
    const result = await checked(cancelling, halves(samples, 1e-5), { loss: product });
    const [scale] = result.parameters;
    expect(scale).toMatchObject({ parameter: "scale", cause: "rounding" });
    expect(scale?.loopError).toBeGreaterThan(1e-4);
    expect(scale?.loopError).toBeLessThan(1e-2);
    expect(scale?.loopError).toBeLessThanOrEqual(2 * (scale?.aloneError ?? 0));
    expect(scale?.cancellation).toBeGreaterThan(1e4);
    expect(result.passed).toBe(true);
  });

  test("agrees where a fresh bias lies on the kinks of Relus that see zeros, which are counted", async () => {
    const layers = nn.sequential(nn.linear(3, 4), nn.relu(), nn.linear(4, 2));
    const fresh = nn.model(layers, { seed: 1 });
    const zeros = { ...fresh.parameters, "0.bias": floats([4], () => 0) };
    const blank = { x: floats([2, 3], (k) => (k < 3 ? 0 : Math.sin(k))), target: floats([2, 2], (k) => 1 + k) };
    const { passed, parameters } = await checked({ ...fresh, parameters: zeros }, blank);
    const bias = parameters.find(({ parameter }) => parameter === "0.bias");
    expect(bias?.kinks).toBeGreaterThan(0);
    expect(passed).toBe(true);
    expect(parameters.filter(({ kinks }) => kinks !== undefined)).toEqual([bias]);
  });

  test("of no samples has nothing to compare", async () => {
    const result = await checked(network, { x: floats([0, 3]), target: floats([0, 2]) });
    expect(result).toMatchObject({ samples: 0, passed: true });
  });

  test("with an empty parameter agrees", async () => {
    const empty = trace({ x: ["N", 3] }, { w: uniform([3, 2], 1), none: uniform([0, 2], 1) }, ({ x }, { w, none }) =>
      x.matmul(w).add(none.sum()),
    );
    const { passed, parameters } = await checked(empty, feeds);
    expect(passed).toBe(true);
    expect(parameters.find(({ parameter }) => parameter === "none")?.differenceError).toBeUndefined();
  });
});

describe("a wrong program is a difference", () => {
  test.each<readonly [string, (x: number, sample: number, parameter: string) => number]>([
    ["everything is 1% too large", (x) => 1.01 * x],
    ["everything is 0.05% too large", (x) => 1.0005 * x],
    ["one parameter in the last sample", (x, sample, name) => (sample === 2 && name === "0.bias" ? x + 1e-3 : x)],
    ["zeros", () => 0],
    ["NaN", () => Number.NaN],
  ])("%s", async (_, change) => {
    spoil(change);
    const { passed, parameters } = await checked(network, feeds);
    const differing = parameters.filter(({ cause }) => cause === "difference");
    expect(differing.map(({ parameter }) => parameter)).toContain("0.bias");
    for (const { loopError, aloneError } of differing) {
      expect(loopError).toBeGreaterThan(1e-4);
      expect(aloneError).toBeLessThan(1e-5);
    }
    expect(passed).toBe(false);
  });

  test("though the gradient cancels and rounds, too", async () => {
    spoil((x) => 1.05 * x);
    const { passed, parameters } = await checked(cancelling, halves(2, 1e-5), { loss: product });
    expect(parameters[0]?.cause).toBe("difference");
    expect(passed).toBe(false);
  });

  test("in one sample, while rounding explains more of an error in another", async () => {
    // Sample 0 cancels; in sample 1 nothing does.
    const { x, target } = halves(2, 1e-5);
    const [numbers, signs] = [x?.data as Float32Array, target?.data as Float32Array];
    numbers.subarray(places).forEach((_, k) => {
      numbers[places + k] = 1e-5 * Math.sin(k);
      signs[places + k] = Math.sign(Math.sin(k));
    });
    const right = await checked(cancelling, { x, target } as Feeds, { loss: product });
    expect(right).toMatchObject({ passed: true, parameters: [{ cause: "rounding", worstSample: 0 }] });
    const part = (right.parameters[0]?.loopError ?? 0) / 2;
    spoil((gradient, sample) => gradient * (sample === 1 ? 1 + 2 * part : 1));
    const wrong = await checked(cancelling, { x, target } as Feeds, { loss: product });
    expect(wrong).toMatchObject({ passed: false, parameters: [{ cause: "difference", worstSample: 1 }] });
  });

  test("an overflow of float32 alone is none of rounding", async () => {
    const large = trace({ x: ["N", 1] }, { w: uniform([1], 1) }, ({ x }, { w }) => x.mul(w).square().square());
    const result = await checked(large, { x: floats([1, 1], () => 1e12), target: floats([1, 1]) });
    expect(result).toMatchObject({ passed: false, parameters: [{ cause: "difference" }] });
  });
});

describe("options", () => {
  test("differences are spread over the parameters, and may be none", async () => {
    const tried = async (differences: number) => {
      const steps: number[] = [];
      let total = 0;
      const { parameters } = await checked(network, feeds, {
        differences,
        onProgress: (done, all) => {
          steps.push(done);
          total = all;
        },
      });
      expect(steps).toEqual(Array.from({ length: 1 + 3 + differences }, (_, k) => k));
      expect(total).toBe(3 + differences);
      return parameters.filter(({ differenceError }) => differenceError !== undefined).length;
    };
    expect([await tried(0), await tried(1), await tried(3), await tried(4), await tried(9)]).toEqual([0, 1, 3, 4, 4]);
  });

  test("samples are taken from the front", async () => {
    spoil((x, sample) => (sample === 2 ? 2 * x : x));
    expect(await checked(network, feeds, { samples: 2 })).toMatchObject({ passed: true, samples: 2 });
    expect((await checked(network, feeds)).passed).toBe(false);
  });
});
