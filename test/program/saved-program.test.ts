/** A saved program runs from its file as the one that was compiled does, and is as careful with its data. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { leavesOf } from "../../src/graph/walk.js";
import {
  constant,
  input,
  loadModel,
  losses,
  type Model,
  nn,
  openProgram,
  parameter,
  perSample,
  type Tensor,
  type Traced,
  type Wants,
  want,
} from "../../src/index.js";
import { readTensors } from "../../src/io/files.js";
import { temporaryFolder } from "../support/folder.js";
import { expectClose } from "../support/per-sample.js";
import { tensorsIn } from "../support/tensors-in.js";

function expectSame(found: unknown, wanted: unknown): void {
  const [own, other] = [tensorsIn(found), tensorsIn(wanted)];
  expect(own.map(([at]) => at)).toEqual(other.map(([at]) => at));
  for (const [k, [at, { data, dims, dtype }]] of own.entries()) {
    const [, theirs] = other[k] as [string, Tensor<"float32">];
    expect([at, dtype, dims]).toEqual([at, theirs.dtype, theirs.dims]);
    // The variance of one sample, or of none, is NaN.
    const isNumber = (x: number, k: number) => !(Number.isNaN(x) && Number.isNaN(theirs.data[k]));
    expectClose(
      data.filter(isNumber),
      theirs.data.filter((x, k) => isNumber(x, k) || !Number.isNaN(data[k])),
      1e-5,
      at,
    );
  }
}

const numbers = (dims: readonly number[], step: number): Tensor => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, k) => Math.sin(step * (k + 1))),
});
const tokens = (dims: readonly number[], below: number): Tensor => ({
  dtype: "int64",
  dims,
  data: BigInt64Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, k) => BigInt((7 * k + 3) % below)),
});

/** A model of x and w, which is 1, 2, ... */
function traced(output: Traced): Model {
  const leaves = leavesOf([output.value]);
  const of = (name: string) => leaves.filter((leaf) => leaf.name === name);
  const data = Float32Array.from({ length: 4 }, (_, k) => k + 1);
  return {
    graph: { inputs: of("x"), parameters: of("w"), outputs: [{ name: "output", value: output.value }] },
    parameters: { w: { dtype: "float32", dims: [4], data } },
    sampleAxes: { x: 0 },
    leftOut: {},
    notes: [],
  };
}

const words = nn.embedding(11, 6);
const models: readonly (readonly [string, () => Model, (samples: number) => Record<string, Tensor>])[] = [
  [
    "a perceptron",
    () => nn.model(nn.sequential(nn.linear(5, 7), nn.gelu(), nn.layerNorm(7), nn.linear(7, 4)), { seed: 1 }),
    (n) => ({ x: numbers([n, 5], 1.3), target: tokens([n], 4) }),
  ],
  [
    "a language model with a tied table",
    () =>
      nn.model(nn.sequential(words, nn.linear(6, 6), nn.silu(), nn.tied(words)), {
        input: { x: { shape: ["N", 3], dtype: "int64" } },
        seed: 1,
      }),
    (n) => ({ x: tokens([n, 3], 11), target: tokens([n, 3], 11) }),
  ],
];

const loss = losses.crossEntropy();
const wants: Wants = {
  losses: want.losses(),
  outputs: want.outputs(),
  norms: want.norms(),
  gradients: want.gradients(),
  halves: want.gradients({ storage: "float16" }),
  clipped: want.clippedSum({ maxNorm: 0.5, adjustable: true }),
  mean: want.mean(),
  moments: want.moments(),
  noise: want.noiseScale(),
  projection: want.project({ dims: 16, seed: 3 }),
  cosine: want.cosine(),
  dot: want.dot(),
};

