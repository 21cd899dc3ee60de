/** Diagnostics of training steps: on parabolas they are known in closed form. */
import { expect, it } from "vitest";
import { diagnostics, nn, type StepDiagnostics, sgd, train, trainPrivately } from "../../src/index.js";

const x = [0.5, -1, 2, 1.5];
const target = [1, -1.5, 5, 2.5];
const line = () => nn.model(nn.linear(1, 1, { bias: false }), { seed: 3 });
/** d2/dw2 of the mean of (w x - y)^2. */
const curvatureOfLine = (2 * x.reduce((sum, each) => sum + each * each, 0)) / x.length;

async function diagnosed(
  learningRate: number,
  more: { every?: number; curvature?: boolean; microbatchSize?: number } = {},
) {
  const found: StepDiagnostics[] = [];
  const { microbatchSize, ...own } = more;
  const trained = await train(
    line(),
    { x, target },
    {
      loss: "mse",
      optimizer: sgd({ learningRate }),
      batchSize: 4,
      steps: 3,
      threads: 1,
      ...(microbatchSize ? { microbatchSize } : {}),
      diagnose: { ...own, onDiagnostics: (each) => void found.push(each) },
    },
  );
  return { found, trained };
}

it.each([0.1 / curvatureOfLine, 1 / curvatureOfLine, 1.5 / curvatureOfLine])(
  "on a parabola, alpha and the curvature along the step are exact, with a learning rate of %f",
  async (learningRate) => {
    const { found } = await diagnosed(learningRate);
    const [first] = found;
    expect(first?.step).toBe(1);
    expect(first?.curvatureAlongStep).toBeCloseTo(curvatureOfLine, 3);
    expect(first?.alpha).toBeCloseTo(learningRate * curvatureOfLine - 1, 3);
    expect(first?.stepNorm).toBeCloseTo(learningRate * (first?.gradientNorm ?? 0), 4);
    expect(found[1]?.loss).toBeCloseTo(first?.lossAfter ?? Number.NaN, 5);
  },
);

it("they are those of the batch before the step, whole or in microbatches, and change nothing", async () => {
  const { found, trained } = await diagnosed(0.01, { curvature: true });
  const parts = await diagnosed(0.01, { curvature: true, microbatchSize: 3 });
  const own = await diagnostics(line(), { x, target }, { loss: "mse", curvature: true });
  for (const [name, value] of Object.entries(own)) {
    expect(found[0]?.[name as keyof StepDiagnostics], name).toBeCloseTo(value, 4);
    expect(parts.found[0]?.[name as keyof StepDiagnostics], name).toBeCloseTo(value, 4);
  }
  const plain = await train(
    line(),
    { x, target },
    {
      loss: "mse",
      optimizer: sgd({ learningRate: 0.01 }),
      batchSize: 4,
      steps: 3,
      threads: 1,
    },
  );
  expect(trained.state.parameters).toEqual(plain.state.parameters);
});

it("every so many steps, counted from the first", async () => {
  const { found } = await diagnosed(0.01, { every: 2 });
  expect(found.map(({ step }) => step)).toEqual([1, 3]);
});

it("what cannot be diagnosed is said", async () => {
  const options = { loss: "mse", optimizer: sgd({ learningRate: 0.1 }), batchSize: 2, steps: 1 } as const;
  const onDiagnostics = () => {};
  const given = (diagnose: unknown) => train(line(), { x, target }, { ...options, diagnose } as never);
  await expect(given({ every: 2 })).rejects.toThrow(/needs onDiagnostics, which must be a function/);
  await expect(given({ onDiagnostics, every: 0 })).rejects.toThrow(/diagnose\.every must be a number of steps/);
  await expect(given({ onDiagnostics, evry: 1 })).rejects.toThrow(/did you mean "every"/);
  // What a step tells of its gradients is not private.
  const privately = { ...options, noiseMultiplier: 1, maxNorm: 1, delta: 0.1, diagnose: { onDiagnostics } };
  await expect(trainPrivately(line(), { x, target }, privately as never)).rejects.toThrow(/no option "diagnose"/);
});
