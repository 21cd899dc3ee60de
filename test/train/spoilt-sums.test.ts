/** Sums that are not finite though every norm is: the batch is halved until the samples that spoil it are alone. */
import { describe, expect, it } from "vitest";
import { losses, nn, sgd } from "../../src/index.js";
import { BatchClipper } from "../../src/train/clipped-batch.js";
import { margin } from "../../src/train/part-clipper.js";
import { setup } from "../../src/train/setup.js";

describe("a sum that is not finite though all norms are", () => {
  it.each([[[2]], [[0, 10]], [[3, 4, 9]], [Array.from({ length: 11 }, (_, n) => n)]])(
    "leaves out the samples %j, which spoil it, and no others",
    async (spoiling) => {
      const [samples, size, maxNorm] = [11, 3, 1e10];
      // By automatic clipping the factor of a gradient of zeros is maxNorm / gamma, which float32 does not hold.
      const x = Float32Array.from({ length: samples * size }, (_, i) =>
        spoiling.includes(Math.floor(i / size)) ? 0 : Math.sin(i + 1),
      );
      const model = nn.trace({ x: ["N", size] }, { weight: nn.ones([size]) }, (inputs, { weight }) => ({
        loss: inputs.x.mul(weight).sum([1]),
      }));
      const steps = {
        loss: losses.output(),
        output: "loss",
        optimizer: sgd({ learningRate: 1 }),
        batchSize: samples,
        maxNorm,
        automatic: { gamma: 1e-30 },
      };
      const own = await setup(model, { x: { dtype: "float32", dims: [samples, size], data: x } }, steps, true);
      const clipper = await BatchClipper.compile(own, steps);
      const batch = Uint32Array.from({ length: samples }, (_, n) => n);
      const found = await clipper.run(batch, 0, { parameters: own.parameters, groups: { all: maxNorm } });
      await clipper.release();
      expect([...found.dropped].sort((a, b) => a - b)).toEqual(spoiling);
      expect(found.clipped + found.within).toBe(samples - spoiling.length);
      const expected = new Float64Array(size);
      for (const n of batch.filter((each) => !spoiling.includes(each))) {
        const row = x.subarray(n * size, (n + 1) * size);
        const factor = (maxNorm * (1 - margin)) / Math.hypot(...row);
        row.forEach((value, i) => {
          expected[i] = (expected[i] as number) + factor * value;
        });
      }
      const sum = found.sums.get("weight") as Float64Array;
      expect(sum.length).toBe(size);
      sum.forEach((value, i) => {
        expect(Math.abs(value - (expected[i] as number))).toBeLessThan(1e-6 * samples * maxNorm);
      });
    },
  );
});
