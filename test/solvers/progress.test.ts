/** Work on a whole data set says how far it is. */
import { expect, it } from "vitest";
import { curvature, diagnostics, kroneckerCurvature, laplace, losses, nn, perSample, want } from "../../src/index.js";

const model = nn.model(nn.sequential(nn.linear(3, 2)), { seed: 1 });
const data = { x: Float32Array.from({ length: 18 }, (_, k) => Math.sin(k)), target: [0, 1, 0, 1, 1, 0] };
const options = { loss: losses.crossEntropy(), microbatchSize: 4 };

/** What is told while the data of six samples is read, in parts of four. */
async function told(act: (onProgress: (progress: { readonly samples: number }) => void) => Promise<unknown>) {
  const found: number[] = [];
  await act(({ samples }) => found.push(samples));
  return found;
}

it("of a program whose runs are given nothing to tell", async () => {
  const found = await told(async (onProgress) => {
    const program = await perSample(model, { ...options, want: { norms: want.norms() }, onProgress });
    await program.runAll(data);
    const own: number[] = [];
    await program.runAll(data, { onProgress: ({ samples }) => own.push(samples) });
    expect(own).toEqual([4, 6]);
    await program.release();
  });
  expect(found).toEqual([4, 6]);
});

it("of curvature, for every product", async () => {
  const found = await told(async (onProgress) => {
    const matrix = await curvature(model, data, { ...options, of: "ggn", onProgress });
    await matrix.times({});
    await matrix.times({});
    await matrix.release();
  });
  expect(found).toEqual([4, 6, 4, 6]);
});

it("of Kronecker factors, a Laplace approximation and diagnostics, for every reading", async () => {
  const readings = [
    await told(async (onProgress) =>
      (await kroneckerCurvature(model, data, { ...options, kind: "type2", onProgress })).release(),
    ),
    await told(async (onProgress) =>
      (await laplace(model, data, { ...options, structure: "kronecker", priorPrecision: 1, onProgress })).release(),
    ),
    await told((onProgress) => diagnostics(model, data, { ...options, onProgress })),
  ];
  for (const found of readings) {
    expect(found.length).toBeGreaterThanOrEqual(4);
    expect(found).toEqual(Array.from({ length: found.length / 2 }, () => [4, 6]).flat());
  }
});
