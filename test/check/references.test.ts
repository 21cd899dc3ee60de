/** The float64 reference in threads, and finite differences of several elements at once. */
import { describe, expect, test } from "vitest";
import { differenceErrors, type Try } from "../../src/check/differences.js";
import { Reference, referenceParts } from "../../src/check/oracle.js";
import { receivedParts, referencesOf, sentParts } from "../../src/check/references.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { losses, type Model, nn } from "../../src/index.js";
import { floats } from "../cli/support.js";

/** A recurrent layer has a body of its own in the graph. */
const recurrent = nn.model(nn.sequential(nn.lstm(3, 4), nn.tanh(), nn.linear(4, 2)), {
  seed: 1,
  input: { x: ["N", 5, 3] },
});
const data = { x: floats([3, 5, 3]), target: floats([3, 5, 2]) };

function partsOf(model: Model) {
  return referenceParts(objectiveOf(model, { loss: losses.mse() }), data, true);
}

/** An element of each parameter, with the gradient that the reference finds. */
function triesOf(reference: Reference, sample: number): Try[] {
  return [...reference.sample(sample).gradients].map(([parameter, gradient], k) => ({
    parameter,
    index: gradient.length - 1,
    gradient: gradient[gradient.length - 1] as number,
    scale: Math.max(...gradient.map(Math.abs)),
    weight: (k % 2 ? -1 : 1) * (0.5 + k / 20),
  }));
}

test("a graph that was sent computes the same", () => {
  const parts = partsOf(recurrent);
  const received = new Reference(receivedParts(structuredClone(sentParts(parts))));
  for (const sample of [0, 1, 2]) expect(received.sample(sample)).toEqual(new Reference(parts).sample(sample));
});

describe("threads", () => {
  const enough = 1e9;

  test("compute what one does", async () => {
    const parts = partsOf(recurrent);
    const reference = new Reference(parts);
    const threads = referencesOf(parts, enough, 2);
    expect(threads.lanes).toBe(2);
    try {
      const found = await Promise.all([0, 1, 2].map((sample) => threads.gradients(sample)));
      expect(found).toEqual([0, 1, 2].map((sample) => reference.sample(sample).gradients));
      const tries = triesOf(reference, 1);
      expect(await threads.differences(1, tries)).toEqual(differenceErrors(reference, 1, tries));
    } finally {
      await threads.release();
    }
  });

  test("pass errors on, and are refused once they were released", async () => {
    const parts = partsOf(recurrent);
    const threads = referencesOf(parts, enough, 2);
    const [first] = triesOf(new Reference(parts), 0);
    const unknown = threads.differences(0, [{ ...(first as Try), parameter: "none" }]);
    await expect(unknown).rejects.toThrow('no parameter "none"');
    await threads.release();
    await expect(threads.gradients(0)).rejects.toThrow("ended");
  });

  test("are none for a small model, nor where one is asked for", () => {
    const parts = partsOf(recurrent);
    expect(referencesOf(parts, 3, 2).lanes).toBe(1);
    expect(referencesOf(parts, enough, 1).lanes).toBe(1);
  });
});

describe("elements moved together", () => {
  const reference = new Reference(partsOf(recurrent));
  const tries = triesOf(reference, 0);

  test("agree with right gradients", () => {
    differenceErrors(reference, 0, tries).forEach((error, k) => {
      expect(error).toBeLessThan(1e-5 * (tries[k] as Try).scale);
    });
  });

  test.each(tries.map((_, k) => k))("find that the gradient of number %d is wrong, and no other", (wrong) => {
    const spoiled = tries.map((each, k) =>
      k === wrong ? { ...each, gradient: each.gradient + 1e-3 * each.scale } : each,
    );
    const errors = differenceErrors(reference, 0, spoiled);
    errors.forEach((error, k) => {
      const { scale } = tries[k] as Try;
      if (k === wrong) expect((error ?? Number.NaN) / scale).toBeCloseTo(1e-3, 5);
      else expect(error).toBeLessThan(1e-5 * scale);
    });
  });

  test("do not hide what is not a number", () => {
    const spoiled = tries.map((each, k) => (k === 1 ? { ...each, gradient: Number.NaN } : each));
    expect(differenceErrors(reference, 0, spoiled)[1]).toBe(Number.POSITIVE_INFINITY);
  });
});
