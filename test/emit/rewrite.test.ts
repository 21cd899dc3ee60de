/** Rewriting an emitted graph changes no number. */
import { expect, it } from "vitest";
import { compile, einsum, expand, input, parameter, type Tensor } from "../../src/index.js";

const floats = (dims: readonly number[], ...data: number[]): Tensor => ({
  dtype: "float32",
  dims,
  data: Float32Array.from(data),
});
const x = input("x", ["N", 2]);
const a = parameter("a", [1, 2]);
const feeds = { x: floats([3, 2], 1, 2, 3, 4, 5, 6), a: floats([1, 2], 10, -7) };

it.each([
  // A letter in which all operands repeat: the sum over it counts, and the result keeps it.
  ["a summed letter", () => einsum("ti,ti->i", a.expand([3, 2]), a.expand([3, 2])), [300, 147]],
  ["three operands", () => einsum("ti,ti,ti->", a.expand([3, 2]), a.expand([3, 2]), a.expand([3, 2])), [1971]],
  ["the samples", () => einsum("nti,nti->n", expand(a, "N"), expand(a, "N")), [149, 149, 149]],
  ["one operand of two", () => einsum("ni,nti->nt", x, expand(a, "N")), [-4, 2, 8]],
])("an einsum of expanded operands: %s", async (_, make, expected) => {
  // All read the input, of which the number of samples is known.
  const program = await compile({ y: make().add(x.sum().mul(0)) });
  const { y } = await program.run(feeds);
  await program.release();
  expect(y?.data).toEqual(Float32Array.from(expected));
});
