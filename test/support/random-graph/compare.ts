/** A drawn model's program on ONNX Runtime against the float64 loop, and the loop against finite differences. */
import { expect } from "vitest";
import { Oracle } from "../../../src/check/oracle.js";
import { objectiveOf } from "../../../src/compile/objective.js";
import { losses } from "../../../src/nn/losses.js";
import { perSample } from "../../../src/program/per-sample.js";
import { want } from "../../../src/wants/want.js";
import { expectClose } from "../per-sample.js";
import type { Drawn } from "./leaves.js";

type Loop = readonly ReadonlyMap<string, Float64Array>[];

const sum = (data: ArrayLike<number>, term: (x: number) => number): number =>
  Array.from(data).reduce((total, x) => total + term(x), 0);

const normOf = (data: ArrayLike<number>) => Math.sqrt(sum(data, (x) => x * x));

/** Of all samples and parameters. */
const largestOf = (loop: Loop): number =>
  loop
    .flatMap((each) => [...each.values()])
    .reduce((most, data) => data.reduce((own, x) => Math.max(own, Math.abs(x)), most), 0);

function totalNorms(loop: Loop): number[] {
  return loop.map((each) => Math.hypot(...[...each.values()].map(normOf)));
}

/** Richardson's extrapolation of two central differences, at some elements of every parameter. */
function checkDifferences(oracle: Oracle, loop: Loop, largest: number): void {
  if (loop.length === 0) return;
  [...(loop[0]?.keys() ?? [])].forEach((name, k) => {
    const sample = k % loop.length;
    const gradient = loop[sample]?.get(name) ?? new Float64Array();
    const step = 2e-4;
    for (const index of new Set([0, gradient.length >> 1, gradient.length - 1])) {
      if (index < 0 || gradient.length === 0) continue;
      const [near, far] = [step, 2 * step].map((width) => oracle.difference(name, sample, index, width)) as [
        number,
        number,
      ];
      const error = Math.abs((4 * near - far) / 3 - (gradient[index] as number));
      expect(error, `finite difference of ${name}[${index}], sample ${sample}`).toBeLessThanOrEqual(
        1e-6 * largest + 1e-7,
      );
    }
  });
}

const options = { loss: losses.output() };

/** All that is compared, of one graph. */
export async function compare({ model, data }: Drawn): Promise<void> {
  const oracle = new Oracle(objectiveOf(model, options), data);
  const { samples } = oracle;
  const loop = Array.from({ length: samples }, (_, n) => oracle.sample(n).gradients);
  const largest = largestOf(loop);
  checkDifferences(oracle, loop, largest);
  const norms = totalNorms(loop);
  const maxNorm = [...norms].sort((a, b) => a - b)[samples >> 1] || 1;
  const clipped = want.clippedSum({ maxNorm });
  const all = await perSample(model, {
    ...options,
    want: { gradients: want.gradients(), norms: want.norms(), clipped, mean: want.mean() },
  });
  const few = await perSample(model, { ...options, want: { norms: want.norms(), clipped } });
  const [full, cheap] = [await all.run(data), await few.run(data)];
  await Promise.all([all.release(), few.release()]);
  // What nearly cancels carries the rounding of its terms, which are as large as the other gradients.
  const floor = Math.max(0.1 * largest, 1e-2);
  const close = (actual: ArrayLike<number> | undefined, wanted: ArrayLike<number>, what: string, least = floor) =>
    expectClose(actual ?? [], wanted, 1e-4, what, least);
  for (const name of all.parameters) {
    const wanted = loop.map((each) => each.get(name) as Float64Array);
    const weighted = (weight: (n: number) => number) =>
      Array.from({ length: oracle.sizeOf(name) }, (_, i) =>
        wanted.reduce((total, each, n) => total + weight(n) * (each[i] as number), 0),
      );
    close(
      full.gradients[name]?.data,
      wanted.flatMap((each) => [...each]),
      `gradients of ${name}`,
    );
    close(
      full.mean[name]?.data,
      weighted(() => (samples === 0 ? 0 : 1 / samples)),
      `mean of ${name}`,
    );
    const clip = weighted((n) => Math.min(1, maxNorm / (norms[n] as number)));
    for (const results of [full, cheap]) {
      close(results.norms.parameters[name]?.data, wanted.map(normOf), `norms of ${name}`);
      close(results.clipped.sum[name]?.data, clip, `clipped sum of ${name}`, floor * samples);
    }
  }
  for (const results of [full, cheap]) close(results.norms.total.data, norms, "norms");
}
