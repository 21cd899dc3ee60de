/** A compile goes to another thread as plain data, and what comes back is the program that is compiled here. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Received, Sending } from "../../src/graph/sent.js";
import type { Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { losses, nn, printGraph, tensor } from "../../src/index.js";
import { graphOf } from "../../src/inspect/observe.js";
import { compiledFor } from "../../src/program/compiled-for.js";
import { Program } from "../../src/program/program.js";
import { defaultTarget } from "../../src/target/default.js";
import type { Target } from "../../src/target/target.js";
import { norms } from "../../src/wants/plain.js";
import { want } from "../../src/wants/want.browser.js";

/** What is sent is cloned, as between threads. */
const elsewhere: Target = {
  ...defaultTarget,
  version: defaultTarget.version,
  atOnce: false,
  elsewhere: async (task) => {
    const { session, held, told } = await compiledFor(structuredClone(task));
    const run = (feeds: Parameters<typeof session.run>[0]) => session.run(structuredClone(feeds));
    return {
      told: structuredClone(told),
      running: { held: new Set(held), isReady: () => true, run, release: () => session.release() },
    };
  },
};

const models = {
  convolutions: nn.model(
    nn.sequential(nn.conv2d(1, 3, 3), nn.relu(), nn.maxPool2d(2), nn.flatten(), nn.linear(27, 3)),
    { seed: 1, input: { x: ["N", 1, 8, 8] } },
  ),
  // A loop, whose body is a graph within a node.
  recurrent: nn.model(nn.sequential(nn.lstm(3, 4), nn.linear(4, 3)), { seed: 1, input: { x: ["N", 4, 3] } }),
  attention: nn.model(nn.sequential(nn.transformerEncoderLayer(4, 2, { feedForward: 8 }), nn.linear(4, 3)), {
    seed: 1,
    input: { x: ["N", 4, 4] },
  }),
};

for (const [name, model] of Object.entries(models)) {
  const positions = name === "convolutions" ? [] : [4];
  const x = model.graph.inputs[0]?.shape.slice(1).map(Number) ?? [];
  const size = x.reduce((product, dim) => product * dim, 1);
  const data = (samples: number) => ({
    x: tensor(
      "float32",
      [samples, ...x],
      Float32Array.from({ length: samples * size }, (_, k) => Math.sin(1 + k)),
    ),
    target: tensor(
      "int64",
      [samples, ...positions],
      BigInt64Array.from({ length: samples * (positions[0] ?? 1) }, (_, k) => BigInt(k % 3)),
    ),
  });

  it(`${name}: results, plan, graph and file are those of a program that is compiled here`, async () => {
    const options = {
      loss: losses.crossEntropy({ labelSmoothing: 0.1 }),
      want: {
        norms: want.norms(),
        sum: want.clippedSum({ maxNorm: 0.1 }),
        gradients: want.gradients({ storage: "float16" }),
      },
      parameters: ["*weight*"],
    };
    const here = await Program.compile(model, { ...options, workers: true }, { ...elsewhere, elsewhere: undefined });
    const there = await Program.compile(model, { ...options, workers: true }, elsewhere);
    expect(there.parameters).toEqual(here.parameters);
    expect(there.graph()).toBe(here.graph());
    expect(String(there.explain())).toBe(String(here.explain()));
    expect(there.memory(5)).toBe(here.memory(5));
    expect(Buffer.compare(there.encode(), here.encode())).toBe(0);
    const large = { sum: want.sum() };
    const many = await Program.compile(model, { ...options, want: large, workers: true }, elsewhere);
    const few = await Program.compile(model, { ...options, want: large }, defaultTarget);
    for (const samples of [0, 3]) expect(await there.run(data(samples))).toEqual(await here.run(data(samples)));
    const [found, expected] = [await many.run(data(300)), await few.run(data(300))];
    for (const [parameter, { data: numbers }] of Object.entries(expected.sum))
      for (const [k, y] of numbers.entries()) expect(found.sum[parameter]?.data[k]).toBeCloseTo(y, 3);
    for (const program of [here, there, many, few]) await program.release();
  });
}

it("a want or a loss that no maker of ours made is compiled here, and explain says so", async () => {
  const { attention: model } = models;
  const copied = { ...losses.crossEntropy(), name: "another" };
  const cases = [
    { loss: copied, want: { norms: want.norms() } },
    { loss: losses.crossEntropy(), want: { norms: norms() } },
  ];
  for (const options of cases) {
    const program = await Program.compile(model, { ...options, workers: true }, elsewhere);
    expect(String(program.explain())).toMatch(/the (loss|want "norms") is a function of your own/);
    await program.release();
  }
});

it("values come back with what they are computed from, in whatever order they are asked for", () => {
  const graphs = Object.values(models).map(({ graph }) => nodesBefore(graph.outputs.map(({ value }) => value)));
  const asked = fc.constantFrom(...graphs).chain((nodes) =>
    fc.shuffledSubarray(
      nodes.flatMap(({ outputs }) => outputs),
      { minLength: 1 },
    ),
  );
  fc.assert(
    fc.property(asked, (values) => {
      const sending = new Sending();
      const numbers = sending.values(values);
      const received = new Received(structuredClone(sending.graph)).values(numbers);
      const printed = (all: readonly Value[]) =>
        printGraph(graphOf(all.map((value, k) => ({ name: `result ${k}`, value }))));
      expect(printed(received)).toBe(printed(values));
    }),
    { numRuns: 20 },
  );
});
