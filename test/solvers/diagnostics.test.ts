/** Diagnostics agree with those that PyTorch's exact per-sample gradients and GGN give, and do not depend on how data comes. */
import { describe, expect, it } from "vitest";
import { type Diagnostics, diagnostics, nn, type Tensor } from "../../src/index.js";
import { caseNames, loadCase } from "../curvature/load-case.js";
import { below } from "../curvature/support.js";

const named: Readonly<Record<string, keyof Diagnostics>> = {
  norm_test: "normTest",
  inner_product_test: "innerProductTest",
  orthogonality_test: "orthogonalityTest",
  mean_gsnr: "meanSignalToNoise",
  early_stopping: "earlyStopping",
  cabs_over_lr: "cabsOverLearningRate",
  tic_trace_ggn: "ticTrace",
  tic_diagonal_ggn: "ticDiagonal",
};

describe("diagnostics", () => {
  it.each(caseNames)("%s", async (name) => {
    const { model, train: data, expected, options } = await loadCase(name);
    const found = await diagnostics(model, data, { ...options, curvature: true });
    const numbers = below(expected, "diagnostics/");
    expect([...numbers.keys()].sort()).toEqual(Object.keys(named).sort());
    for (const [key, { data: own }] of numbers) {
      const [right, ours] = [Number(own[0]), Number(found[named[key] as keyof Diagnostics])];
      expect(Math.abs(ours / right - 1), key).toBeLessThan(1e-4);
    }
  });

  it("are the same in microbatches, and from a stream of batches", async () => {
    const { model, train: data, options } = await loadCase("mlp_gelu");
    const whole = await diagnostics(model, data, { ...options, curvature: true });
    const parts = await diagnostics(model, data, { ...options, curvature: true, microbatchSize: 3 });
    for (const [name, value] of Object.entries(whole))
      expect(parts[name as keyof Diagnostics], name).toBeCloseTo(Number(value), 4);
    const few = (tensor: Tensor, from: number, to: number) => {
      const inner = tensor.data.length / (tensor.dims[0] ?? 1);
      return {
        ...tensor,
        dims: [to - from, ...tensor.dims.slice(1)],
        data: tensor.data.slice(from * inner, to * inner),
      };
    };
    const batch = (from: number, to: number) =>
      Object.fromEntries(Object.entries(data).map(([name, tensor]) => [name, few(tensor, from, to) as Tensor]));
    const streamed = await diagnostics(model, [batch(0, 4), batch(4, 10)], { ...options, curvature: true });
    for (const [name, value] of Object.entries(whole))
      expect(streamed[name as keyof Diagnostics], name).toBeCloseTo(Number(value), 4);
  });

  it("say what a batch of one sample does not tell, and refuse data that is read once", async () => {
    const model = nn.model(nn.linear(2, 2), { seed: 1 });
    const one = await diagnostics(model, { x: [1, 2], target: [1] }, { loss: "cross_entropy" });
    expect(one).toMatchObject({ samples: 1, normTest: Number.NaN, innerProductTest: Number.NaN, ticTrace: null });
    async function* once() {
      yield { x: [1, 2], target: [1] };
    }
    await expect(diagnostics(model, once(), { loss: "cross_entropy" })).rejects.toThrow(/read only once/);
    await expect(diagnostics(model, { x: [1, 2], target: [1] }, { los: "mse" } as never)).rejects.toThrow(/"loss"/);
  });
});
