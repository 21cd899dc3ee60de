import { expect } from "vitest";
import { loadOptions, type RealModel } from "../../bench/real/models.js";
import { loadModel, type Model, perSample, type Tensor, want } from "../../src/index.js";
import { takeSamples } from "../../src/tensor/take-samples.js";

export function load(real: RealModel): Promise<Model> {
  return loadModel(real.file, loadOptions(real));
}

export function objective({ loss, output }: RealModel) {
  return { loss, ...(output === undefined ? {} : { output }) };
}

/** The gradients of each sample by the plain mean gradient of it alone, by parameter. */
export async function loop(real: RealModel, model: Model): Promise<Map<string, Float32Array>[]> {
  const program = await perSample(model, { ...objective(real), want: { mean: want.mean() } });
  const samples: Map<string, Float32Array>[] = [];
  for (let n = 0; n < real.samples; n++) {
    const { mean } = await program.run(sampleOf(real, n));
    samples.push(new Map(Object.entries(mean).map(([name, { data }]) => [name, data])));
  }
  await program.release();
  return samples;
}

export function sampleOf({ data, sampleAxes = {} }: RealModel, n: number): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(data).map(([name, tensor]) => [name, takeSamples(tensor, sampleAxes[name] ?? 0, n, n + 1)]),
  );
}

export function norm(vector: Float32Array): number {
  return Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
}

/** At most a thousandth of `scale` apart. */
export function expectNear(actual: ArrayLike<number>, wanted: ArrayLike<number>, scale: number, what: string): void {
  expect(actual.length, what).toBe(wanted.length);
  const worst = Array.from(wanted).reduce((most, x, i) => {
    const difference = Math.abs((actual[i] ?? Number.NaN) - x);
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(most, difference);
  }, 0);
  expect(worst, what).toBeLessThanOrEqual(1e-3 * scale);
}
