/** The damping that is measured: a training that ended early damps as much as its mean gradient and loss say. */
import { describe, expect, it } from "vitest";
import { Checkpoint } from "../../src/attribution/checkpoint.js";
import { margin } from "../../src/attribution/margin.js";
import { progressOf, progressOfFeatures } from "../../src/attribution/progress.js";
import { Table } from "../../src/attribution/table.js";
import { attribution, losses, type Model, nn, perSample, sgd, want, withParameters } from "../../src/index.js";
import { nth } from "../../src/present.js";

const samples = 60;
const noise = (k: number) => Math.sin(12.9898 * (k + 1)) * Math.cos(78.233 * (k + 2));
const data = {
  x: Float32Array.from({ length: samples * 4 }, (_, k) => noise(k) + (k % 4 === (k >> 2) % 3 ? 0.6 : 0)),
  target: BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 3)),
};
const loss = losses.crossEntropy();
const network = nn.sequential(nn.linear(4, 8), nn.tanh(), nn.linear(8, 3));
const untrained = nn.model(network, { input: { x: ["N", 4] }, seed: 3 });

/** Trained on all samples by plain descent. */
async function trained(steps: number): Promise<Model> {
  const program = await perSample(untrained, { loss, want: { mean: want.mean() }, holdParameters: false });
  const optimizer = sgd({ learningRate: 0.5 });
  let { parameters } = untrained;
  let state = optimizer.start(parameters);
  for (let step = 0; step < steps; step++) {
    const { mean } = await program.run(data, { parameters });
    ({ parameters, state } = optimizer.step(parameters, mean, state));
  }
  await program.release();
  return withParameters(untrained, parameters);
}

/** The gradients of all samples, `[N, P]`. */
async function gradientsAt(checkpoint: Checkpoint): Promise<Table> {
  const parts: Table[] = [];
  for await (const { from, to, rows } of checkpoint.rows(data))
    parts.push(new Table(to - from, checkpoint.space.size, Float64Array.from(rows)));
  return Table.stacked(parts);
}

function squaredMean(rows: readonly Float64Array[]): number {
  const { length } = nth(rows, 0);
  const means = Array.from(
    { length },
    (_, k) => rows.reduce((sum, row) => sum + (row[k] ?? Number.NaN), 0) / rows.length,
  );
  return means.reduce((sum, mean) => sum + mean * mean, 0);
}

const rowsOf = (table: Table) => Array.from({ length: table.rows }, (_, n) => table.row(n));

describe("the progress of a training", () => {
  it("is the squared norm of the mean gradient, and its ratio to the mean loss", async () => {
    const model = await trained(20);
    const checkpoint = Checkpoint.of(model, { loss });
    const { fisher, ggn } = await progressOf(checkpoint, data, false);
    const wanted = squaredMean(rowsOf(await gradientsAt(checkpoint)));
    expect(fisher / wanted).toBeCloseTo(1, 5);
    const program = await perSample(model, { loss, want: { losses: want.losses() } });
    const found = (await program.run(data)).losses.data;
    await program.release();
    expect((ggn * found.reduce((sum, each) => sum + each, 0)) / samples / wanted).toBeCloseTo(1, 5);
  });

  it("of a sample is right on average over all samples of that size", () => {
    const rows = [
      [3, 1],
      [2, 2],
      [4, 0.5],
      [3, 3],
      [2.5, 1],
    ].map((row) => Float64Array.from(row));
    let [sum, count] = [0, 0];
    for (let a = 0; a < rows.length; a++)
      for (let b = 0; b < a; b++) {
        const phi = new Table(2, 2, Float64Array.from([...nth(rows, a), ...nth(rows, b)]));
        sum += progressOfFeatures(phi, null, rows.length);
        count++;
      }
    expect(sum / count).toBeCloseTo(squaredMean(rows), 10);
  });

  it("is the same from the gradients of the label's odds, which lack the loss's second derivative", async () => {
    const checkpoint = Checkpoint.of(await trained(20), { loss });
    const odds = checkpoint.with({ loss: margin(loss) });
    const phi = await gradientsAt(odds);
    const values = (await odds.all({ values: want.losses() }, data)).values.data;
    const weights = Float64Array.from(values, (value) => 1 / (1 + Math.exp(value)));
    const second = weights.reduce((sum, weight) => sum + weight * (1 - weight), 0) / samples;
    const { ggn } = await progressOf(checkpoint, data, false);
    expect((progressOfFeatures(phi, weights, samples) * second) / ggn).toBeCloseTo(1, 4);
  });

  it("says nothing of losses that are not positive", async () => {
    const likelihood = {
      ...losses.mse(),
      apply: (output: Parameters<ReturnType<typeof losses.mse>["apply"]>[0]) => output.mean([1]).sub(9),
    };
    const checkpoint = Checkpoint.of(untrained, { loss: likelihood });
    const target = new Float32Array(samples * 3);
    expect((await progressOf(checkpoint, { x: data.x, target }, false)).ggn).toBe(0);
  });
});

describe("the measured damping", () => {
  const dampingOf = async (model: Model, method: attribution.Method) => {
    const { dampings } = await attribution.scores(model, data, data, { loss, method });
    return dampings?.[0] ?? Number.NaN;
  };

  it("is at least as large as the progress says, which falls while the training goes on", async () => {
    const { influence, loGra, trak } = attribution;
    const [early, late] = [await trained(3), await trained(400)];
    const progress = await progressOf(Checkpoint.of(early, { loss }), data, false);
    expect((await progressOf(Checkpoint.of(late, { loss }), data, false)).ggn).toBeLessThan(progress.ggn / 5);
    for (const [method, least] of [
      [influence({ inverse: "gram", of: "ggn" }), 0.7 * progress.ggn],
      [influence({ inverse: "cg" }), 0.7 * progress.ggn],
      [influence({ inverse: "gram" }), 0.7 * progress.fisher],
      [influence({ inverse: "ekfac" }), 0.05 * progress.ggn],
      [influence({ inverse: "kfac", of: "fisher" }), 0.05 * progress.fisher],
      // Projected, the mean gradient is only nearly as long.
      [loGra(), 0.5 * progress.fisher],
      // The damping of a sum of squares that lack the second derivative p (1 - p), which is at most 1 / 4.
      [trak(), 0.5 * samples * 4 * progress.ggn],
    ] as const)
      expect(await dampingOf(early, method), method.name).toBeGreaterThanOrEqual(least * (1 - 1e-5));
  });

  it("of the diagonal is measured with the diagonal, around its mean", async () => {
    const model = await trained(50);
    const found = await dampingOf(model, attribution.influence({ inverse: "diagonal" }));
    const checkpoint = Checkpoint.of(model, { loss });
    const rows = await gradientsAt(checkpoint);
    const mean = rows.data.reduce((sum, value) => sum + value * value, 0) / rows.data.length;
    expect(found).toBeGreaterThan(0.009 * mean);
    expect(found).toBeLessThan(111 * mean);
    expect(found).toBeLessThan(await dampingOf(model, attribution.influence()));
  });
});
