import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PergradError } from "../../src/errors.js";
import { N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { InMemory } from "../../src/onnx/write/external-data.js";
import { build } from "../../src/ops/registry.js";
import { storedAsFloat16 } from "../../src/optimise/float16-results.js";
import { native } from "../../src/target/onnxruntime/native.js";
import { wasm } from "../../src/target/onnxruntime/wasm.js";
import type { Session } from "../../src/target/runtime.js";
import type { DType, Tensor } from "../../src/tensor/tensor.js";

const inputOf = (name: string, dtype: DType): Value => leaf(name, { dtype, shape: [N] }, { kind: "input" });

async function codeOf(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (error) {
    return error instanceof PergradError ? `${error.code}: ${error.message}` : `not of the catalogue: ${error}`;
  }
  return "no error";
}

describe.each([
  ["onnxruntime-node", native],
  ["onnxruntime-web", wasm],
])("the runtime of %s", (name, runtime) => {
  const x = inputOf("x", "float32");
  let session: Session;
  beforeAll(async () => {
    const positive = build.greater(x, build.scalar(0, x));
    const outputs = [
      { name: "y", value: build.neg(x) },
      { name: "positive", value: positive },
      { name: "whole", value: build.cast(x, "int64") },
    ];
    session = await runtime.load(encodeModel({ inputs: [x], outputs }), { threads: 2 });
  });
  afterAll(() => session.release());

  it("says which it is", () => {
    expect(runtime.version).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+$`));
  });

  it("takes and gives plain tensors of several dtypes", async () => {
    const found = await session.run({ x: { dtype: "float32", dims: [2], data: Float32Array.of(1.5, -2) } });
    expect(found).toEqual({
      y: { dtype: "float32", dims: [2], data: Float32Array.of(-1.5, 2) },
      positive: { dtype: "bool", dims: [2], data: Uint8Array.of(1, 0) },
      whole: { dtype: "int64", dims: [2], data: BigInt64Array.of(1n, -2n) },
    });
  });

  it("reads what a run is given at the call, though runs overlap, and arrays are written into or of other lengths", async () => {
    const given = Float32Array.of(1, 2);
    const run = (data: Float32Array) => session.run({ x: { dtype: "float32", dims: [data.length], data } });
    await run(Float32Array.of(7, 7));
    const first = run(given);
    given.set([3, 4]);
    const second = run(given);
    given.set([5, 6]);
    const others = [run(Float32Array.of(8)), run(given)];
    given.fill(0);
    const found = await Promise.all([first, second, ...others]);
    expect(found.map(({ y }) => Array.from(y?.data ?? [], Number))).toEqual([[-1, -2], [-3, -4], [-8], [-5, -6]]);
    // A result stays as it was when the next run begins.
    await run(Float32Array.of(9, 9));
    expect(Array.from(found[3]?.y?.data ?? [], Number)).toEqual([-5, -6]);
  });

  it("reads an array that starts within its buffer, and an empty one", async () => {
    const data = new Float32Array(Float32Array.of(9, 1, 2, 9).buffer, 4, 2);
    expect((await session.run({ x: { dtype: "float32", dims: [2], data } })).y?.data).toEqual(Float32Array.of(-1, -2));
    const empty = await session.run({ x: { dtype: "float32", dims: [0], data: new Float32Array() } });
    expect(empty.y).toEqual({ dtype: "float32", dims: [0], data: new Float32Array() });
  });

  it("holds parameters that it is given when a program is loaded", async () => {
    const p = leaf("p", { dtype: "float32", shape: [2, 3] }, { kind: "parameter" });
    const rows = leaf("rows", { dtype: "float32", shape: [N, 2] }, { kind: "input" });
    const data = Float32Array.of(1, 2, 3, 4, 5, 6);
    const storage = new InMemory();
    const outputs = [{ name: "y", value: build.matmul(rows, p) }];
    const parameters = { p: { dtype: "float32", dims: [2, 3], data } } as const;
    const model = encodeModel({ inputs: [rows], outputs, parameters }, storage);
    for (const blockedConvolutions of [true, false]) {
      const held = await runtime.load(model, { files: storage.files, blockedConvolutions });
      const kept = data.slice();
      data.fill(0);
      const found = await held.run({ rows: { dtype: "float32", dims: [1, 2], data: Float32Array.of(1, 10) } });
      expect(found.y?.data).toEqual(Float32Array.of(41, 52, 63));
      data.set(kept);
      await held.release();
    }
  });

  it("reads an array that threads share", async () => {
    const data = new Float32Array(new SharedArrayBuffer(8));
    data.set([3, -4]);
    expect((await session.run({ x: { dtype: "float32", dims: [2], data } })).y?.data).toEqual(Float32Array.of(-3, 4));
  });

  it("gives results that a later run leaves alone", async () => {
    const feed = (value: number): Tensor => ({ dtype: "float32", dims: [1], data: Float32Array.of(value) });
    const first = await session.run({ x: feed(1) });
    await session.run({ x: feed(2) });
    expect(first.y?.data).toEqual(Float32Array.of(-1));
  });

  it("passes every dtype through", async () => {
    const tensors: Tensor[] = [
      { dtype: "float32", dims: [1], data: Float32Array.of(1) },
      { dtype: "float64", dims: [1], data: Float64Array.of(1) },
      { dtype: "int64", dims: [1], data: BigInt64Array.of(-1n) },
      { dtype: "int32", dims: [1], data: Int32Array.of(-1) },
      { dtype: "int16", dims: [1], data: Int16Array.of(-1) },
      { dtype: "int8", dims: [1], data: Int8Array.of(-1) },
      { dtype: "uint64", dims: [1], data: BigUint64Array.of(1n) },
      { dtype: "uint32", dims: [1], data: Uint32Array.of(1) },
      { dtype: "uint16", dims: [1], data: Uint16Array.of(1) },
      { dtype: "uint8", dims: [1], data: Uint8Array.of(1) },
      { dtype: "bool", dims: [1], data: Uint8Array.of(1) },
    ];
    const inputs = tensors.map(({ dtype }) => inputOf(`in ${dtype}`, dtype));
    const outputs = inputs.map((value) => ({ name: value.dtype, value }));
    const copy = await runtime.load(encodeModel({ inputs, outputs }));
    const found = await copy.run(Object.fromEntries(tensors.map((tensor) => [`in ${tensor.dtype}`, tensor])));
    expect(found).toEqual(Object.fromEntries(tensors.map((tensor) => [tensor.dtype, tensor])));
    await copy.release();
  });

  it("reports what fails as one error of the catalogue", async () => {
    expect(await codeOf(() => runtime.load(Uint8Array.of(1, 2, 3)))).toMatch(
      /^RUNTIME: ONNX Runtime refused a program: .*\.$/s,
    );
    expect(await codeOf(() => session.run({}))).toMatch(/^RUNTIME: ONNX Runtime failed to run a program: .*'x'/);
    const wrong = { dtype: "int64", dims: [1], data: BigInt64Array.of(1n) } as const;
    expect(await codeOf(() => session.run({ x: wrong }))).toMatch(/^RUNTIME: /);
    const short = { dtype: "float32", dims: [3], data: new Float32Array(2) } as const;
    expect(await codeOf(() => session.run({ x: short }))).toBe(
      'SHAPE_MISMATCH: The tensor "x" has 2 elements, which do not fill [3]; correct its dims.',
    );
    expect(await codeOf(() => runtime.load(Uint8Array.of(), { threads: 0 }))).toContain("INVALID_ARGUMENT");
  });

  it("refuses to run once released, and can be released twice", async () => {
    const other = await runtime.load(encodeModel({ inputs: [x], outputs: [{ name: "y", value: build.neg(x) }] }));
    await other.release();
    await other.release();
    expect(await codeOf(() => other.run({ x: { dtype: "float32", dims: [0], data: new Float32Array() } }))).toContain(
      "was released",
    );
  });

  it("takes its feeds at the call, and runs one after another, releases too", async () => {
    const other = await runtime.load(encodeModel({ inputs: [x], outputs: [{ name: "y", value: build.neg(x) }] }));
    const data = Float32Array.of(1, 2);
    const runs = [session, other, session, other].map((each, k) => {
      data.set([k + 1, k + 2]);
      const promise = each.run({ x: { dtype: "float32", dims: [2], data } });
      data.fill(99);
      return promise;
    });
    const released = other.release();
    const found = await Promise.all(runs);
    expect(found.map(({ y }) => Array.from(y?.data as Float32Array))).toEqual([1, 2, 3, 4].map((k) => [-k, -k - 1]));
    await released;
  });

  it("goes on after a run that failed", async () => {
    const wrong = { dtype: "int64", dims: [1], data: BigInt64Array.of(1n) } as const;
    const failed = codeOf(() => session.run({ x: wrong }));
    const next = session.run({ x: { dtype: "float32", dims: [1], data: Float32Array.of(4) } });
    expect(await failed).toMatch(/^RUNTIME: /);
    expect((await next).y?.data).toEqual(Float32Array.of(-4));
  });

  it("gives half precision as bits", async () => {
    const half = storedAsFloat16(x);
    const other = await runtime.load(encodeModel({ inputs: [x], outputs: [{ name: "half", value: half }] }));
    const found = await other.run({ x: { dtype: "float32", dims: [2], data: Float32Array.of(1, -2) } });
    expect(found).toEqual({ half: { dtype: "float16", dims: [2], data: Uint16Array.of(0x3c00, 0xc000) } });
    await other.release();
  });
});
