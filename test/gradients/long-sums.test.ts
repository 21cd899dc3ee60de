/** Norms of gradients with many elements are accurate, though the runtime adds up in float32. */
import { expect, it } from "vitest";
import { losses, nn, perSample, type Tensor, want } from "../../src/index.js";

it("the norm of two million elements is that in float64, to a few units of 1e-6", async () => {
  const [inputs, outputs, positions] = [1000, 2000, 2];
  const model = nn.model(nn.linear(inputs, outputs), { input: { x: ["N", positions, inputs] }, seed: 0 });
  const program = await perSample(model, {
    loss: losses.mse(),
    want: { norms: want.norms(), gradients: want.gradients() },
    strategy: { norm: "materialise" },
  });
  const floats = (dims: readonly number[]): Tensor => {
    const data = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => 1 + 0.1 * Math.sin(i));
    return { dtype: "float32", dims, data };
  };
  const data = { x: floats([1, positions, inputs]), target: floats([1, positions, outputs]) };
  const { norms, gradients } = await program.run(data);
  await program.release();
  const elements = gradients.weight?.data ?? new Float32Array();
  const exact = Math.sqrt(elements.reduce((sum, x) => sum + x * x, 0));
  expect(exact).toBeGreaterThan(0);
  expect(Math.abs((norms.parameters.weight?.data[0] ?? 0) / exact - 1)).toBeLessThan(5e-6);
});
