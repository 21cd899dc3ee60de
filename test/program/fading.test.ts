/**
 * Cotangents that come through the steps of a loop shrink from step to step. Products of two small ones are subnormal
 * numbers, which some processors multiply very slowly, so norms before a long loop are not computed from such products
 * if another method costs about the same.
 */
import { expect, it } from "vitest";
import { losses, nn, perSample, want } from "../../src/index.js";

const [words, width] = [1000, 256];

/** Words, a layer at each position, and a head on the loop's last state, on the positions' mean, or on both. */
function model(positions: number, reads: { readonly loop: boolean; readonly mean: boolean }) {
  const parts = {
    table: nn.embedding(words, width),
    layer: nn.linear(width, width),
    loop: nn.lstm(width, width).last,
    head: nn.linear(width, 2),
  };
  const module = nn.module((x, { table, layer, loop, head }) => {
    const before = layer(table(x)).tanh();
    const read = [...(reads.loop ? [loop(before)] : []), ...(reads.mean ? [before.mean([1])] : [])];
    return head(read.reduce((sum, each) => sum.add(each)));
  }, parts);
  return nn.model(module, { input: { x: { shape: ["N", positions], dtype: "int64" } }, seed: 0 });
}

async function methods(...given: Parameters<typeof model>) {
  const wanted = { norms: want.norms() };
  const program = await perSample(model(...given), { loss: losses.crossEntropy(), want: wanted });
  const { rows } = program.explain();
  await program.release();
  const of = (name: string) => rows.find(({ parameter }) => parameter === name)?.norm;
  return { table: of("table.weight"), layer: of("layer.weight") };
}

const products = { table: "Gram", layer: "Gram" };

it("norms before a loop of many steps avoid products of its cotangents", async () => {
  expect(await methods(128, { loop: true, mean: false })).toEqual({ table: "merge rows", layer: "materialise" });
});

it.each([
  ["the loop has few steps", 32, { loop: true, mean: false }],
  ["no loop is read", 128, { loop: false, mean: true }],
  ["other cotangents are added to those of the loop", 128, { loop: true, mean: true }],
] as const)("they do not where %s", async (_, positions, reads) => {
  expect(await methods(positions, reads)).toEqual(products);
});
