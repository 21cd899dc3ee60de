/** Methods that hold less are taken where that is much of a program's memory and takes little of its time. */

import { expect, it } from "vitest";
import { objectiveOf } from "../../src/compile/objective.js";
import { planFor } from "../../src/compile/planning.js";
import { losses, type Model, nn, perSample, type Strategy, type Wants, want } from "../../src/index.js";
import { choose } from "../../src/plan/planner.js";

/** A language model whose head is tied to the embedding: one sample's gradient of the table is large. */
function languageModel(positions: number, vocabulary: number, width: number): Model {
  const words = nn.embedding(vocabulary, width);
  const layers = [nn.linear(width, 4 * width), nn.tanh(), nn.linear(4 * width, width)];
  const network = nn.sequential(words, ...layers, nn.tied(words));
  return nn.model(network, { input: { x: { shape: ["N", positions], dtype: "int64" } }, seed: 0 });
}

const summed = { norms: want.norms(), clipped: want.clippedSum({ maxNorm: 1 }) };

async function planned<W extends Wants>(model: Model, wanted: W, strategy: Strategy = {}) {
  const program = await perSample(model, { loss: losses.crossEntropy(), want: wanted, strategy });
  const row = program.explain().rows.find(({ parameter }) => parameter.startsWith("0."));
  const memory = program.memory(64);
  await program.release();
  return { row, memory };
}

const dense: Strategy = { norm: "materialise", sum: "materialise" };

it("a tied table is not multiplied out where its norm by cross terms costs little more", async () => {
  const model = languageModel(96, 2000, 128);
  const { row, memory } = await planned(model, summed);
  expect(row).toMatchObject({ norm: "cross terms", sum: "term by term", dense: false });
  // A tenth is what a parameter must save at least.
  expect(memory).toBeLessThan(0.9 * (await planned(model, summed, dense)).memory);
});

it("it is where cross terms would take much longer", async () => {
  // Of many positions and a narrow table all products of pairs are many times the gradient's own.
  const { row } = await planned(languageModel(64, 500, 8), summed);
  expect(row).toMatchObject({ norm: "materialise", sum: "materialise" });
});

it("with norms alone, which hold nothing for a sum, the fastest methods are taken", () => {
  const objective = objectiveOf(languageModel(96, 2000, 128), { loss: losses.crossEntropy() });
  const differing = (wanted: Wants) => {
    const { choices, requirements } = planFor(objective, wanted, {});
    return [...choices.values()].filter(({ parameter, gradient, methods: { norm, sum } }) => {
      const fastest = choose(parameter, gradient, requirements).methods;
      return fastest.norm?.name !== norm?.name || fastest.sum?.name !== sum?.name;
    });
  };
  expect(differing({ norms: want.norms() })).toEqual([]);
  expect(differing({ sum: want.sum() })).toEqual([]);
  expect(differing(summed).map(({ parameter }) => parameter)).toEqual(["0.weight"]);
});

it("a method that is asked for is taken whatever it holds", async () => {
  const { row } = await planned(languageModel(96, 2000, 128), summed, dense);
  expect(row).toMatchObject({ norm: "materialise", sum: "materialise", dense: true });
});
