import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { loadModel, losses, perSample, want } from "../../src/index.js";
import { RewriteLog } from "../../src/inspect/rewrite-log.js";
import { build } from "../../src/ops/registry.js";
import { rules } from "../../src/optimise/rewrite.js";
import { simplify, simplifyInFloat32 } from "../../src/optimise/simplify.js";
import { workaroundNames } from "../../src/target/onnxruntime/workarounds/index.js";
import { knownRewrites } from "../support/known-rewrites.js";

const x = leaf("x", { dtype: "float32", shape: [N, 3] }, { kind: "input" });
const w = leaf("w", { dtype: "float32", shape: [3, 4] }, { kind: "parameter" });

test("every rule has a name of its own, in the log's style", () => {
  const names = rules.map(({ name }) => name);
  expect(names.length).toBeGreaterThan(10);
  expect(new Set(knownRewrites).size).toBe(knownRewrites.length);
  for (const name of knownRewrites) expect(name).toMatch(/^[a-z]+(-[a-z0-9]+)*$/);
  expect(knownRewrites).toEqual(expect.arrayContaining(names));
});

test("a log tells which rule fired at which node and what it made", () => {
  const log = new RewriteLog();
  const doubled = build.node("Mul", [x, build.scalar(1, x)], {}, 1, { name: "scale" }).outputs[0] as Value;
  const squared = build.op("Pow", [doubled, build.scalar(2, x)]);
  const product = build.op("Einsum", [squared, w], { equation: "ni,ij->nj" });
  simplify([product], log.seen);
  expect(`${log}`).toMatchInlineSnapshot(`
    "neutral-element at Mul node "scale": Mul(x, 1) -> x: float32 [N, 3]
    power-of-two: Pow(%0, 2) -> Mul(x, x): float32 [N, 3]
    einsum-as-matmul: Einsum(%1, w, equation="ni,ij->nj") -> MatMul(Mul(x, x), w): float32 [N, 4]

    rule              times
    neutral-element       1
    power-of-two          1
    einsum-as-matmul      1
    "
  `);
  expect(log.entries.map(({ rule, node }) => [rule, node.op])).toEqual([
    ["neutral-element", "Mul"],
    ["power-of-two", "Pow"],
    ["einsum-as-matmul", "Einsum"],
  ]);
});

test("nothing is logged of a graph that is clean, and a log changes no graph", () => {
  const log = new RewriteLog();
  const clean = build.op("Relu", [build.op("MatMul", [x, w])]);
  expect(simplifyInFloat32([clean], log.seen)).toEqual([clean]);
  expect(`${log}`).toBe("No rewriting rule fired.\n");
});

test("whatever fires in real models has one of these names", async () => {
  const fired = new Set<string>();
  for (const name of ["lstm", "resnet_gn", "activations_a", "einsum_head", "embedding_seq"]) {
    const folder = join(import.meta.dirname, "../goldens", name);
    const { loss, inputs } = JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
    const axes = Object.entries<{ sample_axis: number }>(inputs).map(([key, { sample_axis }]) => [key, sample_axis]);
    const model = await loadModel(join(folder, "model.onnx"), { sampleAxes: Object.fromEntries(axes) });
    const log = new RewriteLog();
    const program = await perSample(model, {
      loss: loss === "cross_entropy" ? losses.crossEntropy() : losses.mse(),
      want: { norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }), gram: want.gram() },
      observe: { onRewrite: log.seen },
    });
    await program.release();
    for (const rule of log.counts.keys()) fired.add(rule);
  }
  const known = new Set([...knownRewrites, ...workaroundNames()]);
  expect(known.size).toBe(knownRewrites.length + workaroundNames().length);
  expect([...fired].filter((rule) => !known.has(rule))).toEqual([]);
  expect(fired.size).toBeGreaterThan(8);
});