describe.each(models)("a saved program of %s", (_, model, data) => {
  it("gives what the compiled one gives: at once, in parts, streamed, of none, from bytes and from a file", async () => {
    const program = await perSample(model(), { loss, want: wants });
    const vectors = { dot: Object.fromEntries(Object.entries(program.model.parameters)) };
    const path = join(temporaryFolder(), "program.onnx");
    await program.save(path);
    const { cosine, ...splittable } = wants;
    for (const source of [path, program.encode()]) {
      const saved = await openProgram(source, { loss, want: wants });
      expect(saved.parameters).toEqual(program.parameters);
      expect(saved.memory(9)).toBe(program.memory(9));
      for (const samples of [0, 1, 6]) {
        const options = { vectors, maxNorms: { clipped: 0.3 } };
        expectSame(await saved.run(data(samples), options), await program.run(data(samples), options));
      }
      await saved.release();
    }
    const parts = await perSample(model(), { loss, want: splittable });
    const [saved, whole] = [await openProgram(parts.encode(), { loss, want: splittable, microbatchSize: 2 }), data(7)];
    expectSame(await saved.run(whole, { vectors }), await parts.run(whole, { vectors }));
    expectSame(await saved.runAll(whole, { vectors }), await parts.run(whole, { vectors }));
    expect(cosine?.name).toBe("cosine");
    await Promise.all([program.release(), saved.release(), parts.release()]);
  });

  it("checks its data with the same sentences", async () => {
    const program = await perSample(model(), { loss, want: { norms: want.norms() } });
    const saved = await openProgram(program.encode(), { loss, want: { norms: want.norms() } });
    const good = data(2);
    const label = {
      ...good,
      target: { ...good.target, data: BigInt64Array.from(good.target?.data as BigInt64Array, () => -1n) },
    };
    const nan = { ...good, x: numbers(good.x?.dims ?? [], Number.NaN) };
    for (const bad of [label, nan, { x: good.x }, { ...good, x: numbers([2, 9], 1) }, { ...good, y: good.x }]) {
      const messageOf = (run: Promise<unknown>) =>
        run.then(
          () => "no error",
          (error: Error) => error.message,
        );
      const message = await messageOf(program.run(bad as Record<string, Tensor>));
      expect(message).not.toBe("no error");
      expect(await messageOf(saved.run(bad as Record<string, Tensor>))).toBe(message);
    }
    await Promise.all([program.release(), saved.release()]);
  });
});

describe("a saved program holds no work-arounds unless asked for", () => {
  const nodesOf = (bytes: Uint8Array) =>
    (fromBinary(ModelProtoSchema, bytes).graph?.node ?? []).map(({ opType }) => opType);
  const normed = () => {
    const x = input("x", ["N", 4, 6]);
    const w = parameter("w", [4]);
    return traced(x.onnx("GroupNormalization", [w, constant([0, 0, 0, 0])], { num_groups: 2 }));
  };

  it("so it is the same file for any runtime where ONNX Runtime needs none", async () => {
    const model = nn.model(nn.linear(3, 2), { seed: 1 });
    const program = await perSample(model, { loss, want: { norms: want.norms() } });
    expect(program.encode({ for: "any" })).toEqual(program.encode());
    expect(program.encode({ for: "onnxruntime" })).toEqual(program.encode());
    expect(() => program.encode({ for: "tensorflow" })).toThrow('give "any" or "onnxruntime"');
    await program.release();
  });

  it("and where it does, they are put in as the file is opened: from bytes, from a path, with weights beside it", async () => {
    const own = { norms: want.norms(), sum: want.sum() };
    const program = await perSample(normed(), { loss: losses.mse(), want: own });
    const [any, adapted] = [program.encode(), program.encode({ for: "onnxruntime" })];
    expect(nodesOf(any)).toContain("GroupNormalization");
    expect(nodesOf(adapted)).not.toContain("GroupNormalization");
    const [path, beside] = [join(temporaryFolder(), "program.onnx"), join(temporaryFolder(), "apart.onnx")];
    await program.save(path);
    await program.save(beside, { externalData: true });
    for (const n of [0, 1, 3]) {
      const data = { x: numbers([n, 4, 6], 1.1), target: numbers([n, 4, 6], 0.3) };
      const expected = await program.run(data);
      for (const source of [any, adapted, path, beside]) {
        const saved = await openProgram(source, { loss: losses.mse(), want: own });
        expectSame(await saved.run(data), expected);
        await saved.release();
      }
    }
    await program.release();
  });

  it("those for data that may not be finite too", async () => {
    const options = { loss: losses.mse(), want: { losses: want.losses(), outputs: want.outputs() } };
    const model = nn.model(nn.sequential(nn.maxPool1d(2), nn.flatten(), nn.linear(2, 1)), {
      input: { x: { shape: ["N", 1, 4], dtype: "float32" } },
      seed: 1,
    });
    const program = await perSample(model, { ...options, allowNotFinite: true });
    const x = { ...numbers([2, 1, 4], 1), data: Float32Array.of(1, 2, -Infinity, -Infinity, 1, 2, 3, 4) };
    const data = { x, target: numbers([2, 1], 1) };
    const saved = await openProgram(program.encode(), options);
    const found = await saved.run(data, { allowNotFinite: true });
    const expected = await program.run(data, { allowNotFinite: true });
    const numbersOf = ({ outputs }: typeof found) =>
      Object.values(outputs).flatMap(({ data }) => Array.from(data, Number));
    expect(numbersOf(expected).some((value) => Number.isFinite(value))).toBe(true);
    expect(numbersOf(expected).every((value) => Number.isFinite(value))).toBe(false);
    expect(numbersOf(found)).toEqual(numbersOf(expected));
    await Promise.all([program.release(), saved.release()]);
  });

  const needing = ["activations_a", "grid_sample_bicubic_reflection", "max_pool_minus_infinity", "stft_log_mel"];
  it.each(needing)("the golden %s gives what the compiled program gives", async (name) => {
    const folder = join(import.meta.dirname, "../goldens", name);
    const spec = JSON.parse(await readFile(join(folder, "case.json"), "utf8"));
    const axes = Object.entries<{ sample_axis: number }>(spec.inputs).map(([key, own]) => [key, own.sample_axis]);
    const model = await loadModel(join(folder, "model.onnx"), { sampleAxes: Object.fromEntries(axes) });
    const options = {
      loss: spec.loss,
      want: { gradients: want.gradients(), clipped: want.clippedSum({ maxNorm: 0.5 }) },
    };
    const program = await perSample(model, options);
    expect(program.encode()).not.toEqual(program.encode({ for: "onnxruntime" }));
    const saved = await openProgram(program.encode(), options);
    const data = Object.fromEntries(await readTensors(join(folder, "data.safetensors")));
    expectSame(await saved.run(data), await program.run(data));
    await Promise.all([program.release(), saved.release()]);
  });
});

