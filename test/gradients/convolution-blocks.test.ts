/** Gradients of convolutions by blocks of positions: every way against the loop, and in ONNX Runtime. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Array64 } from "../../src/float64/array64.js";
import { blocksOf, cutOf, otherCut } from "../../src/gradients/convolution-blocks.js";
import { blockedUnfold, type Factored } from "../../src/gradients/factored.js";
import { type DimSpec, N, type Shape } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import type { BuildStrategy } from "../../src/ops/build-strategy.js";
import type { Convolution } from "../../src/ops/cotangent.js";
import { build } from "../../src/ops/registry.js";
import { convolutionRules } from "../../src/ops/subgraphs/convolution-weight.js";
import { simplify } from "../../src/optimise/simplify.js";
import type { Traced } from "../../src/trace/index.js";
import { checkComputed } from "../support/graph-checks.js";
import { compareWithLoop, gradientsOf, waysOf } from "../support/per-sample.js";
import { makeCase, type Spec } from "../support/spec.js";
import { axesCases, channels, sizeOn, windowAttributes } from "../support/window-cases.js";

type Values = Record<string, Traced>;
const get = (v: Values, name: string) => v[name] as Traced;
const product = (dims: readonly number[]) => dims.reduce((size, dim) => size * dim, 1);
const methods = ["oneHot", "gather", "slices", "tiles"] as const;

/** How the samples lie: along an axis of their own, or folded with two images, behind or before. */
const folds = ["plain", "inner", "outer"] as const;

/** What stands between the parameter and the kernel: `view`, `scaled`, `along` and `join` of the gradient. */
const kernels = ["itself", "a matrix", "scaled", "cut", "picked", "used twice"] as const;

const drawn = fc
  .tuple(
    axesCases(() => 2),
    channels,
  )
  .map(([axes, { groups, i, o }]) => ({
    groups,
    i,
    o,
    attributes: { ...windowAttributes(axes), group: groups },
    kernel: axes.map(({ kernel }) => kernel),
    sizes: axes.map(sizeOn),
  }));

const cases = fc.record({
  drawn,
  op: fc.constantFrom("Conv", "Conv", "ConvTranspose"),
  fold: fc.constantFrom(...folds),
  kernel: fc.constantFrom(...kernels),
  samples: fc.constantFrom(0, 1, 3),
  choices: fc.record(
    {
      unfoldBlock: fc.integer({ min: 1, max: 40 }),
      unfold: fc.constantFrom(...methods),
      materialise: fc.constant(blockedUnfold),
    },
    { requiredKeys: ["unfoldBlock"] },
  ),
});
type Drawn = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** The parameter's shape, and the kernel made from it. */
function kernelOf({ drawn: { groups, i, o, kernel }, op, kernel: how }: Drawn) {
  const shape = op === "Conv" ? [groups * o, i, ...kernel] : [groups * i, o, ...kernel];
  const [first = 1, ...rest] = shape;
  if (how === "cut") return { shape: [first + 2, ...rest], of: (w: Traced) => w.slice(0, 1, first + 1) };
  if (how === "picked") return { shape: [...shape, 3], of: (w: Traced) => w.slice(shape.length, 1, 2).reshape(shape) };
  if (how === "a matrix")
    return { shape: [product(rest), first], of: (w: Traced) => w.transpose([1, 0]).reshape(shape) };
  return { shape, of: (w: Traced) => (how === "scaled" ? w.mul(-0.7) : w) };
}

/** `[n, ...]` or `[n, ...]` with two images of each sample, as one loss for each, `[N]`. */
function perSampleLoss(y: Traced, fold: Drawn["fold"]): Traced {
  const rest = y.value.shape.slice(1) as number[];
  const size = product(rest);
  const squares = y.tanh().square();
  if (fold === "plain") return squares.reshape(["N", size]).sum([1]);
  if (fold === "inner") return squares.reshape(["N", 2 * size]).sum([1]);
  return squares.reshape([2, "N", size]).sum([0, 2]);
}

function specOf(test: Drawn): Spec {
  const { drawn: own, op, fold, kernel: how, samples } = test;
  const image = [own.groups * own.i, ...own.sizes];
  const shapes: Record<Drawn["fold"], DimSpec[]> = { plain: ["N"], inner: ["N", 2], outer: [2, "N"] };
  const { shape, of } = kernelOf(test);
  return {
    samples,
    inputs: { x: { shape: [...shapes[fold], ...image], axis: fold === "outer" ? 1 : 0 } },
    parameters: { w: shape },
    loss: (v) => {
      const x = get(v, "x").reshape([fold === "plain" ? "N" : "N*2", ...image]);
      const convolved = (data: Traced) => data.onnx(op, [of(get(v, "w"))], own.attributes);
      const once = perSampleLoss(convolved(x), fold);
      return how === "used twice" ? once.add(perSampleLoss(convolved(x.tanh()), fold)) : once;
    },
  };
}

