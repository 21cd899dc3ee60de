/** Inputs of a file: sizes that it leaves open, values that are fixed, and slices that take all samples. */
import { describe, expect, it } from "vitest";
import { showShape } from "../../src/graph/dim.js";
import type { FixedValue } from "../../src/onnx/read/batch/fixed-inputs.js";
import {
  decode,
  encoded,
  type FileInit,
  file,
  floats,
  initializer,
  int,
  int64s,
  node,
  refusal,
  run,
  valueInfo,
} from "./models.js";

describe("dimensions whose size the exporter did not know", () => {
  it.each(["?", "None", "-1", ""])("%j is no name: each has a size of its own", (unknown) => {
    const init = {
      inputs: [valueInfo("x", [unknown, 3, unknown, unknown])],
      nodes: [node("Neg", ["x"], ["y"])],
    };
    const model = decode(file(init), { dimensions: { "x.2": 6, "x.3": 10 } });
    expect(showShape(model.graph.inputs[0]?.shape ?? [])).toBe("[N, 3, 6, 10]");
    expect(refusal(() => decode(file(init)))).toContain('Axis 2 of the input "x" is not fixed in the model');
  });
});

describe("sizes of dimensions that the user gives", () => {
  const init: FileInit = {
    inputs: [valueInfo("x", ["N", "time", 3])],
    nodes: [node("Neg", ["x"], ["y"])],
  };
  const read = (dimensions: Record<string, number>) => decode(file(init), { dimensions });
  it("are taken by name and by axis, and repeat what the file says", () => {
    for (const dimensions of [{ time: 5 }, { "x.1": 5 }, { time: 5, "x.2": 3 }, { time: 5, N: 8 }] as const)
      expect(showShape(read(dimensions).graph.inputs[0]?.shape ?? [])).toBe("[N, 5, 3]");
  });
  it("are refused where they fix nothing", () => {
    expect(refusal(() => read({ time: 5, tiem: 5 }))).toMatch(
      /^INVALID_ARGUMENT: A size is given for the dimension "tiem", which ".*" does not have; those that it leaves open are "N", "time"; did you mean "time"\?$/,
    );
    expect(refusal(() => read({ time: 5, batch: 2 }))).toMatch(/those that it leaves open are "N", "time"\.$/);
    expect(refusal(() => read({ time: 5, "x.2": 4 }))).toContain('given for "x.2", but the file fixes that axis to 3');
  });
});

describe("an input that is fixed", () => {
  const init = (dims: readonly (number | string)[], elemType: number, op = "Add"): FileInit => ({
    inputs: [valueInfo("x", ["N", 2]), valueInfo("t", dims, elemType)],
    nodes: [node(op, ["x", "t"], ["y"])],
  });
  const data = floats([3, 2], 1, 2, 3, 4, 5, 6);
  it.each([
    ["a number", [], 0.5, [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]],
    ["a number for all elements", [2], 1, [2, 3, 4, 5, 6, 7]],
    ["several numbers", [2], [1, 10], [2, 12, 4, 14, 6, 16]],
    ["a typed array", [1, 2], Float32Array.of(1, 10), [2, 12, 4, 14, 6, 16]],
    ["a tensor", [2], floats([2], 1, 10), [2, 12, 4, 14, 6, 16]],
    ["one sample's, for each", ["N", 2], [1, 10], [2, 12, 4, 14, 6, 16]],
    ["a number for each sample", ["N", 1], 1, [2, 3, 4, 5, 6, 7]],
  ] as const)("by %s", async (_, dims, value, expected) => {
    const model = decode(file(init(dims, 1)), { fix: { t: value } });
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(model.sampleAxes).toEqual({ x: 0 });
    expect([...((await run(encoded(model), { x: data })).y?.data ?? [])]).toEqual(expected);
  });
  it("is refused where its value does not fit", () => {
    const read = (dims: readonly (number | string)[], elemType: number, value: FixedValue) =>
      refusal(() => decode(file(init(dims, elemType)), { fix: { t: value } }));
    expect(read([2], 1, [1, 2, 3])).toContain("it is [2], but the value given for it has 3 elements");
    expect(read(["N", 2], 1, [1, 2, 3])).toContain("it is [2] for one sample, but");
    expect(read([2], 1, floats([1, 2], 1, 2))).toContain("has [1, 2]");
    expect(read([], 1, 2n)).toMatch(/^DTYPE_MISMATCH: The input "t" is float32/);
    expect(read([], 6, 2 ** 31)).toMatch(/^DTYPE_MISMATCH: The input "t" is int32/);
    expect(read([], 9, 2)).toContain("give true or false");
  });
  it("makes shapes known that depend on it", () => {
    const shaped: FileInit = {
      inputs: [valueInfo("x", ["N", 6]), valueInfo("k", [1], 7)],
      initializers: [initializer("all", int64s(-1))],
      nodes: [node("Concat", ["all", "k"], ["shape"], [int("axis", 0)]), node("Reshape", ["x", "shape"], ["y"])],
    };
    expect(showShape(decode(file(shaped), { fix: { k: 3 } }).graph.outputs[0]?.value.shape ?? [])).toBe("[N*2, 3]");
    const message = refusal(() => decode(file(shaped), { sampleAxes: { k: null } }));
    expect(message).toContain(
      'it depends on "k" alone; if that is the same at every run, give its value: fix: { k: VALUE }',
    );
  });
});

it("an end of a slice far above any batch takes all samples, whatever they are folded with", async () => {
  for (const end of [2 ** 24, 1e9, 2 ** 31 - 1, 2n ** 63n - 1n]) {
    const init: FileInit = {
      inputs: [valueInfo("x", ["N", 2])],
      initializers: [initializer("s", int64s(0)), initializer("e", int64s(end)), initializer("shape", int64s(-1))],
      nodes: [node("Reshape", ["x", "shape"], ["r"]), node("Slice", ["r", "s", "e"], ["y"])],
    };
    const model = decode(file(init));
    expect(showShape(model.graph.outputs[0]?.value.shape ?? [])).toBe("[N*2]");
    expect((await run(encoded(model), { x: floats([2, 2], 1, 2, 3, 4) })).y?.dims).toEqual([4]);
  }
  const some: FileInit = {
    inputs: [valueInfo("x", ["N", 2])],
    initializers: [initializer("s", int64s(0)), initializer("e", int64s(1000)), initializer("a", int64s(0))],
    nodes: [node("Slice", ["x", "s", "e", "a"], ["y"])],
  };
  expect(refusal(() => decode(file(some)))).toMatch(/^SAMPLES_INTERACT/);
});

it("inputs that do not broadcast are named with their sample axes, and what to say of one that is shared", () => {
  const init: FileInit = {
    inputs: [valueInfo("x", ["N", 2]), valueInfo("table", ["M", 5, 3])],
    nodes: [node("Add", ["x", "table"], ["y"])],
  };
  expect(refusal(() => decode(file(init)))).toContain(
    'which do not broadcast; "x" carries the samples along axis 0 and "table" carries the samples along axis 0, ' +
      "so if an input of the model is the same for all samples, say so (sampleAxes: { NAME: null })",
  );
});
