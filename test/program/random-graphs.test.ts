/** Random graphs of every operator: the program on ONNX Runtime against the float64 loop, and the loop against differences. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { constantValue, type Value } from "../../src/graph/value.js";
import { build } from "../../src/ops/registry.js";
import { type OpInput, typed } from "../support/op-checks.js";
import type { Cases } from "../support/op-suite.js";
import { assemble, type Recipe, type Step } from "../support/random-graph/assemble.js";
import {
  casesOf,
  definitions,
  fixedIndices,
  nameOf,
  neverApart,
  notDrawn,
  smooth,
} from "../support/random-graph/cases.js";
import { Choices } from "../support/random-graph/choices.js";
import { compare } from "../support/random-graph/compare.js";
import { type Drawn, Leaves } from "../support/random-graph/leaves.js";
import { placementFor } from "../support/random-graph/placement.js";

const seeds = fc.noShrink(fc.nat());
const drawn = definitions.flatMap((definition) => {
  const cases = casesOf(definition);
  return cases ? [{ name: nameOf(definition), definition, cases }] : [];
});

const stepOf = ({ name, cases }: (typeof drawn)[number]): fc.Arbitrary<Step> =>
  fc
    .tuple(cases, seeds)
    .map(([test, seed]) => ({ test, seed, smooth: smooth.has(name), fixed: fixedIndices.has(name) }));

/** A graph through one operator and up to three others, in any order. */
const recipeThrough = (one: (typeof drawn)[number]): fc.Arbitrary<Recipe> =>
  fc.record({
    samples: fc.oneof({ weight: 1, arbitrary: fc.constantFrom(0, 1) }, { weight: 4, arbitrary: fc.constantFrom(2, 3) }),
    seed: seeds,
    steps: fc
      .tuple(stepOf(one), fc.array(fc.constantFrom(...drawn).chain(stepOf), { maxLength: 3 }), fc.nat(3))
      .map(([step, others, at]) => [...others.slice(0, at), step, ...others.slice(at)]),
  });

describe("random graphs", () => {
  const { seed } = fc.readConfigureGlobal();
  it.each(drawn.map((one, k) => ({ ...one, k })))("through $name", async (one) => {
    await fc.assert(
      fc.asyncProperty(recipeThrough(one), (recipe) => compare(assemble(recipe))),
      {
        numRuns: 1,
        seed: (seed ?? 1) * 1009 + one.k,
      },
    );
  });

  it("through MaxUnpool behind a MaxPool", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(3), seeds, (samples, choices) => compare(unpooled(samples, new Choices(choices)))),
      { numRuns: 3 },
    );
  });

  it("draw every differentiable operator, or say why not", () => {
    const silent = definitions.filter((definition) => !casesOf(definition) && !(nameOf(definition) in notDrawn));
    expect(silent.filter(({ differentiate }) => differentiate !== "none").map(nameOf)).toEqual([]);
    const known = new Set(definitions.map(nameOf));
    expect(Object.keys(notDrawn).filter((name) => !known.has(name))).toEqual([]);
  });

  it("take samples through every operator that lets them pass", () => {
    const shared = drawn.filter(({ name, cases }) => !(name in neverApart) && !meetsSamples(cases));
    expect(shared.map(({ name }) => name)).toEqual([]);
  });
});

function meetsSamples(cases: Cases): boolean {
  const constant = (input: OpInput) => constantValue(typed(input, input.dtype ?? "float32"));
  return fc.sample(cases, 40).some((test, k) => placementFor(test, new Choices(k), constant) !== null);
}

function unpooled(samples: number, choices: Choices): Drawn {
  const leaves = new Leaves(samples);
  const x = leaves.input(
    [2, 6],
    0,
    Array.from({ length: samples }, () => choices.numbers(12, 1.5)),
  );
  const [before, behind] = [1, 2].map(() =>
    leaves.parameter(
      [2, 1],
      choices.numbers(2).map((w) => w + 2),
    ),
  );
  const window = { kernel_shape: [2], strides: [2] };
  const [y, indices] = build.node("MaxPool", [build.mul(x, before as Value)], window, 2).outputs as [Value, Value];
  const back = build.op("MaxUnpool", [build.mul(y, behind as Value), indices], window);
  const losses = build.sum(build.mul(build.square(back), x), [1, 2]);
  return leaves.drawn(losses);
}
