/** Many sets of parameters in one program: each must give what its model gives alone. */
import { describe, expect, it } from "vitest";
import { ensemble, perSampleParameters } from "../../src/autodiff/ensemble.js";
import { losses, type Model, nn, perSample, type Tensor, want } from "../../src/index.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";

const numbers = (dims: readonly number[], seed: number): Tensor<"float32"> => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(12.9898 * (i + 1) + seed)),
});

const models: Readonly<Record<string, { readonly model: Model; readonly x: readonly number[] }>> = {
  mlp: { model: nn.model(nn.sequential(nn.linear(5, 4), nn.tanh(), nn.layerNorm(4), nn.linear(4, 3))), x: [5] },
  cnn: {
    model: nn.model(
      nn.sequential(
        nn.conv2d(2, 4, 3, { padding: 1 }),
        nn.relu(),
        nn.maxPool2d(2),
        nn.conv2d(4, 6, 3, { stride: 2, groups: 2, padding: 1 }),
        nn.groupNorm(2, 6),
        nn.flatten(),
        nn.linear(6 * 2 * 2, 3),
      ),
      { input: { x: ["N", 2, 8, 8] } },
    ),
    x: [2, 8, 8],
  },
};

async function run(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<Tensor> {
  const session = await nodeRuntime.load(encodeModel({ ...model.graph, parameters: model.parameters }), { threads: 1 });
  const results = await session.run(feeds);
  await session.release();
  return results[model.graph.outputs[0]?.name ?? ""] as Tensor;
}

const part = ({ dtype, dims, data }: Tensor<"float32">, k: number): Tensor<"float32"> => {
  const size = data.length / (dims[0] ?? 1);
  return { dtype, dims: dims.slice(1), data: data.slice(k * size, (k + 1) * size) };
};

function close(found: Tensor, expected: Tensor): void {
  expect(found.dims).toEqual(expected.dims);
  const scale = Math.max(...Array.from(expected.data as Float32Array, Math.abs));
  (expected.data as Float32Array).forEach((value, i) => {
    expect(Math.abs(Number(found.data[i]) - value)).toBeLessThan(1e-5 * scale);
  });
}

const setsOf = (model: Model, count: number) =>
  Object.fromEntries(
    Object.entries(model.parameters).map(([name, { dims }], k) => [name, numbers([count, ...dims], 10 * k)]),
  );
const setOf = (sets: Readonly<Record<string, Tensor<"float32">>>, k: number) =>
  Object.fromEntries(Object.entries(sets).map(([name, tensor]) => [name, part(tensor, k)]));

describe.each(Object.keys(models))("%s", (name) => {
  const { model, x: own } = models[name] as (typeof models)[string];
  const x = numbers([4, ...own], 1);

  it("K sets of parameters give K outputs", async () => {
    const sets = setsOf(model, 3);
    const y = await run(ensemble(model, 3, { parameters: sets }), { x });
    expect(y.dims).toEqual([3, 4, 3]);
    for (let k = 0; k < 3; k++)
      close(part(y as Tensor<"float32">, k), await run({ ...model, parameters: setOf(sets, k) }, { x }));
  });

  it("gradients with respect to K sets are those of K models", async () => {
    const sets = setsOf(model, 2);
    const target = numbers([4, 2, 3], 5);
    const both = ensemble(model, 2, { parameters: sets });
    const program = await perSample(both, { loss: losses.mse(), want: { g: want.gradients(), n: want.norms() } });
    const { g } = await program.run({ x, target });
    await program.release();
    for (let k = 0; k < 2; k++) {
      const one = await perSample(
        { ...model, parameters: setOf(sets, k) },
        { loss: losses.mse(), want: { g: want.gradients() } },
      );
      const own = { ...target, dims: [4, 3], data: target.data.filter((_, i) => Math.floor(i / 3) % 2 === k) };
      const alone = await one.run({ x, target: own });
      await one.release();
      for (const [parameter, expected] of Object.entries(alone.g)) {
        const found = g[parameter] as Tensor<"float32">;
        const size = expected.data.length / 4;
        // The loss is a mean over both models' outputs.
        const data = Float32Array.from(
          { length: 4 * size },
          (_, i) => 2 * (found.data[(Math.floor(i / size) * 2 + k) * size + (i % size)] ?? 0),
        );
        close({ dtype: "float32", dims: expected.dims, data }, expected);
      }
    }
  });

  it("each sample may have parameters of its own", async () => {
    const sets = setsOf(model, 4);
    const y = await run(perSampleParameters(model), { x, ...sets });
    expect(y.dims).toEqual([4, 3]);
    for (let n = 0; n < 4; n++) {
      const one = { ...x, dims: [1, ...own], data: part(x, n).data };
      const alone = await run({ ...model, parameters: setOf(sets, n) }, { x: one });
      close({ dtype: "float32", dims: [1, 3], data: part(y as Tensor<"float32">, n).data }, alone);
    }
  });
});
