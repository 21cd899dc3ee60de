/** The outputs of a model for a data set: as a program's own, in microbatches, from files, of bytes. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  loadModel,
  nn,
  perSample,
  predict,
  readTensors,
  sgd,
  train,
  trainPrivately,
  want,
  writeTensors,
} from "../../src/index.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import { tensor } from "../../src/tensor/tensor.js";
import { file, initializer, int, node, valueInfo } from "../onnx/models.js";
import { temporaryFolder } from "../support/folder.js";
import { expectClose } from "../support/per-sample.js";

const network = nn.model(nn.sequential(nn.linear(4, 5), nn.tanh(), nn.linear(5, 3)), { seed: 1 });
const bytes = Uint8Array.from({ length: 7 * 4 }, (_, i) => (i * 37) % 256);
const [scale, offset] = [1 / 255, -0.5];
const x = Float32Array.from(bytes, (byte) => byte * scale + offset);
const target = [0, 1, 2, 0, 1, 2, 0];
const scaled = { dtype: "uint8", dims: [7, 4], data: bytes, scale, offset } as const;

describe("predict", () => {
  test("gives the outputs that a program gives, in microbatches too", async () => {
    const program = await perSample(network, { loss: "cross_entropy", want: { outputs: want.outputs() } });
    const { outputs } = await program.run({ x, target });
    await program.release();
    for (const microbatchSize of [1, 3, 256]) {
      const found = await predict(network, { x, target }, { microbatchSize });
      expect(Object.keys(found)).toEqual(Object.keys(outputs));
      for (const [name, { dims, data }] of Object.entries(found)) {
        expect(dims).toEqual([7, 3]);
        expectClose(data as Float32Array, outputs[name]?.data as Float32Array, 1e-6, name);
      }
    }
  });

  test("takes inputs that an operator is given and does not need", async () => {
    const inputs = ["x", "", "", "", "", "ends", "longest"];
    const attention = {
      ...node("GroupQueryAttention", inputs, ["y"], [int("num_heads", 1), int("kv_num_heads", 1)]),
      domain: "com.microsoft",
    };
    const model = modelOf(
      file({
        inputs: [valueInfo("x", ["N", 2, 6]), valueInfo("ends", ["N"], 6)],
        initializers: [initializer("longest", { dtype: "int32", dims: [], data: Int32Array.of(2) })],
        nodes: [attention],
      }),
      "m.onnx",
      {},
    );
    const { y } = await predict(model, { x: new Float32Array(36).fill(0.5), ends: Int32Array.of(1, 1, 1) });
    expect(y).toEqual({ dtype: "float32", dims: [3, 2, 2], data: new Float32Array(12).fill(0.5) });
  });

  test("puts outputs together along an axis that is not the first", async () => {
    const model = await loadModel(join(import.meta.dirname, "../goldens/lstm/model.onnx"));
    const data = await readTensors(join(import.meta.dirname, "../goldens/lstm/data.safetensors"));
    const given = Object.fromEntries(
      Object.entries(data).filter(([name]) => model.graph.inputs.some((i) => i.name === name)),
    );
    const [whole, parts] = [await predict(model, given), await predict(model, given, { microbatchSize: 2 })];
    for (const [name, { dims, data: own }] of Object.entries(whole)) {
      expect(parts[name]?.dims).toEqual(dims);
      expectClose(parts[name]?.data as Float32Array, own as Float32Array, 1e-5, name);
    }
  });

  test("refuses unknown outputs and options", async () => {
    await expect(predict(network, { x }, { outputs: ["ouput"] })).rejects.toMatchObject({ code: "MISSING_TENSOR" });
    await expect(predict(network, { x }, { microbatchSize: 0 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(predict(network, { x: Float32Array.of(1, 2, 3) })).rejects.toMatchObject({ code: "SHAPE_MISMATCH" });
  });
});

describe("bytes with a scale and an offset", () => {
  const values = async (data: Parameters<typeof predict>[1]) =>
    Object.values(await predict(network, data, { microbatchSize: 3 }))[0];

  test("are the numbers that they stand for", async () => {
    const wanted = (await values({ x }))?.data as Float32Array;
    expectClose((await values({ x: scaled }))?.data as Float32Array, wanted, 1e-6, "in memory");
    const path = join(temporaryFolder(), "bytes.safetensors");
    await writeTensors(path, { x: scaled, target: tensor("int64", [7], BigInt64Array.from(target, BigInt)) });
    expectClose((await values(path))?.data as Float32Array, wanted, 1e-6, "in a file");
    expect((await readTensors(path)).x).toMatchObject({ dtype: "uint8", scale: [expect.closeTo(scale, 6)] });
  });

  test("may have a scale for each channel", async () => {
    const [scales, offsets] = [
      [1, 2, 3, 4],
      [0, 1, 0, -1],
    ];
    const own = Float32Array.from(bytes, (byte, i) => byte * (scales[i % 4] ?? 0) + (offsets[i % 4] ?? 0));
    const found = await values({ x: { dtype: "uint8", dims: [7, 4], data: bytes, scale: scales, offset: offsets } });
    expectClose(found?.data as Float32Array, (await values({ x: own }))?.data as Float32Array, 1e-6, "channels");
    for (const [given, message] of [
      [{ scale: [1, 2] }, /has a scale of 2 numbers; give a finite number, or one for each of the 4 channels/],
      [{ scale: Number.NaN }, /has a scale that is NaN; give/],
      [{ scale: 1, offset: [0, 1, Number.POSITIVE_INFINITY, 3] }, /has an offset that is Infinity in channel 2; give/],
    ] as const) {
      const wrong = { dtype: "uint8", dims: [7, 4], data: bytes, ...given } as const;
      await expect(predict(network, { x: wrong })).rejects.toThrow(message);
    }
  });

  test("train a model, in memory and from a file, as floating-point numbers do", async () => {
    const options = {
      loss: "cross_entropy",
      optimizer: sgd({ learningRate: 0.5 }),
      batchSize: 3,
      epochs: 2,
      seed: 1,
    } as const;
    const wanted = (await train(network, { x, target }, options)).model.parameters;
    const path = join(temporaryFolder(), "data.npz");
    await writeTensors(path, {
      x: scaled,
      target: tensor("int64", [7], BigInt64Array.from(target, BigInt)),
      other: scaled,
    });
    for (const data of [{ x: scaled, target }, path]) {
      const found = (await train(network, data, options)).model.parameters;
      for (const name of Object.keys(wanted))
        expectClose(found[name]?.data ?? [], wanted[name]?.data as Float32Array, 1e-5, name);
    }
    const privately = await trainPrivately(network, path, { ...options, maxNorm: 1, noiseMultiplier: 1, delta: 1e-3 });
    expect(privately.state.steps).toBeGreaterThan(0);
  });

  test("without a scale are refused, saying how to give one", async () => {
    await expect(predict(network, { x: { dtype: "uint8", dims: [7, 4], data: bytes } })).rejects.toThrow(
      /scale: 1 \/ 255/,
    );
  });

  test("programs stream them", async () => {
    const program = await perSample(network, { loss: "cross_entropy", want: { norms: want.norms() } });
    const wanted = await program.run({ x, target });
    const found = await program.runAll({ x: scaled, target }, { chunkSize: 2 });
    await program.release();
    expectClose(found.norms.total.data, wanted.norms.total.data, 1e-6, "norms");
  });
});

test("an .npy file holds one tensor, called after the file", async () => {
  const path = join(temporaryFolder(), "images.npy");
  await writeTensors(path, { any: tensor("float32", [2, 2], Float32Array.of(1, 2, 3, 4)) });
  expect(await readTensors(path)).toEqual({ images: tensor("float32", [2, 2], Float32Array.of(1, 2, 3, 4)) });
  const two = { a: tensor("float32", [1], Float32Array.of(1)), b: tensor("float32", [1], Float32Array.of(1)) };
  await expect(writeTensors(path, two)).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
});