it("convolutions in front of an operator that chooses are added up as in the compiled program, to the last bit", async () => {
  const parts = [nn.conv2d(16, 32, 3, { padding: 1 }), nn.maxPool2d(2), nn.flatten(), nn.linear(32 * 16, 3)];
  const model = nn.model(nn.sequential(...parts), {
    input: { x: { shape: ["N", 16, 8, 8], dtype: "float32" } },
    seed: 1,
  });
  const own = { norms: want.norms(), gradients: want.gradients() };
  const program = await perSample(model, { loss, want: own, threads: 1 });
  const saved = await openProgram(program.encode(), { loss, want: own, threads: 1 });
  const data = { x: numbers([9, 16, 8, 8], 1.7), target: tokens([9], 3) };
  const [found, wanted] = [tensorsIn(await saved.run(data)), tensorsIn(await program.run(data))];
  for (const [k, [at, tensor]] of found.entries()) expect([at, tensor.data]).toEqual([at, wanted[k]?.[1].data]);
  await Promise.all([program.release(), saved.release()]);
});

it("weights may be inputs, of which runs are given the values", async () => {
  const model = nn.model(nn.linear(3, 2), { seed: 1 });
  const own = { norms: want.norms(), sum: want.sum() };
  const program = await perSample(model, { loss, want: own });
  const saved = await openProgram(program.encode({ weights: "inputs" }), { loss, want: own });
  const data = { x: numbers([4, 3], 1), target: tokens([4], 2) };
  await expect(saved.run(data)).rejects.toThrow('The parameter "weight" has no value; give its tensor.');
  for (const factor of [1, 2]) {
    const parameters = Object.fromEntries(
      Object.entries(model.parameters).map(([name, each]) => [
        name,
        { ...each, data: each.data.map((w) => factor * w) },
      ]),
    );
    expectSame(await saved.run(data, { parameters }), await program.run(data, { parameters }));
  }
  const { weight } = model.parameters;
  if (weight)
    await expect(saved.run(data, { parameters: { weights: weight } })).rejects.toThrow('no parameter "weights"');
  expect(() => program.encode({ weights: "outside" as "inside" })).toThrow('"inside" it or "inputs"');
  await Promise.all([program.release(), saved.release()]);
});

it("a target that nothing reads may be given, and is checked, or left out", async () => {
  const own = { outputs: want.outputs() };
  const program = await perSample(nn.model(nn.linear(3, 2), { seed: 1 }), { loss, want: own });
  const saved = await openProgram(program.encode(), { loss, want: own });
  const [x, target] = [numbers([4, 3], 1.3), tokens([4], 2)];
  const expected = await program.run({ x, target });
  expectSame(await saved.run({ x, target }), expected);
  expectSame(await saved.run({ x }), expected);
  expectSame(await saved.runAll({ x, target }, { chunkSize: 3 }), expected);
  const wrong = { x, target: tokens([4], 11) };
  for (const each of [program, saved])
    await expect(each.run(wrong)).rejects.toMatchObject({ code: "LABEL_OUT_OF_RANGE" });
  await expect(saved.run({ x, target: tokens([3], 2) })).rejects.toMatchObject({ code: "BATCH_MISMATCH" });
  await Promise.all([program.release(), saved.release()]);
});

