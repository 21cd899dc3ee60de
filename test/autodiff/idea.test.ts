import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { grad } from "../../src/autodiff/grad.js";
import type { Array64 } from "../../src/float64/array64.js";
import { isBatch, showShape } from "../../src/graph/dim.js";
import type { Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { simplify } from "../../src/optimise/simplify.js";
import { compile } from "../../src/program/expressions.js";
import { einsum } from "../../src/trace/einsum.js";
import { expand, input, parameter } from "../../src/trace/index.js";

function program(inner: number, outer: number) {
  const x = input("x", ["N", inner]);
  const w = parameter("w", [inner, outer]);
  const ww = expand(w, "N");
  const y = einsum("ni,nij->nj", x, ww);
  return { x, w, ww, y, g: grad(y.square().sum(), ww) };
}

const array = (dims: number[], f: (i: number) => number): Array64 => {
  const size = dims.reduce((a, b) => a * b, 1);
  return { dims, data: Float64Array.from({ length: size }, (_, i) => f(i)) };
};

describe("the idea: expand, einsum, grad", () => {
  it("gives gradients of shape [N, in, out]", () => {
    expect(showShape(program(3, 4).g.value.shape)).toBe("[N, 3, 4]");
  });

  it("gives 2 x_n y_n for the squared output, for any batch size", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        (n, i, o) => {
          const { x, w, g } = program(i, o);
          const data = array([n, i], (k) => Math.sin(k + 1));
          const weight = array([i, o], (k) => Math.cos(2 * k));
          const feeds = new Map<Value, Array64>([
            [x.value, data],
            [w.value, weight],
          ]);
          const [result] = evaluateGraph(simplify([g.value]), feeds, n);
          expect(result?.dims).toEqual([n, i, o]);
          for (let s = 0; s < n; s++) {
            for (let b = 0; b < o; b++) {
              let y = 0;
              for (let a = 0; a < i; a++) y += (data.data[s * i + a] ?? 0) * (weight.data[a * o + b] ?? 0);
              for (let a = 0; a < i; a++) {
                expect(result?.data[(s * i + a) * o + b]).toBeCloseTo(2 * y * (data.data[s * i + a] ?? 0), 12);
              }
            }
          }
        },
      ),
    );
  });

  it("runs the forward pass as one MatMul on w, with no [N, in, out] tensor", () => {
    const { y, w } = program(3, 4);
    const nodes = nodesBefore(simplify([y.value]));
    expect(nodes.map((node) => node.op)).toEqual(["MatMul"]);
    expect(nodes[0]?.inputs[1]).toBe(w.value);
    const ranks = nodes.flatMap((node) =>
      node.outputs.map((output) => output.shape.filter((dim) => isBatch(dim) || dim > 1).length),
    );
    expect(Math.max(...ranks)).toBeLessThan(3);
  });

  it("runs on ONNX Runtime, parameters from their initial values or given", async () => {
    const x = input("x", ["N", 2]);
    const w = parameter("w", [2, 1], [3, 4]);
    const ww = expand(w, "N");
    const y = einsum("ni,nij->nj", x, ww);
    const compiled = await compile({ y, g: grad(y.square().sum(), ww) });
    const data = Float32Array.of(1, 2, -1, 1, 0, 1);
    const { g, y: output } = await compiled.run({ x: data });
    expect([...output.data]).toEqual([11, 1, 4]);
    expect(g.dims).toEqual([3, 2, 1]);
    expect([...g.data]).toEqual([22, 44, -2, 2, 0, 8]);
    const other = await compiled.run({ x: data, w: Float32Array.of(1, 0) });
    expect([...other.y.data]).toEqual([1, -1, 0]);
    await expect(compiled.run({})).rejects.toThrow(/"x" is missing/);
    await compiled.release();
  });

  it("differentiates with respect to any traced value", () => {
    const { x, w, y } = program(3, 4);
    const [gx, gw] = grad(y.square().sum(), [x, w]);
    expect(showShape(gx?.value.shape ?? [])).toBe("[N, 3]");
    expect(showShape(gw?.value.shape ?? [])).toBe("[3, 4]");
  });
});
