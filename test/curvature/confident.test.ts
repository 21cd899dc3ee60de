/** Curvature of samples that the model is sure of: the softmax's second derivative is small there, and keeps its digits. */
import { it } from "vitest";
import { nn, perSample, tensor, want } from "../../src/index.js";
import { expectNear, inFloat64 } from "./support.js";

const waves = (dims: readonly number[], seed: number) =>
  tensor(
    "float32",
    dims,
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, k) => Math.sin(seed + 3 * k)),
  );

it.each([1, 10, 20, 40])("logits times %d", async (gain) => {
  const model = nn.model(nn.linear(3, 4), { input: { x: ["N", 3] }, seed: 2 });
  const x = Float32Array.from(
    { length: 12 },
    (_, k) => gain * ((([0.3, -0.2, 0.9] as const)[k % 3] ?? 0) + 0.05 * Math.floor(k / 3)),
  );
  const data = { x: tensor("float32", [4, 3], x), target: tensor("int64", [4], BigInt64Array.of(0n, 1n, 2n, 3n)) };
  const vector = Object.fromEntries(
    Object.entries(model.parameters).map(([name, { dims }], k) => [name, waves(dims, k)]),
  );
  const wants = {
    product: want.ggnProduct({ vector }),
    diagonal: want.ggnDiagonal(),
    hvp: want.hvp({ vector }),
    curvature: want.hessianDiagonal(),
  };
  const program = await perSample(model, { loss: "cross_entropy", want: wants });
  const found = await program.run(data);
  const expected = inFloat64(model, { loss: "cross_entropy" }, wants, data);
  for (const [name, own] of Object.entries(found)) {
    for (const [parameter, { data: numbers, dims }] of Object.entries(own)) {
      const each = numbers.length / Number(dims[0]);
      const exact = expected.get(`${name}/${parameter}`)?.data ?? [];
      for (let n = 0; n < 4; n++) {
        const ofSample = (all: ArrayLike<number>) => Array.from(all).slice(n * each, (n + 1) * each);
        expectNear(ofSample(numbers), ofSample(exact), 1e-5, `${name} of ${parameter}, sample ${n}`);
      }
    }
  }
  await program.release();
});