const choicesOf = ({ choices }: Drawn) => choices as BuildStrategy;

/** Windows may be larger than what they slide over, and a transposed convolution's output may be empty. */
function builds(test: Drawn): boolean {
  try {
    makeCase(specOf(test));
    return true;
  } catch {
    return false;
  }
}

const blocked = (gradients: Iterable<Factored>) =>
  [...gradients].some((gradient) =>
    [gradient.squaredNorms(), gradient.weightedSums()].every((ways) => ways.some(({ name }) => name === blockedUnfold)),
  );

describe("gradients of convolutions by blocks of positions", () => {
  it("are those of all positions at once, whatever the window, the groups, the fold of the samples and the kernel's use", () => {
    const met = new Map<string, number>();
    const check = (test: Drawn) => {
      const own = makeCase(specOf(test));
      compareWithLoop(own, choicesOf(test));
      if (!blocked(gradientsOf(own, choicesOf(test)).values())) return;
      const features = [test.op, test.fold, test.kernel, `${test.samples}`, `${test.drawn.sizes.length}-d`];
      const groups = test.drawn.groups > 1 ? "groups" : "one group";
      for (const feature of [...features, groups, test.choices.unfold ?? "chosen", `${test.choices.materialise}`])
        met.set(feature, (met.get(feature) ?? 0) + 1);
    };
    fc.assert(fc.property(cases.filter(builds), check), { numRuns: 200 });
    const wanted = [
      "Conv",
      "ConvTranspose",
      ...folds,
      ...kernels,
      "0",
      "1",
      "3",
      "1-d",
      "2-d",
      "3-d",
      "groups",
      ...methods,
    ];
    for (const feature of [...wanted, "chosen", "undefined"])
      expect(met.get(feature) ?? 0, `cases of ${feature} that had blocks`).toBeGreaterThanOrEqual(3);
  });

  it("are so in ONNX Runtime", async () => {
    const drawnFew = cases.filter(
      (test) =>
        test.samples > 0 && builds(test) && blocked(gradientsOf(makeCase(specOf(test)), choicesOf(test)).values()),
    );
    const check = async (test: Drawn) => {
      const own = makeCase(specOf(test));
      const weights = build.op("Abs", [own.losses]);
      const ways = [...gradientsOf(own, choicesOf(test)).values()].flatMap((each) => waysOf(each, weights));
      const outputs = ways.filter(({ name }) => name.endsWith(blockedUnfold)).map(({ value }) => value);
      const feeds = new Map<Value, Array64>(own.parameters);
      for (const [value, { array }] of own.inputs) feeds.set(value, array);
      await checkComputed([{ outputs: simplify(outputs), feeds, samples: test.samples, what: test }], 1e-4);
    };
    await fc.assert(fc.asyncProperty(drawnFew, check), { numRuns: 30 });
  });

  it("are at most 16 and hold each position once; small convolutions, and windows over padding alone, have none", () => {
    const convolution = (count: number, kernel: number, padding: number): Convolution => {
      const window = { kernel: [kernel], strides: [1], dilations: [1], before: [padding], after: [padding] };
      const value = (name: string, dims: Shape) => leaf(name, { dtype: "float32", shape: dims }, { kind: "input" });
      const data = value("data", [N, 4, count + kernel - 1 - 2 * padding]);
      const cotangent = value("cotangent", [N, 5, count]);
      return {
        kind: "convolution",
        data,
        cotangent,
        groups: 1,
        window,
        shape: [5, 4, kernel],
        rules: convolutionRules,
      };
    };
    const blocks = (of: Convolution, floats?: number) => {
      const cut = cutOf(of, 1, "gather", floats);
      return cut ? [blocksOf(of, cut), blocksOf(of, otherCut(cut))] : [];
    };
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 100 }), fc.integer({ min: 1, max: 9 }), (count, kernel) => {
        const cuts = blocks(convolution(count, kernel, 0), 1);
        expect(cuts).toHaveLength(2);
        for (const cut of cuts) {
          expect(cut.length).toBeGreaterThanOrEqual(2);
          expect(cut.length).toBeLessThanOrEqual(16);
          const held = cut.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, k) => start + k));
          expect(held).toEqual([...Array(count).keys()]);
        }
      }),
    );
    expect(blocks(convolution(1000, 3, 1))).toEqual([]);
    expect(blocks(convolution(100_000, 3, 1))[0]?.length).toBeGreaterThan(8);
    // One element among ten of padding: only the block of the window in the middle sees it.
    expect(blocks(convolution(21, 1, 10), 1)[0]).toHaveLength(1);
  });
});
