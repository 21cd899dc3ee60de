/**
 * Files as a page reads them: what few files need is loaded with the first that does. Reading is broken off there and done
 * again, and gives what it gives where everything is loaded.
 */
import { afterAll, expect, it, vi } from "vitest";
import { Missing, missing, withMissing } from "../../src/missing.js";
import * as ofPage from "../../src/onnx/read/seldom.browser.js";
import { type FileInit, file, initializer, int, int64s, node, tensor, valueInfo, waves } from "./models.js";

// Other tests of the same process may have loaded what a page loads later.
vi.resetModules();
const loads = { count: 0 };
vi.doMock("../../src/onnx/read/seldom.js", () => import("../../src/onnx/read/seldom.browser.js"));
vi.doMock("../../src/onnx/read/seldom-needed.js", (original) => {
  loads.count += 1;
  return original();
});
const { printGraph } = await import("../../src/inspect/print-graph.js");
const { modelFrom, modelOf } = await import("../../src/onnx/read/model-of.js");

afterAll(() => {
  vi.doUnmock("../../src/onnx/read/seldom.js");
  vi.doUnmock("../../src/onnx/read/seldom-needed.js");
  vi.resetModules();
});

const weights = [initializer("w", waves([6, 2]))];
const constant = (name: string, ...values: number[]) =>
  node("Constant", [], [name], [tensor("value", int64s(...values))]);

const plain: FileInit = {
  inputs: [valueInfo("x", ["N", 6])],
  initializers: weights,
  nodes: [node("MatMul", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])],
};

const files: Readonly<Record<string, FileInit>> = {
  "a batch that the file fixes": {
    inputs: [valueInfo("x", [4, 2, 3])],
    initializers: weights,
    nodes: [constant("shape", 4, 6), node("Reshape", ["x", "shape"], ["rows"]), node("MatMul", ["rows", "w"], ["y"])],
  },
  "an open batch, and numbers made for one size": {
    inputs: [valueInfo("x", ["N", 2, 3])],
    initializers: weights,
    nodes: [constant("shape", 4, 6), node("Reshape", ["x", "shape"], ["rows"]), node("MatMul", ["rows", "w"], ["y"])],
  },
  "a function": {
    inputs: [valueInfo("x", ["N", 6])],
    initializers: weights,
    nodes: [node("MatMul", ["x", "w"], ["h"]), { opType: "Twice", domain: "own", input: ["h"], output: ["y"] }],
    functions: [
      {
        name: "Twice",
        domain: "own",
        input: ["a"],
        output: ["b"],
        node: [node("Add", ["a", "a"], ["b"])],
        opsetImport: [{ domain: "", version: 21n }],
      },
    ],
  },
  "a sequence": {
    inputs: [valueInfo("x", ["N", 6])],
    initializers: weights,
    nodes: [
      node("MatMul", ["x", "w"], ["h"]),
      node("SequenceConstruct", ["h", "h"], ["list"]),
      constant("one", 1),
      node("Squeeze", ["one"], ["place"]),
      node("SequenceAt", ["list", "place"], ["y"]),
    ],
  },
  "each sample's own rows": {
    inputs: [valueInfo("x", ["N", 3, 6])],
    initializers: weights,
    nodes: [
      node("Shape", ["x"], ["N1"], [int("end", 1)]),
      node("Squeeze", ["N1"], ["count"]),
      node("Constant", [], ["zero"], [int("value_int", 0)]),
      node("Constant", [], ["one"], [int("value_int", 1)]),
      node("Range", ["zero", "count", "one"], ["number"]),
      constant("column", 1),
      node("Unsqueeze", ["number", "column"], ["numbers"]),
      node("Expand", ["one", "N1"], ["ones"]),
      node("Unsqueeze", ["ones", "column"], ["places"]),
      node("Concat", ["numbers", "places"], ["points"], [int("axis", 1)]),
      node("GatherND", ["x", "points"], ["rows"]),
      node("MatMul", ["rows", "w"], ["y"]),
    ],
  },
  "one sample without its batch axis": {
    inputs: [valueInfo("x", [1, 2, 6])],
    initializers: weights,
    nodes: [
      node("Constant", [], ["zero"], [int("value_int", 0)]),
      node("Gather", ["x", "zero"], ["own"], [int("axis", 0)]),
      node("MatMul", ["own", "w"], ["h"]),
      constant("axes", 0),
      node("ReduceSum", ["h", "axes"], ["sum"], [int("keepdims", 1)]),
      node("Identity", ["sum"], ["y"]),
    ],
  },
};

it("a plain file needs nothing more", async () => {
  const { graph } = await modelFrom(file(plain), {});
  expect(printGraph(graph)).toMatch(/MatMul/);
  expect(loads.count).toBe(0);
});

it.each(Object.entries(files))("%s is read as where everything is there", async (_, init) => {
  const bytes = file(init);
  const first = await modelFrom(bytes, {});
  const again = modelOf(bytes, "again.onnx", {});
  expect(printGraph(first.graph)).toBe(printGraph(again.graph));
  expect(first.sampleAxes).toEqual(again.sampleAxes);
  expect(loads.count).toBe(1);
});

it("a page has all that Node has", async () => {
  const needed = await import("../../src/onnx/read/seldom-needed.js");
  expect(Object.keys(ofPage).sort()).toEqual(Object.keys(needed).sort());
});

it("a computation is broken off at most once for a function, and other errors are its own", async () => {
  let [loaded, computed] = [0, 0];
  const twice = missing(async () => {
    loaded += 1;
    return (x: number) => 2 * x;
  });
  const compute = () => {
    computed += 1;
    return twice(3) + twice(4);
  };
  expect(compute).toThrow(Missing);
  expect(await withMissing(compute)).toBe(14);
  expect([loaded, computed]).toEqual([1, 3]);
  await expect(
    withMissing(() => {
      throw new RangeError("its own");
    }),
  ).rejects.toThrow("its own");
});