describe("a saved program is as careful as one that was compiled", () => {
  const messageOf = (run: Promise<unknown>) =>
    run.then(
      () => "no error",
      (error: Error) => error.message,
    );

  it("with indices of a table, of which the runtime takes a negative one from the end", async () => {
    const model = nn.model(nn.sequential(nn.embedding(7, 4), nn.flatten(), nn.linear(8, 3)), {
      input: { x: { shape: ["N", 2], dtype: "int64" } },
      seed: 1,
    });
    const own = { norms: want.norms() };
    const program = await perSample(model, { loss, want: own });
    const saved = await openProgram(program.encode(), { loss, want: own });
    for (const wrong of [-1n, 7n]) {
      const x = { dtype: "int64", dims: [3, 2], data: BigInt64Array.of(0n, 6n, 1n, 2n, wrong, 0n) } as const;
      const message = await messageOf(program.run({ x, target: tokens([3], 3) }));
      expect(message).toContain(`The input "x" holds the index ${wrong} in sample 2, outside 0..6 of the table`);
      expect(await messageOf(saved.run({ x, target: tokens([3], 3) }))).toBe(message);
    }
    await Promise.all([program.release(), saved.release()]);
  });

  it("with lengths of sequences, where there is no longest one too", async () => {
    const shape = { x: { shape: ["N", 4, 3], dtype: "float32" }, lengths: { shape: ["N"], dtype: "int32" } } as const;
    const model = nn.trace(shape, { lstm: nn.lstm(3, 2) }, ({ x, lengths }, { lstm }) => ({
      output: lstm(x, { lengths }).mean([1]),
    }));
    const own = { norms: want.norms() };
    const program = await perSample(model, { loss: losses.mse(), want: own });
    const saved = await openProgram(program.encode(), { loss: losses.mse(), want: own });
    const data = { x: numbers([2, 4, 3], 1), target: numbers([2, 2], 1) };
    for (const wrong of [-1, 5]) {
      const lengths = { dtype: "int32", dims: [2], data: Int32Array.of(2, wrong) } as const;
      const message = await messageOf(program.run({ ...data, lengths }));
      expect(message).toContain(`holds the length ${wrong} at element 1`);
      expect(await messageOf(saved.run({ ...data, lengths }))).toBe(message);
    }
    await Promise.all([program.release(), saved.release()]);
  });
});

describe("what cannot be opened is refused, with a sentence that says why", () => {
  const model = () => nn.model(nn.linear(3, 2), { seed: 1 });
  const open = (source: string | Uint8Array, own: Wants = { norms: want.norms() }) =>
    openProgram(source, { loss, want: own });

  it("a file of something else, or that is not there", async () => {
    await expect(open(join(temporaryFolder(), "none.onnx"))).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    const other = join(temporaryFolder(), "text.onnx");
    await writeFile(other, "hello");
    await expect(open(other)).rejects.toMatchObject({ code: "NOT_ONNX" });
  });

  it("other wants than it computes", async () => {
    const program = await perSample(model(), { loss, want: { norms: want.norms() } });
    await expect(open(program.encode(), { norms: want.gradients() })).rejects.toThrow(
      "computes { norms: norms }, but the given wants are { norms: gradients }",
    );
    await expect(open(program.encode(), { other: want.norms() })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await program.release();
  });

  it("a form that is damaged, of another version, or missing", async () => {
    const program = await perSample(model(), { loss, want: { norms: want.norms() } });
    const text = Buffer.from(program.encode()).toString("latin1");
    const changed = (from: string, to: string) => Buffer.from(text.replace(from, to), "latin1");
    await expect(open(changed('"version":2', '"version":9'))).rejects.toThrow("this pergrad reads version 2");
    await expect(open(changed('{"version":2', '<"version":2'))).rejects.toMatchObject({ code: "INVALID_MODEL" });
    await expect(open(changed('"results":[', '"resulto":['))).rejects.toThrow('"results" is no list of results');
    await expect(open(changed("pergrad.program", "pergrad.nothing"))).rejects.toThrow("compile the model again");
    await program.release();
  });

  it("a program with another batch: it is saved, and runs elsewhere alone", async () => {
    const own = { cross: want.cross({ x: numbers([2, 3], 1), target: tokens([2], 2) }) };
    const program = await perSample(model(), { loss, want: own });
    await expect(open(program.encode(), own)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await program.release();
  });
});
