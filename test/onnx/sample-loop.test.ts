/** Loops with a step for each sample run for all samples at once, with the results that ONNX Runtime gives step by step. */
import { describe, expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { losses, perSample, want } from "../../src/index.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../support/per-sample.js";
import { relativeError } from "./compare.js";
import {
  constant,
  encoded,
  type FileInit,
  file,
  graph,
  initializer,
  int,
  int64s,
  ints,
  node,
  refusal,
  run,
  scalar,
  valueInfo,
  waves,
} from "./models.js";

const yes = constant("yes", { dtype: "bool", dims: [], data: Uint8Array.of(1) });

type Nodes = NonNullable<FileInit["nodes"]>;

/** Bags of 4 words in a row, as PyTorch's TorchScript exporter writes them: offsets 0, 4, ..., and 4 N at the end. */
function bags(reduce: string, weighted: boolean, samples: number | "N"): Uint8Array {
  const offsets: Nodes =
    samples === "N"
      ? [
          node("Size", ["words"], ["all"]),
          constant("zero", scalar(0)),
          constant("four", scalar(4)),
          node("Range", ["zero", "all", "four"], ["starts"]),
          constant("first", int64s(0)),
          node("Unsqueeze", ["all", "first"], ["end"]),
          node("Concat", ["starts", "end"], ["offsets"], [int("axis", 0)]),
          node("Slice", ["offsets", "one", "open", "axis0", "one"], ["ends"]),
          node("Shape", ["ends"], ["count1"]),
          constant("k0", scalar(0)),
          node("Gather", ["count1", "k0"], ["count"]),
        ]
      : [
          constant("offsets", int64s(...Array.from({ length: samples + 1 }, (_, k) => 4 * k))),
          node("Slice", ["offsets", "one", "open", "axis0", "one"], ["ends"]),
          constant("count", scalar(samples)),
        ];
  const inner: Nodes = [
    node("Gather", ["offsets", "i"], ["from"], [int("axis", 0)]),
    node("Gather", ["ends", "i"], ["to"], [int("axis", 0)]),
    node("Unsqueeze", ["from", "axis0"], ["from1"]),
    node("Unsqueeze", ["to", "axis0"], ["to1"]),
    node("Slice", ["flat", "from1", "to1", "axis0"], ["own"]),
    node("Gather", ["table", "own"], ["rows"]),
    ...(weighted
      ? [
          node("Slice", ["weights", "from1", "to1", "axis0"], ["w"]),
          node("Unsqueeze", ["w", "last"], ["w1"]),
          node("Mul", ["rows", "w1"], ["scaled"]),
        ]
      : [node("Identity", ["rows"], ["scaled"])]),
    reduce === "ReduceSum"
      ? node(reduce, ["scaled", "axis0"], ["bag"], [int("keepdims", 0)])
      : node(reduce, ["scaled"], ["bag"], [ints("axes", [0]), int("keepdims", 0)]),
    node("Identity", ["yes"], ["on"]),
  ];
  const body = graph("body", {
    name: "body",
    input: [valueInfo("i", [], 7), valueInfo("go", [], 9)],
    node: inner as never,
    output: [valueInfo("on", [], 9), valueInfo("bag", [3])],
  });
  return file({
    inputs: [valueInfo("words", [samples, 4], 7), ...(weighted ? [valueInfo("scores", [samples, 4])] : [])],
    initializers: [initializer("table", waves([6, 3])), initializer("head", waves([3, 2]))],
    nodes: [
      yes,
      constant("one", int64s(1)),
      constant("open", int64s(9223372036854775807n)),
      constant("axis0", int64s(0)),
      constant("last", int64s(-1)),
      constant("flatten", int64s(-1)),
      ...offsets,
      node("Reshape", ["words", "flatten"], ["flat"]),
      ...(weighted ? [node("Reshape", ["scores", "flatten"], ["weights"])] : []),
      node("Loop", ["count", "yes"], ["all_bags"], [body]),
      node("Tanh", ["all_bags"], ["t"]),
      node("MatMul", ["t", "head"], ["y"]),
    ],
    opset: 15,
  });
}

function batchOf(samples: number): Record<string, Tensor> {
  const words = BigInt64Array.from({ length: 4 * samples }, (_, i) => BigInt((i * i + 3 * i) % 6));
  return {
    words: { dtype: "int64", dims: [samples, 4], data: words },
    scores: waves([samples, 4]),
    target: waves([samples, 2]),
  };
}

const options = { loss: losses.mse(), target: { dtype: "float32" as const, shape: ["N" as const, 2] } };

/** What a file's inputs are fed of a batch. */
function fed(batch: Record<string, Tensor>, weighted: boolean): Record<string, Tensor> {
  const { words, scores } = batch as { words: Tensor; scores: Tensor };
  return weighted ? { words, scores } : { words };
}

/** Per-sample gradients against the float64 loop over samples. */
async function expectGradients(model: ReturnType<typeof modelOf>, batch: Record<string, Tensor>, samples: number) {
  const program = await perSample(model, { ...options, want: { gradients: want.gradients(), norms: want.norms() } });
  const { gradients, norms } = await program.run(batch);
  await program.release();
  expect(norms.total.dims).toEqual([samples]);
  if (samples === 0) return;
  const oracle = new Oracle(objectiveOf(model, options), batch);
  const loop = Array.from({ length: samples }, (_, n) => oracle.sample(n).gradients);
  for (const name of Object.keys(model.parameters)) {
    const expected = loop.flatMap((each) => [...(each.get(name) ?? [])]);
    expectClose(gradients[name]?.data ?? [], expected, 1e-4, name);
  }
}

describe("EmbeddingBag", () => {
  const modes = [
    ["ReduceSum", false],
    ["ReduceMean", false],
    ["ReduceMax", false],
    ["ReduceSum", true],
  ] as const;

  it.each(modes)(
    "%s, weighted %s: any number of samples, as the runtime computes the file",
    async (reduce, weighted) => {
      const bytes = bags(reduce, weighted, "N");
      const model = modelOf(bytes, "m.onnx", {});
      for (const samples of [1, 3]) {
        const batch = batchOf(samples);
        const feeds = fed(batch, weighted);
        const [found, expected] = [(await run(encoded(model), feeds)).y, (await run(bytes, feeds)).y] as [
          Tensor,
          Tensor,
        ];
        expect(found.dims).toEqual(expected.dims);
        expect(relativeError(found, expected)).toBeLessThan(1e-6);
      }
      for (const samples of [0, 1, 3])
        await expectGradients(
          model,
          { ...fed(batchOf(samples), weighted), target: batchOf(samples).target as Tensor },
          samples,
        );
    },
  );

  it.each([1, 2, 5])("of a file written for %i samples serves any number", async (size) => {
    const model = modelOf(bags("ReduceMean", true, size), "m.onnx", {});
    const open = modelOf(bags("ReduceMean", true, "N"), "m.onnx", {});
    const feeds = fed(batchOf(4), true);
    const [found, expected] = [(await run(encoded(model), feeds)).y, (await run(encoded(open), feeds)).y] as [
      Tensor,
      Tensor,
    ];
    expect(found.data).toEqual(expected.data);
    await expectGradients(model, { ...feeds, target: batchOf(4).target as Tensor }, 4);
  });
});

/** A loop over the rows of x, its body given; `extra` are the inputs of the node after trip count and condition. */
function loopOver(inner: Nodes, carried: readonly string[] = [], results = ["r"], after: Nodes = []): FileInit {
  const body = graph("body", {
    name: "body",
    input: [valueInfo("i", [], 7), valueInfo("go", [], 9), ...carried.map((name) => ({ name: `${name}_in` }))],
    node: [...inner, node("Identity", ["yes"], ["on"])] as never,
    output: [valueInfo("on", [], 9), ...results.map((name) => ({ name }))],
  });
  return {
    inputs: [valueInfo("x", ["N", 3])],
    initializers: [initializer("w", waves([3, 2]))],
    nodes: [
      yes,
      node("Shape", ["x"], ["n1"], [int("end", 1)]),
      constant("k0", scalar(0)),
      node("Gather", ["n1", "k0"], ["n"]),
      ...(carried.length > 0 ? [node("SequenceEmpty", [], ["none"])] : []),
      node(
        "Loop",
        ["n", "yes", ...carried.map((name) => (name === "list" ? "none" : name))],
        [...carried.map((name) => `${name}_out`), ...(carried.length > 0 ? [] : ["all"])],
        [body],
      ),
      ...after,
    ],
  };
}

/** A loop that counts its steps itself, as PyTorch's newer exporter writes them, and branches in the last one. */
function counting(reduce: string, samples: number | "N"): Uint8Array {
  const branch = (name: string, op: string, out: string) =>
    graph(name, {
      name,
      node: [node(op, ["own"], [out], [ints("axes", [1]), int("keepdims", 1)])],
      output: [{ name: out }],
    });
  const body = graph("body", {
    name: "body",
    input: [valueInfo("trip", [], 7), valueInfo("go", [], 9), valueInfo("i", [], 7), { name: "list" }],
    node: [
      node("Reshape", ["i", "minus"], ["from"]),
      node("Add", ["from", "one"], ["to"]),
      node("Slice", ["x", "from", "to"], ["own"]),
      node("Sub", ["n", "k1"], ["end"]),
      node("Equal", ["i", "end"], ["last"]),
      node("If", ["last"], ["r"], [branch("then_branch", reduce, "a"), branch("else_branch", "ReduceMean", "b")]),
      node("SequenceInsert", ["list", "r"], ["longer"]),
      node("Add", ["i", "k1"], ["next"]),
      node("Less", ["next", "n"], ["on"]),
    ],
    output: [valueInfo("on", [], 9), valueInfo("next", [], 7), { name: "longer" }],
  });
  return file({
    inputs: [valueInfo("x", [samples, 3])],
    initializers: [initializer("w", waves([1, 2]))],
    opset: 17,
    nodes: [
      ...(samples === "N"
        ? [node("Size", ["x"], ["size"]), constant("three", scalar(3)), node("Div", ["size", "three"], ["n"])]
        : [constant("n", scalar(samples))]),
      constant("k0", scalar(0)),
      constant("k1", scalar(1)),
      constant("one", int64s(1)),
      constant("minus", int64s(-1)),
      node("Less", ["k0", "n"], ["some"]),
      node("SequenceEmpty", [], ["none"]),
      node("Loop", ["", "some", "k0", "none"], ["count", "all"], [body]),
      node("ConcatFromSequence", ["all"], ["joined"], [int("axis", 0)]),
      node("MatMul", ["joined", "w"], ["y"]),
    ],
  });
}

describe("a loop over the samples", () => {
  const row = [node("Gather", ["x", "i"], ["own"]), node("MatMul", ["own", "w"], ["p"]), node("Tanh", ["p"], ["r"])];
  const x = waves([4, 3]);

  it("is a map where each step reads its own row", async () => {
    const bytes = file(loopOver(row, [], ["r"], [node("Neg", ["all"], ["y"])]));
    const model = modelOf(bytes, "m.onnx", {});
    const [found, expected] = [(await run(encoded(model), { x })).y, (await run(bytes, { x })).y] as [Tensor, Tensor];
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
    await expectGradients(model, { x, target: waves([4, 2]) }, 4);
  });

  it.each([0, 1])("may append to a list, joined along axis %i", async (axis) => {
    const inner = [...row, node("SequenceInsert", ["list_in", "r"], ["longer"])];
    const after = [node("ConcatFromSequence", ["list_out"], ["y"], [int("axis", axis), int("new_axis", 1)])];
    const bytes = file(loopOver(inner, ["list"], ["longer"], after));
    const model = modelOf(bytes, "m.onnx", {});
    const [found, expected] = [(await run(encoded(model), { x })).y, (await run(bytes, { x })).y] as [Tensor, Tensor];
    expect(found.dims).toEqual(expected.dims);
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
  });

  it("is refused where a step hands a tensor on to the next", () => {
    const inner = [...row, node("Add", ["sum_in", "r"], ["next"])];
    const init = loopOver(inner, ["sum"], ["next"], [node("Add", ["sum_out", "x"], ["y"])]);
    const nodes = [constant("sum", waves([2])), ...(init.nodes ?? [])];
    const message = refusal(() => modelOf(file({ ...init, nodes }), "m.onnx", {}));
    expect(message).toMatch(/^SAMPLES_INTERACT: Loop node .* hands "sum" on from sample to sample/);
  });

  it.each([
    ["the row before its own", [constant("one", scalar(1)), node("Sub", ["i", "one"], ["j"])]],
    ["the first row", [constant("j", scalar(0))]],
    [
      "the rows in reverse order",
      [constant("minus", scalar(-1)), node("Mul", ["i", "minus"], ["m"]), node("Add", ["m", "minus"], ["j"])],
    ],
  ] as const)("is refused where a step reads %s", async (_, other) => {
    const inner = [...row.slice(1), ...other, node("Gather", ["x", "j"], ["own"])];
    const init = loopOver(inner, [], ["r"], [node("Neg", ["all"], ["y"])]);
    const compiled = async () => {
      const model = modelOf(file(init), "m.onnx", {});
      await perSample(model, { ...options, want: { norms: want.norms() } });
    };
    await expect(compiled()).rejects.toMatchObject({ code: "SAMPLES_INTERACT" });
  });

  it.each([
    ["what it does for all", "ReduceMean", true],
    ["something else", "ReduceMax", false],
  ])("may count its steps itself, and branch for the last sample, which does %s", async (_, reduce, accepted) => {
    const bytes = counting(reduce, "N");
    if (!accepted) {
      const message = refusal(() => modelOf(bytes, "m.onnx", {}));
      expect(message).toMatch(/^SAMPLES_INTERACT: If node "r" computes something else for the last sample/);
      return;
    }
    const model = modelOf(bytes, "m.onnx", {});
    const [found, expected] = [(await run(encoded(model), { x })).y, (await run(bytes, { x })).y] as [Tensor, Tensor];
    expect(found.dims).toEqual(expected.dims);
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
    await expectGradients(model, { x, target: waves([4, 2]) }, 4);
  });

  it("that counts its steps itself, of a file for 3 samples, is refused where the last one differs", () => {
    const message = refusal(() => modelOf(counting("ReduceMax", 3), "m.onnx", {}));
    expect(message).toMatch(/^SAMPLES_INTERACT: .*the file fixes its batch to 3/);
  });

  it.each([1, 2, 5])(
    "that counts its steps itself, of a file written for %i samples, serves any number",
    async (size) => {
      const model = modelOf(counting("ReduceMean", size), "m.onnx", {});
      const [found, expected] = [
        (await run(encoded(model), { x })).y,
        (await run(counting("ReduceMean", "N"), { x })).y,
      ];
      expect(found).toEqual(expected);
      await expectGradients(model, { x, target: waves([4, 2]) }, 4);
    },
  );

  it("of as many steps as the file has samples by chance is unrolled", async () => {
    const body = graph("body", {
      name: "body",
      input: [valueInfo("i", [], 7), valueInfo("go", [], 9), valueInfo("a", [2, 3])],
      node: [node("Tanh", ["a"], ["b"]), node("Cast", ["i"], ["r"], [int("to", 1)]), node("Identity", ["go"], ["on"])],
      output: [valueInfo("on", [], 9), valueInfo("b", [2, 3]), valueInfo("r", [])],
    });
    const nodes = [
      constant("n", scalar(2)),
      node("Loop", ["n", "", "x"], ["last", "counts"], [body]),
      node("ReduceSum", ["counts"], ["sum"], [int("keepdims", 0)]),
      node("Add", ["last", "sum"], ["y"]),
    ];
    const bytes = file({ inputs: [valueInfo("x", [2, 3])], nodes });
    const model = modelOf(bytes, "m.onnx", {});
    const two = waves([2, 3]);
    const [found, expected] = [(await run(encoded(model), { x: two })).y, (await run(bytes, { x: two })).y] as [
      Tensor,
      Tensor,
    ];
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
    expect(((await run(encoded(model), { x })).y as Tensor).dims).toEqual([4, 3]);
  });
});

describe("a Scan over the samples", () => {
  const body = graph("body", {
    name: "body",
    input: [valueInfo("own", [3]), valueInfo("scale", [])],
    node: [node("Mul", ["own", "scale"], ["m"]), node("MatMul", ["m", "w"], ["p"]), node("Tanh", ["p"], ["r"])],
    output: [valueInfo("r", [2])],
  });
  const scan = (attributes: Parameters<typeof node>[3] = []) =>
    file({
      inputs: [valueInfo("x", ["N", 3]), valueInfo("s", ["N"])],
      initializers: [initializer("w", waves([3, 2]))],
      nodes: [node("Scan", ["x", "s"], ["y"], [body, int("num_scan_inputs", 2), ...(attributes ?? [])])],
    });

  it("is a map where no state is handed on", async () => {
    const feeds = { x: waves([4, 3]), s: waves([4]) };
    const model = modelOf(scan(), "m.onnx", {});
    const [found, expected] = [(await run(encoded(model), feeds)).y, (await run(scan(), feeds)).y] as [Tensor, Tensor];
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
    await expectGradients(model, { ...feeds, target: waves([4, 2]) }, 4);
  });

  it("is refused where it reads the samples from their end", () => {
    const message = refusal(() => modelOf(scan([ints("scan_input_directions", [1, 0])]), "m.onnx", {}));
    expect(message).toMatch(/^SAMPLES_INTERACT: Scan node "y" steps from sample to sample/);
  });
});
