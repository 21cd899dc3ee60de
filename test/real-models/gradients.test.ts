import { describe, expect, test } from "vitest";
import {
  classifier,
  faceDetector,
  lineDetector,
  type RealModel,
  recogniser,
  voiceActivity,
  wakeWord,
} from "../../bench/real/models.js";
import { check, perSample, want } from "../../src/index.js";
import { expectNear, load, loop, norm, objective } from "./support.js";

/** Part of the largest norm below which a parameter's gradient is rounding error. */
const vanishing = 1e-3;

async function expectLoop(real: RealModel): Promise<void> {
  const model = await load(real);
  const expected = await loop(real, model);
  const names = [...(expected[0]?.keys() ?? [])];
  const program = await perSample(model, { ...objective(real), want: { norms: want.norms() } });
  const { norms } = await program.run(real.data);
  await program.release();
  const full = names[names.length >> 1] as string;
  const one = await perSample(model, { ...objective(real), parameters: [full], want: { gradients: want.gradients() } });
  const { gradients } = await one.run(real.data);
  await one.release();
  expected.forEach((sample, n) => {
    const each = new Map([...sample].map(([name, gradient]) => [name, norm(gradient)]));
    const total = Math.hypot(...each.values());
    expect(total).toBeGreaterThan(0);
    expectNear([norms.total.data[n] ?? Number.NaN], [total], total, `norm of sample ${n}`);
    for (const [name, own] of each) {
      const found = norms.parameters[name]?.data[n] ?? Number.NaN;
      expectNear([found], [own], Math.max(own, vanishing * total), `norm of "${name}" in sample ${n}`);
    }
    const wanted = sample.get(full) ?? new Float32Array();
    const found = gradients[full]?.data.subarray(n * wanted.length, (n + 1) * wanted.length) ?? [];
    const largest = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    expectNear(found, wanted, Math.max(largest, vanishing * total), `gradient of "${full}" in sample ${n}`);
  });
}

describe("batches of real models, in float32, agree with one sample after another", () => {
  test("text direction", () => expectLoop(classifier()));
  test("text recognition", () => expectLoop(recogniser(128)));
  test("face detection", () => expectLoop(faceDetector()));
  test("line segments", () => expectLoop(lineDetector()));
  test("wake word", () => expectLoop(wakeWord()));
  test("voice activity", () => expectLoop(voiceActivity()));
});

describe("real models agree with the float64 loop", () => {
  for (const make of [classifier, faceDetector, wakeWord, voiceActivity]) {
    const real = make();
    test(real.name, async () => {
      const model = await load(real);
      const { parameters } = await check(model, real.data, { ...objective(real), samples: 1, differences: 0 });
      expect(parameters.length).toBeGreaterThan(5);
      for (const { parameter, loopError } of parameters) expect(loopError, parameter).toBeLessThan(1e-4);
    });
  }
});
