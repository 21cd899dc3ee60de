import { describe, expect, expectTypeOf, it } from "vitest";
import { losses, nn, perSample, type Tensor, toFloat32, want } from "../../src/index.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import { numbers } from "../support/per-sample.js";

const network = nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2));
const data = { x: Float32Array.from(numbers([6, 3], 1).data), target: BigInt64Array.of(0n, 1n, 0n, 1n, 1n, 0n) };
const wants = { half: want.gradients({ storage: "float16" }), full: want.gradients() };

/** The nearest number of 11 significant bits, in steps of 2^-24 at least; ties go to the even one. */
function rounded(x: number): number {
  const step = 2 ** Math.max(Math.floor(Math.log2(Math.abs(x))) - 10, -24);
  const [below, rest] = [Math.floor(x / step), x / step - Math.floor(x / step)];
  return step * (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below);
}

describe("gradients stored as float16", () => {
  it("are the float32 gradients rounded to 11 bits, of half the size", async () => {
    const program = await perSample(network, { loss: losses.crossEntropy(), want: wants });
    const { half, full } = await program.run(data);
    expectTypeOf(half).toEqualTypeOf<Readonly<Record<string, Tensor<"float16">>>>();
    expect(Object.keys(half)).toEqual(Object.keys(full));
    for (const [name, tensor] of Object.entries(half)) {
      expect([tensor.dtype, tensor.dims, tensor.data.BYTES_PER_ELEMENT]).toEqual(["float16", full[name]?.dims, 2]);
      const exact = full[name]?.data ?? new Float32Array();
      expect(toFloat32(tensor).data).toEqual(exact.map((x) => (x === 0 ? x : rounded(x))));
    }
  });

  it("come in microbatches, in chunks, of no samples, and from a file, the same", async () => {
    const program = await perSample(network, { loss: losses.crossEntropy(), want: wants });
    const { half } = await program.run(data);
    expect((await program.run(data, { microbatchSize: 4 })).half).toEqual(half);
    expect((await program.runAll(data, { chunkSize: 4 })).half).toEqual(half);
    const none = await program.run({ x: new Float32Array(), target: [] });
    expect(none.half["0.weight"]).toEqual({ dtype: "float16", dims: [0, 4, 3], data: new Uint16Array() });
    const session = await nodeRuntime.load(program.encode());
    const x: Tensor = { dtype: "float32", dims: [6, 3], data: data.x };
    const found = await session.run({ x, target: { dtype: "int64", dims: [6], data: data.target } });
    expect(found["half/2.bias"]).toEqual(half["2.bias"]);
  });

  it("overflow to infinity", async () => {
    const large = nn.trace({ x: ["N", 1] }, { w: nn.ones([1]) }, ({ x }, { w }) => x.mul(w).sum([1]));
    const program = await perSample(large, { loss: losses.output(), want: wants });
    const { half } = await program.run({ x: [1e6, -1e6, 65504, 2 ** -24, 0] });
    expect([...toFloat32(half.w as Tensor<"float16">).data]).toEqual([Infinity, -Infinity, 65504, 2 ** -24, 0]);
  });

  it("of a parameter without a gradient are zeros", async () => {
    const model = nn.trace({ x: ["N", 2] }, { w: nn.ones([2]), k: nn.ones([2]) }, ({ x }, { w, k }) =>
      x.mul(w).mul(k.greater(0).cast("float32")).sum([1]),
    );
    const program = await perSample(model, { loss: losses.output(), want: wants });
    const { half } = await program.run({ x: [1, 2, 3, 4] });
    expect([...toFloat32(half.k as Tensor<"float16">).data]).toEqual([0, 0, 0, 0]);
    expect([...toFloat32(half.w as Tensor<"float16">).data]).toEqual([1, 2, 3, 4]);
  });
});
