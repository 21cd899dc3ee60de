/** `pergrad curvature` writes what PyTorch's second derivatives of the goldens are, under the same names, and says what is wrong. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readTensors, writeTensors } from "../../src/io/files.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { expectNear } from "../curvature/support.js";
import { run } from "./support.js";

const goldens = join(import.meta.dirname, "../goldens");
const folder = mkdtempSync(join(tmpdir(), "pergrad-curvature-"));
afterAll(() => rmSync(folder, { recursive: true }));
const all = "hvp,ggn-product,ggn-diagonal,hessian-diagonal,hessian-trace,ntk,ggn-top";

function command(name: string, ...more: readonly string[]): readonly string[] {
  const [model, data] = ["model.onnx", "data.safetensors"].map((file) => join(goldens, name, file));
  return ["curvature", model ?? "", "--data", data ?? "", "--out", join(folder, "out.safetensors"), ...more];
}

const vectorOf = (name: string) => ["--vector", join(goldens, name, "second.safetensors")];

describe("curvature", () => {
  it.each([
    ["linear_2d", "cross_entropy"],
    ["conv2d_stride", "mse"],
    ["embedding_seq", "cross_entropy"],
    ["tied_embedding_head", "cross_entropy"],
    ["multilabel_bce", "bce_with_logits"],
  ])("writes all that the golden %s holds", async (name, loss) => {
    const { code, err } = await run(...command(name, "--loss", loss, "--want", all, ...vectorOf(name)));
    expect([code, err.replace(/^note: .*$/gm, "").trim()]).toEqual([0, ""]);
    const found = await readTensors(join(folder, "out.safetensors"));
    const second = await readTensors(join(goldens, name, "second.safetensors"));
    const expected = [...second.keys()].filter((key) => !key.startsWith("v/") && key !== "influence");
    expect([...found.keys()].sort()).toEqual(expected.sort());
    for (const key of expected) {
      const [own, other] = [found.get(key), second.get(key)];
      expect(own?.dims, key).toEqual(other?.dims);
      expectNear(own?.data as Float32Array, other?.data as Float64Array, 2e-4, key, 1e-3);
    }
  });

  it("writes results of pairs, and of all samples, alone", async () => {
    const { code } = await run(...command("linear_2d", "--loss", "cross_entropy", "--want", "ntk,ggn-top"));
    expect(code).toBe(0);
    expect([...(await readTensors(join(folder, "out.safetensors"))).keys()]).toEqual(["ntk", "ggn_top"]);
  });

  it.each([
    [["--want", "hvp"], 2, /needs a vector; give --vector FILE/],
    [["--want", "ntk", "--microbatch-size", "2"], 2, /computes all samples at once; leave out --microbatch-size/],
    [["--want", "ntk", ...vectorOf("linear_2d")], 2, /--vector is for/],
    [["--want", "hvpp"], 2, /did you mean "hvp"/],
  ])("%j is wrong usage", async (options, code, message) => {
    const found = await run(...command("linear_2d", "--loss", "cross_entropy", ...options));
    expect(found.code).toBe(code);
    expect(found.err).toMatch(message);
  });

  it.each([
    ["lacks a parameter", (v: Map<string, Tensor>) => v.delete("v/bias"), /lacks "v\/bias"/],
    ["has a misspelt name", (v: Map<string, Tensor>) => v.set("v/biass", zeros([5])), /did you mean "v\/bias"/],
    [
      "has another shape",
      (v: Map<string, Tensor>) => v.set("v/bias", zeros([4])),
      /is \[4\], but the parameter is \[5\]/,
    ],
    ["is not finite", (v: Map<string, Tensor>) => v.set("v/bias", zeros([5], Number.NaN)), /NaN or infinity/],
  ])("a vector that %s is refused", async (_, spoil, message) => {
    const vectors = new Map([...(await readTensors(join(goldens, "linear_2d/second.safetensors")))]);
    for (const name of vectors.keys()) if (!name.startsWith("v/")) vectors.delete(name);
    spoil(vectors);
    const file = join(folder, "v.safetensors");
    await writeTensors(file, vectors);
    const found = await run(...command("linear_2d", "--loss", "cross_entropy", "--want", "hvp", "--vector", file));
    expect(found.code).toBe(1);
    expect(found.err).toMatch(message);
  });
});

function zeros(dims: readonly number[], fill = 0): Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dtype: "float32", dims, data: new Float32Array(size).fill(fill) };
}
