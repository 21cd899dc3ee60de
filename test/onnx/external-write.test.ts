/** Weights written to a file beside the model: they come back bit by bit, and ONNX Runtime finds them. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { losses, parameter } from "../../src/index.js";
import * as nn from "../../src/nn/index.js";
import { loadModel } from "../../src/onnx/read/load.js";
import { ExternalData } from "../../src/onnx/write/external-data.js";
import { saveModel } from "../../src/onnx/write/save.js";
import { requireWithin } from "../../src/onnx/write/write.js";
import { perSample } from "../../src/program/per-sample.js";
import { want } from "../../src/wants/want.js";
import { temporaryFolder } from "../support/folder.js";
import { sessionOptions } from "../support/session-options.js";

const perceptron = (...widths: readonly [number, number, number]) =>
  nn.model(nn.sequential(nn.linear(widths[0], widths[1]), nn.tanh(), nn.linear(widths[1], widths[2])), {
    input: { x: ["N", widths[0]] },
    seed: 3,
  });

describe("weights in a file of their own", () => {
  it("come back as they were, whatever their sizes", async () => {
    const width = fc.integer({ min: 1, max: 40 });
    const folder = temporaryFolder();
    await fc.assert(
      fc.asyncProperty(width, width, width, async (a, b, c) => {
        const model = perceptron(a, b, c);
        const path = join(folder, "m.onnx");
        await saveModel(model, path, { externalData: true });
        expect(readdirSync(folder).sort()).toEqual(["m.onnx", "m.onnx.data"]);
        expect((await loadModel(path)).parameters).toEqual(model.parameters);
      }),
      { numRuns: 10 },
    );
  });

  it("leave the model small, and each begins at a memory page", async () => {
    const folder = temporaryFolder();
    const model = perceptron(50, 60, 3);
    await saveModel(model, join(folder, "m.onnx"), { externalData: true });
    expect(statSync(join(folder, "m.onnx")).size).toBeLessThan(2000);
    const data = readFileSync(join(folder, "m.onnx.data"));
    const [first, second] = Object.values(model.parameters);
    const start = Math.ceil((first?.data.byteLength ?? 0) / 4096) * 4096;
    expect(data.readFloatLE(start)).toBe(second?.data[0]);
  });

  it("serve a saved program, which ONNX Runtime runs from its path", async () => {
    const path = join(temporaryFolder(), "p.onnx");
    const options = { loss: losses.mse(), want: { norms: want.norms() } };
    const program = await perSample(perceptron(5, 7, 2), options);
    const [x, target] = [Float32Array.from({ length: 15 }, (_, k) => Math.sin(k)), new Float32Array(6)];
    const data = {
      x: { dtype: "float32", dims: [3, 5], data: x },
      target: { dtype: "float32", dims: [3, 2], data: target },
    } as const;
    const { norms } = await program.run(data);
    await program.save(path, { externalData: true });
    const session = await InferenceSession.create(path, sessionOptions);
    const found = await session.run({
      x: new OrtTensor("float32", x, [3, 5]),
      target: new OrtTensor("float32", target, [3, 2]),
    });
    const total = Object.entries(found).find(([name]) => /total/.test(name))?.[1]?.data as Float32Array;
    expect([...total]).toEqual([...norms.total.data]);
    await session.release();
    await program.release();
  });
});

it("places beyond 4 GB are whole numbers, and what is beyond 2 GB does not go into one file", () => {
  // Untouched memory costs nothing; a tensor says its size by its data alone.
  const data = new ExternalData("w.data");
  const tensor = { dtype: "float32", dims: [2 ** 29], data: new Float32Array(2 ** 29) } as const;
  const offsets = ["a", "b", "c"].map((name) => {
    const { externalData } = data.place(name, tensor);
    return externalData.find(({ key }) => key === "offset")?.value;
  });
  expect(offsets).toEqual(["0", `${2 ** 31}`, `${2 ** 32}`]);
  expect(data.size).toBe(3 * 2 ** 31);
  const program = { inputs: [], outputs: [{ name: "y", value: parameter("w", [1]).value }], parameters: { w: tensor } };
  expect(() => requireWithin(program)).toThrow(expect.objectContaining({ code: "TOO_LARGE" }));
});
