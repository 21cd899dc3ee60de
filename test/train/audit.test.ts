/**
 * An audit from outside: somebody who sees one step's result guesses whether a canary was among the data. How often
 * they are right bounds epsilon from below, whatever the code says of itself: Jagielski et al. 2020, "Auditing
 * differentially private machine learning".
 */
import gammaln from "@stdlib/math-base-special-gammaln";
import { expect, it } from "vitest";
import { nn, PrivateTrainer, privacy, tensor } from "../../src/index.js";
import { recorder } from "./support.js";

const steps = 3000;
const samples = 8;
const delta = 1e-5;
/** A bound fails with this probability. */
const doubt = 1e-6;

/** The probability of at most `count` of `trials`, each of probability p. */
function atMost(count: number, trials: number, p: number): number {
  let sum = 0;
  for (let k = 0; k <= count; k++) {
    const choose = gammaln(trials + 1) - gammaln(k + 1) - gammaln(trials - k + 1);
    sum += Math.exp(choose + k * Math.log(p) + (trials - k) * Math.log1p(-p));
  }
  return sum;
}

/** The largest probability that fits a count of successes (Clopper and Pearson 1934). */
function upperBound(count: number, trials: number): number {
  if (count === trials) return 1;
  let [low, high] = [count / trials, 1];
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2;
    if (atMost(count, trials, middle) > doubt) low = middle;
    else high = middle;
  }
  return high;
}

const lowerBound = (count: number, trials: number) => 1 - upperBound(trials - count, trials);

/** Where a guess is right in at least `hits`, and wrong in at most `misses`: hits <= exp(epsilon) misses + delta. */
function leastEpsilon(hits: number, misses: number): number {
  const one = Math.log((lowerBound(hits, steps) - delta) / upperBound(misses, steps));
  const other = Math.log((lowerBound(steps - misses, steps) - delta) / upperBound(steps - hits, steps));
  return Math.max(0, one || 0, other || 0);
}

/** A sample's gradient is its x: the canary's points in a direction of its own, and is far too long. */
const model = nn.trace({ x: ["N", 3] }, { weight: nn.zeros([3]) }, ({ x }, { weight }) => x.mul(weight).sum(1));
const others = Array.from({ length: samples }, (_, n) => [Math.sin(n), Math.cos(n), 0]);
const canary = [0, 0, 1000];

/** Steps in which the canary is thought to be there: where the third number is above the middle. */
async function guesses(rows: readonly number[][], maxNorm: number): Promise<number> {
  const released = recorder();
  const trainer = await PrivateTrainer.create(
    model,
    { x: tensor("float32", [rows.length, 3], Float32Array.from(rows.flat())) },
    {
      loss: { name: "output", target: () => null, apply: (output) => output },
      optimizer: released.optimizer,
      batchSize: rows.length,
      maxNorm,
      // Always of the same size: that of a sensitivity of 1.
      noiseMultiplier: 1 / maxNorm,
      delta,
    },
  );
  let count = 0;
  for (let step = 0; step < steps; step++) {
    await trainer.step();
    const third = (released.last().weight?.data[2] ?? Number.NaN) * rows.length;
    if (third > 1.5) count++;
  }
  await trainer.release();
  return count;
}

const claimed = privacy.epsilon([{ kind: "gaussian", noiseMultiplier: 1, samplingRate: 1, steps: 1 }], { delta });

it("finds no more than the accountant's epsilon, and not nothing", async () => {
  const found = leastEpsilon(await guesses([...others, canary], 1), await guesses(others, 1));
  expect(found).toBeLessThan(claimed);
  expect(found).toBeGreaterThan(0.5);
});

it("finds more than that where nothing is clipped, and the noise is the same", async () => {
  const found = leastEpsilon(await guesses([...others, canary], 1e6), await guesses(others, 1e6));
  expect(found).toBeGreaterThan(claimed);
});
