/**
 * Models as a page compiles them: the operators that few models use, and what stages need to know of them, are loaded with
 * the first model, loss or module that has one.
 */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { file, initializer, int, ints, node, valueInfo, waves } from "../onnx/models.js";

// Other tests of the same process may have loaded what a page loads later.
vi.resetModules();
vi.doMock("../../src/gradients/convolutions.js", () => import("../../src/gradients/convolutions.browser.js"));
vi.doMock("../../src/onnx/read/rare-nodes.js", () => import("../../src/onnx/read/rare-nodes.browser.js"));
vi.doMock("../../src/onnx/read/seldom.js", () => import("../../src/onnx/read/seldom.browser.js"));
vi.doMock(
  "../../src/onnx/read/upgrades/older-opsets.js",
  () => import("../../src/onnx/read/upgrades/older-opsets.browser.js"),
);
vi.doMock("../../src/ops/rare.js", () => import("../../src/ops/rare.browser.js"));
vi.doMock(
  "../../src/target/onnxruntime/workarounds/seldom.js",
  () => import("../../src/target/onnxruntime/workarounds/seldom.browser.js"),
);
vi.doMock("../../src/wants/want.js", () => import("../../src/wants/want.browser.js"));

type Pergrad = typeof import("../../src/index.js");
let page: Pergrad;

beforeAll(async () => {
  page = await import("../../src/index.js");
});

afterAll(() => {
  vi.doUnmock("../../src/gradients/convolutions.js");
  vi.doUnmock("../../src/onnx/read/rare-nodes.js");
  vi.doUnmock("../../src/onnx/read/seldom.js");
  vi.doUnmock("../../src/onnx/read/upgrades/older-opsets.js");
  vi.doUnmock("../../src/ops/rare.js");
  vi.doUnmock("../../src/target/onnxruntime/workarounds/seldom.js");
  vi.doUnmock("../../src/wants/want.js");
  vi.resetModules();
});

const input = (shape: readonly number[]) => {
  const size = shape.reduce((product, dim) => product * dim, 1);
  return {
    dtype: "float32" as const,
    dims: shape,
    data: Float32Array.from({ length: size }, (_, k) => Math.sin(1 + k)),
  };
};

/** The largest relative error of any gradient beside the loop over samples. */
async function errorOf(...given: Parameters<Pergrad["check"]>): Promise<number> {
  const { parameters } = await page.check(...given);
  expect(parameters.length).toBeGreaterThan(0);
  return Math.max(...parameters.map(({ loopError }) => loopError));
}

it("an operator that is written by hand outside of a loss must be loaded first, which the error says", async () => {
  const x = page.input("x", ["N", 4]);
  const [scale, bias] = [page.constant([1, 2, 3, 4]), page.constant([0, 0, 0, 1])];
  const written = () => x.onnx("LpNormalization", [], { axis: 1 });
  expect(written).toThrow(
    expect.objectContaining({
      code: "UNSUPPORTED_OP",
      message:
        'The operator LpNormalization is not loaded in this page; write await loadOperators(["LpNormalization"]) before it is used.',
    }),
  );
  await page.loadOperators(["LpNormalization"]);
  expect(written().shape).toEqual(["N", 4]);
  // It came in one module with that.
  expect(x.onnx("LayerNormalization", [scale, bias]).shape).toEqual(["N", 4]);
});

it("a name of files alone is refused in the same way, however often it is asked for", async () => {
  const x = page.input("x", ["N", 4]);
  const loss = () => x.onnx("Loop").sum(1);
  const model = page.nn.model(page.nn.linear(4, 2));
  await expect(page.perSample(model, { loss, want: { norms: page.want.norms() } })).rejects.toMatchObject({
    code: "UNSUPPORTED_OP",
  });
});

it("a loss, and a module given to perSample, load what they are made of", async () => {
  const module = page.nn.module((x) => x.onnx("Einsum", [], { equation: "nij->nji" }).reshape(["N", 6]));
  const program = await page.perSample(page.nn.sequential(module, page.nn.linear(6, 3)), {
    input: { x: ["N", 2, 3] },
    loss: (output) =>
      output
        .onnx("TopK", [page.constant([2], "int64")])
        .onnx("Shrink")
        .square()
        .sum(1),
    want: { norms: page.want.norms(), clipped: page.want.clippedSum({ maxNorm: 1 }) },
  });
  const { norms, clipped } = await program.run({ x: input([5, 2, 3]), target: input([5, 3]) });
  expect(Array.from(norms.total.data)).toEqual(Array.from(clipped.norms.data));
  expect(norms.total.data.some((norm) => norm > 0)).toBe(true);
  await program.release();
});

it("Erf at a derivative loads what is left of it beside 1", async () => {
  const model = page.nn.model(page.nn.linear(3, 2));
  const loss = (output: import("../../src/index.js").Traced) => output.erf().add(1).mul(output).sum(1);
  expect(await errorOf(model, { x: input([4, 3]), target: input([4, 2]) }, { loss })).toBeLessThan(1e-4);
});

it("a convolution of an old opset comes with its gradients, its pool and its upgrades", async () => {
  const bytes = file({
    opset: 9,
    inputs: [valueInfo("x", ["N", 2, 6, 6])],
    initializers: [initializer("k", waves([3, 2, 3, 3])), initializer("w", waves([27, 4]))],
    nodes: [
      node("Conv", ["x", "k"], ["c"], [ints("dilations", [1, 1]), int("group", 1)]),
      node("AveragePool", ["c"], ["p"], [ints("kernel_shape", [2, 2])]),
      node("Flatten", ["p"], ["f"]),
      node("MatMul", ["f", "w"], ["h"]),
      node("LogSoftmax", ["h"], ["y"]),
    ],
  });
  const model = await page.loadModel(bytes);
  const data = { x: input([3, 2, 6, 6]), target: [0, 3, 1] };
  expect(await errorOf(model, data, { loss: page.losses.nll() })).toBeLessThan(1e-4);
});

it("streams and whole data sets are read by what is loaded for them", async () => {
  const model = page.nn.model(page.nn.linear(3, 2), { seed: 2 });
  const program = await page.perSample(model, { loss: "cross_entropy", want: { norms: page.want.norms() } });
  const data = { x: input([7, 3]), target: [0, 1, 0, 1, 0, 1, 1] };
  const { norms } = await program.run(data);
  const all = await program.runAll(data, { chunkSize: 2 });
  const parts: number[] = [];
  for await (const { results } of program.stream(data, { chunkSize: 3 })) parts.push(...results.norms.total.data);
  for (const found of [Array.from(all.norms.total.data), parts])
    found.forEach((norm, n) => {
      expect(norm).toBeCloseTo(norms.total.data[n] ?? Number.NaN, 5);
    });
  expect(parts).toHaveLength(7);
  await program.release();
});
