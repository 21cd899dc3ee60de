/** A saved program runs from its file as the one that was compiled does, and is as careful with its data. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { leavesOf } from "../../src/graph/walk.js";
import {
  constant,
  input,
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
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
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

describe("a program saved for any runtime", () => {
  const nodesOf = (bytes: Uint8Array) =>
    (fromBinary(ModelProtoSchema, bytes).graph?.node ?? []).map(({ opType }) => opType);

  it("is the same file where ONNX Runtime needs no work-around", async () => {
    const model = nn.model(nn.linear(3, 2), { seed: 1 });
    const program = await perSample(model, { loss, want: { norms: want.norms() } });
    expect(program.encode({ for: "any" })).toEqual(program.encode());
    expect(program.encode({ for: "onnxruntime" })).toEqual(program.encode());
    expect(() => program.encode({ for: "tensorflow" })).toThrow('give "any" or "onnxruntime"');
    await program.release();
  });

  it("holds no work-around where it needs one, gives the same numbers, and is not opened for that runtime", async () => {
    const x = input("x", ["N", 4, 6]);
    const w = parameter("w", [4]);
    const y = x.onnx("GroupNormalization", [w, constant([0, 0, 0, 0])], { num_groups: 2 });
    const program = await perSample(traced(y), { loss: losses.mse(), want: { norms: want.norms() } });
    const [any, own] = [program.encode({ for: "any" }), program.encode()];
    expect(nodesOf(any)).toContain("GroupNormalization");
    expect(nodesOf(own)).not.toContain("GroupNormalization");
    const data = { x: numbers([3, 4, 6], 1.1), target: numbers([3, 4, 6], 0.3) };
    const session = await nodeRuntime.load(any);
    const found = await session.run(data);
    const { norms } = await program.run(data);
    expectClose((found["norms/total"] as Tensor<"float32">).data, norms.total.data, 1e-5, "norms");
    await expect(openProgram(any, { loss: losses.mse(), want: { norms: want.norms() } })).rejects.toThrow(
      'save it with { for: "onnxruntime" }',
    );
    await Promise.all([session.release(), program.release()]);
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
      "computes { norms: norms }, but the wants given are { norms: gradients }",
    );
    await expect(open(program.encode(), { other: want.norms() })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await program.release();
  });

  it("a form that is damaged, of another version, or missing", async () => {
    const program = await perSample(model(), { loss, want: { norms: want.norms() } });
    const text = Buffer.from(program.encode()).toString("latin1");
    const changed = (from: string, to: string) => Buffer.from(text.replace(from, to), "latin1");
    await expect(open(changed('"version":1', '"version":9'))).rejects.toThrow("this pergrad reads version 1");
    await expect(open(changed('{"version":1', '<"version":1'))).rejects.toMatchObject({ code: "INVALID_MODEL" });
    await expect(open(changed('"results":[', '"resulto":['))).rejects.toThrow('"results" is no list');
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
