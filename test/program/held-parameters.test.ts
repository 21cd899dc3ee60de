/** The runtime takes weights in when a program is compiled: results are those of weights that are fed in each run. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { losses, type Model, nn, perSample, type Tensor, want } from "../../src/index.js";
import { build } from "../../src/ops/registry.js";
import { scan } from "../../src/ops/rules/scan.js";
import { present } from "../../src/present.js";
import { HeldValues } from "../../src/program/held.js";
import { loadSession } from "../../src/target/onnxruntime/node.js";
import { packedParameters } from "../../src/target/onnxruntime/packed.js";
import type { DType } from "../../src/tensor/tensor.js";
import { expectClose } from "../support/per-sample.js";

function numbers(dims: readonly number[], step: number): Tensor<"float32"> {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dtype: "float32", dims, data: Float32Array.from({ length: size }, (_, k) => Math.sin(step * (k + 1))) };
}

function floats(tensor: Tensor | undefined): Float32Array {
  return tensor?.data as Float32Array;
}

function labels(count: number): Tensor<"int64"> {
  return { dtype: "int64", dims: [count], data: BigInt64Array.from({ length: count }, (_, k) => BigInt(k % 3)) };
}

const convolutions = (pool: nn.Module) =>
  nn.model(
    nn.sequential(
      ...[nn.conv2d(3, 16, 3, { padding: 1 }), nn.relu(), pool],
      ...[nn.conv2d(16, 32, 3, { padding: 1 }), nn.relu(), nn.flatten(), nn.linear(512, 3)],
    ),
    { input: { x: ["N", 3, 8, 8] }, seed: 2 },
  );

const perceptron = () =>
  nn.model(nn.sequential(nn.linear(20, 32), nn.gelu(), nn.layerNorm(32), nn.linear(32, 3)), {
    input: { x: ["N", 20] },
    seed: 1,
  });

const models: readonly (readonly [string, Model, readonly number[]])[] = [
  ["a perceptron", perceptron(), [20]],
  ["convolutions with a maximum between", convolutions(nn.maxPool2d(2)), [3, 8, 8]],
  ["convolutions with a mean between", convolutions(nn.avgPool2d(2)), [3, 8, 8]],
  [
    "an LSTM",
    nn.model(nn.sequential(nn.lstm(5, 8).last, nn.linear(8, 3)), { input: { x: ["N", 7, 5] }, seed: 3 }),
    [7, 5],
  ],
];

const loss = losses.crossEntropy();
const wants = () => ({ norms: want.norms(), mean: want.mean() });

const other = (model: Model) =>
  Object.fromEntries(Object.entries(model.parameters).map(([name, { dims }], k) => [name, numbers(dims, k + 0.3)]));

describe.each(models)("%s", (_, model, input) => {
  const data = { x: numbers([6, ...input], 0.7), target: labels(6) };

  it("norms and means are the same, held and fed", async () => {
    const held = await perSample(model, { loss, want: wants() });
    const fed = await perSample(model, { loss, want: wants(), holdParameters: false });
    const [own, same] = [await held.run(data), await fed.run(data)];
    expectClose(own.norms.total.data, same.norms.total.data, 1e-5, "norms");
    for (const name of held.parameters) expectClose(floats(own.mean[name]), floats(same.mean[name]), 1e-5, name);
    await Promise.all([held.release(), fed.release()]);
  });

  it("other values for a run are those of that run alone, in whole or in part", async () => {
    const given = other(model);
    const held = await perSample(model, { loss, want: wants() });
    const before = await held.run(data);
    for (const parameters of [given, Object.fromEntries(Object.entries(given).slice(1))]) {
      const compiled = await perSample(
        { ...model, parameters: { ...model.parameters, ...parameters } },
        { loss, want: wants(), holdParameters: false },
      );
      const [found, wanted] = [await held.run(data, { parameters }), await compiled.run(data)];
      expectClose(found.norms.total.data, wanted.norms.total.data, 1e-6, "norms");
      await compiled.release();
    }
    expect((await held.run(data)).norms.total.data).toEqual(before.norms.total.data);
    await held.release();
  });
});

const [[, model]] = models as [(typeof models)[number]];
const data = { x: numbers([6, 20], 0.7), target: labels(6) };

const copyOf = (model: Model): Model => ({
  ...model,
  parameters: Object.fromEntries(
    Object.entries(model.parameters).map(([name, each]) => [name, { ...each, data: each.data.slice() }]),
  ),
});

it("a run after a step of an optimizer takes what it has written into the model's arrays, be it into one of them", async () => {
  const own = copyOf(perceptron());
  const held = await perSample(own, { loss, want: wants() });
  const before = await held.run(data);
  for (const name of held.parameters) {
    const array = floats(own.parameters[name]);
    const kept = array.slice();
    for (const [k, value] of kept.entries()) array[k] = value + 0.1 * Math.sin(k + 1);
    const fresh = await perSample(copyOf(own), { loss, want: wants(), holdParameters: false });
    const [found, wanted] = [await held.run(data), await fresh.run(data)];
    expectClose(found.norms.total.data, wanted.norms.total.data, 1e-6, name);
    expect(found.norms.total.data, name).not.toEqual(before.norms.total.data);
    await fresh.release();
    array.set(kept);
    expect((await held.run(data)).norms.total.data).toEqual(before.norms.total.data);
  }
  await held.release();
});

it("one element in which the model's arrays were changed counts where they are given, or not held", async () => {
  const large = nn.model(nn.linear(300, 40), { input: { x: ["N", 300] }, seed: 4 });
  const data = { x: numbers([6, 300], 0.7), target: labels(6) };
  const programs = [
    await perSample(large, { loss, want: wants() }),
    await perSample(large, { loss, want: wants(), holdParameters: false }),
  ];
  const [name = ""] = Object.keys(large.parameters);
  const array = floats(large.parameters[name]);
  const before = await Promise.all(programs.map((program) => program.run(data, { parameters: large.parameters })));
  array[7001] = (array[7001] as number) + 5;
  const after = await Promise.all(programs.map((program) => program.run(data, { parameters: large.parameters })));
  for (const [k, { norms }] of after.entries()) expect(norms.total.data).not.toEqual(before[k]?.norms.total.data);
  expectClose(floats(after[0]?.norms.total), floats(after[1]?.norms.total), 1e-6, "norms");
});

it("a sample of an array has its first and last elements, and all of a small one", () => {
  for (const size of [1, 2, 1023, 1024, 1025, 2047, 2048, 5000, 1_000_003]) {
    const array = new Float32Array(size);
    const held = HeldValues.of({ a: { dtype: "float32", dims: [size], data: array } });
    const isNoticed = (k: number) => {
      array[k] = Number.NaN;
      const noticed = !held.match({ a: { dtype: "float32", dims: [size], data: array } });
      array[k] = 0;
      return noticed;
    };
    expect(isNoticed(0) && isNoticed(size - 1)).toBe(true);
    if (size <= 1024) for (let k = 0; k < size; k++) expect(isNoticed(k)).toBe(true);
    expect(held.match({ a: { dtype: "float32", dims: [size], data: array } })).toBe(true);
  }
});

it("a step that leaves some columns of a matrix as they were is noticed", () => {
  for (const [rows, columns] of [
    [1024, 784],
    [2048, 300],
    [512, 1024],
    [4096, 32],
    [300, 4096],
  ] as const) {
    const array = new Float32Array(rows * columns);
    const held = HeldValues.of({ a: { dtype: "float32", dims: [rows, columns], data: array } });
    for (let k = 0; k < array.length; k++) if (![0, columns - 1].includes(k % columns)) array[k] = 1;
    expect(held.match({ a: { dtype: "float32", dims: [rows, columns], data: array } }), `${rows}, ${columns}`).toBe(
      false,
    );
  }
});

it("values that a run is fed are those at its call, be they overwritten at once", async () => {
  for (const microbatchSize of [undefined, 2]) {
    const own = copyOf(perceptron());
    const held = await perSample(own, { loss, want: wants(), ...(microbatchSize ? { microbatchSize } : {}) });
    for (const { data } of Object.values(own.parameters)) for (const k of data.keys()) data[k] = 0.01 * (k % 7);
    const fresh = await perSample(copyOf(own), { loss, want: wants(), holdParameters: false });
    const wanted = await fresh.run(data);
    const running = held.run(data);
    for (const { data } of Object.values(own.parameters)) data.fill(0);
    expectClose((await running).norms.total.data, wanted.norms.total.data, 1e-6, "norms");
    await Promise.all([held.release(), fresh.release()]);
  }
});

it("a released program runs no more, also with values that it does not hold", async () => {
  for (const runsBefore of [false, true]) {
    const held = await perSample(model, { loss, want: wants() });
    const parameters = other(model);
    if (runsBefore) await held.run(data, { parameters });
    const late = runsBefore ? undefined : held.run(data, { parameters }).catch((error: unknown) => error);
    await held.release();
    await expect(held.run(data)).rejects.toThrow("was released");
    await expect(held.run(data, { parameters })).rejects.toThrow("was released");
    if (late) expect(String(await late)).toContain("was released");
    await held.release();
  }
});

it("what is written into the arrays while a program is being compiled counts for its runs", async () => {
  const own = copyOf(perceptron());
  const compiling = perSample(own, { loss, want: wants() });
  for (const { data } of Object.values(own.parameters)) for (const k of data.keys()) data[k] = 0.01 * (k % 7);
  const held = await compiling;
  const fresh = await perSample(copyOf(own), { loss, want: wants(), holdParameters: false });
  const [found, wanted] = [await held.run(data), await fresh.run(data)];
  expectClose(found.norms.total.data, wanted.norms.total.data, 1e-6, "norms");
  await Promise.all([held.release(), fresh.release()]);
});

it("weights of products and biases are held, tables are not", () => {
  const input = (name: string, shape: Value["shape"], dtype: DType = "float32") =>
    leaf(name, { dtype, shape }, { kind: "input" });
  const [table, tied, bias] = [input("table", [1000, 32]), input("tied", [1000, 32]), input("bias", [32])];
  const x = input("x", [N, 7], "int64");
  const rows = (from: Value) => build.op("Gather", [from, x], { axis: 0 });
  const product = build.op("MatMul", [rows(table), build.transpose(tied, [1, 0])]);
  const outputs = [product, build.op("Add", [rows(tied), bias])];
  const parameters = { table: numbers([1000, 32], 1), tied: numbers([1000, 32], 2), bias: numbers([32], 3) };
  expect(Object.keys(packedParameters(outputs, parameters)).sort()).toEqual(["bias", "tied"]);
});

it("weights that only the steps of a loop multiply by are held, and tables that they read rows of are not", () => {
  const floats = (name: string, shape: Value["shape"], kind: "input" | "parameter") =>
    leaf(name, { dtype: "float32", shape }, { kind });
  const [start, steps] = [floats("start", [N, 200], "input"), floats("steps", [5, N, 200], "input")];
  const [weight, table] = [floats("weight", [200, 200], "parameter"), floats("table", [200, 200], "parameter")];
  const place = leaf("place", { dtype: "int64", shape: [] }, { kind: "input" });
  const loop = scan(build, { initial: [start], scanned: [steps] }, ([state], [step]) => {
    const moved = build.matmul(present(state), build.transpose(weight, [1, 0]));
    return { states: [build.add(build.add(moved, present(step)), build.gather(table, place, 0))], results: [] };
  });
  const parameters = { weight: numbers([200, 200], 1), table: numbers([200, 200], 2) };
  expect(Object.keys(packedParameters(loop.states, parameters))).toEqual(["weight"]);
});

it("worker threads hold them too, also those in shared memory", async () => {
  const shared = ({ dims, data }: Tensor): Tensor<"float32"> => {
    const own = new Float32Array(new SharedArrayBuffer(data.byteLength));
    own.set(data as Float32Array);
    return { dtype: "float32", dims, data: own };
  };
  const parameters = Object.fromEntries(Object.entries(model.parameters).map(([name, each]) => [name, shared(each)]));
  const here = await perSample(model, { loss, want: wants() });
  const expected = await here.run(data);
  for (const workers of [false, true]) {
    const there = await perSample({ ...model, parameters }, { loss, want: wants(), workers });
    expectClose((await there.run(data)).norms.total.data, expected.norms.total.data, 1e-6, "held");
    expectClose(
      (await there.run(data, { parameters: other(model) })).norms.total.data,
      (await here.run(data, { parameters: other(model) })).norms.total.data,
      1e-6,
      "given",
    );
    await there.release();
  }
  await here.release();
});

it("convolutions are computed in blocks where that is allowed, and only there", async () => {
  const folder = await mkdtemp(join(tmpdir(), "pergrad-blocks-"));
  try {
    const program = await perSample(convolutions(nn.maxPool2d(2)), { loss, want: { norms: want.norms() } });
    const optimised = async (blockedConvolutions: boolean) => {
      const file = join(folder, `${blockedConvolutions}.onnx`);
      const session = await loadSession(program.encode(), { blockedConvolutions }, { optimizedModelFilePath: file });
      await session.release();
      return (await readFile(file)).toString("latin1");
    };
    expect(await optimised(true)).toContain("ReorderInput");
    expect(await optimised(false)).not.toContain("ReorderInput");
    await program.release();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
