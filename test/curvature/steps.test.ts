/** Operators whose derivative is a step are named once, where a want differentiates twice. */
import { expect, it } from "vitest";
import { nn, perSample, tensor, want } from "../../src/index.js";

const model = nn.model(
  nn.sequential(nn.linear(2, 3), nn.relu(), nn.linear(3, 3), nn.tanh(), nn.linear(3, 3), nn.relu(), nn.linear(3, 2)),
  { seed: 1 },
);
const vector = { "6.bias": tensor("float32", [2], Float32Array.of(1, 0)) };
const notesFor = async (asked: Parameters<typeof perSample>[1]["want"]) =>
  (await perSample(model, { loss: "cross_entropy", want: asked }))
    .explain()
    .notes.filter((note) => /is a step/.test(note));

it.each([
  ["hvp", { a: want.hvp({ vector }) }, 1],
  ["hessianDiagonal and trace", { a: want.hessianDiagonal(), b: want.trace() }, 1],
  ["ggnProduct", { a: want.ggnProduct({ vector }), b: want.trace({ of: "ggn" }) }, 0],
  ["norms", { a: want.norms() }, 0],
] as const)("%s", async (_, asked, count) => {
  const notes = await notesFor(asked);
  expect(notes).toHaveLength(count);
  if (count) expect(notes[0]).toMatch(/^The derivative of Relu \(2 nodes\) is a step/);
});

it("what carries no parameter is not named", async () => {
  const frozen = await perSample(model, { loss: "cross_entropy", parameters: ["6.bias"], want: { a: want.trace() } });
  expect(frozen.explain().notes.filter((note) => /is a step/.test(note))).toEqual([]);
});
