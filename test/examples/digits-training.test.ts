import { expect, it } from "vitest";
import type { Digits } from "../../examples/digits/data.js";
import { network } from "../../examples/digits/network.js";
import { Failure, parseOptions } from "../../examples/digits/options.js";
import { predictions, train } from "../../examples/digits/training.js";
import { random } from "../../src/tensor/random.js";
import { tensor } from "../../src/tensor/tensor.js";

/** Not digits, but bars: label k is a dark stripe at height 2k, on noise. */
function stripes(samples: number): Digits {
  const source = random(4);
  const x = new Float32Array(samples * 784).map(() => source.uniform(0, 0.3));
  for (let n = 0; n < samples; n++) x.fill(1, n * 784 + (n % 10) * 2 * 28, n * 784 + ((n % 10) * 2 + 2) * 28);
  const labels = BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 10));
  return { x: tensor("float32", [samples, 1, 28, 28], x), target: tensor("int64", [samples], labels) };
}

it("a few steps reduce the loss, the same way each time", async () => {
  const digits = { train: stripes(80), test: stripes(20) };
  const steps: number[] = [];
  const run = () =>
    train(
      network(1),
      digits,
      { epochs: 4, seed: 1, batch: 16 },
      { epochStarts: (_, count) => steps.push(count), step: () => steps.push(1) },
    );
  const { epochs, parameters } = await run();
  expect(epochs.length).toBe(4);
  expect(epochs[3]?.trainLoss).toBeLessThan((epochs[0]?.trainLoss ?? 0) * 0.8);
  expect(steps).toEqual([0, 1, 2, 3].flatMap(() => [5, 1, 1, 1, 1, 1]));
  expect((await run()).parameters).toEqual(parameters);
});

it("predicts the largest score", () => {
  expect(predictions(tensor("float32", [2, 3], Float32Array.of(-1, -3, -2, 0, 5, 5)))).toEqual([0, 1]);
  expect(predictions(tensor("float32", [0, 3], new Float32Array()))).toEqual([]);
});

it("takes options, and refuses what it does not know in one sentence", () => {
  expect(parseOptions([])).toMatchObject({ epochs: 8, seed: 1 });
  expect(parseOptions(["--epochs", "2", "--seed=0", "--out", "/a/b.html"])).toEqual({
    epochs: 2,
    seed: 0,
    out: "/a/b.html",
  });
  for (const args of [
    ["--epochs", "0"],
    ["--epochs", "2.5"],
    ["--seed", "-1"],
    ["--seed", ""],
    ["--what"],
    ["extra"],
    ["--out"],
  ]) {
    expect(() => parseOptions(args)).toThrow(Failure);
    expect(() => parseOptions(args)).toThrow("Usage: npm start");
  }
});
