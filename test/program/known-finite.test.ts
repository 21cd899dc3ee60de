/** Large results and inputs are not searched for numbers that are not finite where a sum rules these out; they are found all the same. */
import { describe, expect, it } from "vitest";
import type { Joining } from "../../src/compile/joining.js";
import { type Dim, N } from "../../src/graph/dim.js";
import { leaf } from "../../src/graph/value.js";
import { losses, type NotFinite, nn, type Program, perSample, type Tensor, type Wants, want } from "../../src/index.js";
import { build } from "../../src/ops/registry.js";
import { addRows } from "../../src/ops/subgraphs/table.js";
import { Handover } from "../../src/target/onnxruntime/results.js";

const floats = (dims: readonly number[], data: Float32Array): Tensor => ({ dtype: "float32", dims, data });
const filled = (dims: readonly number[], x: number): Tensor =>
  floats(dims, new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(x));

describe("a program's results", () => {
  /** What a run reports. */
  const reports = async (program: Program<Wants>, data: Record<string, Tensor>): Promise<NotFinite[]> => {
    const found: NotFinite[] = [];
    await program.run(data, { onNotFinite: (each) => found.push(each) });
    await program.release();
    return found;
  };

  /** 20,000 weights, whose gradients are the products of x and k. */
  const dense = () => {
    const shapes = { x: ["N", 200], k: ["N", 1] } as const;
    const model = nn.trace(shapes, { weight: nn.normal([200, 100], 1e-3) }, ({ x, k }, { weight }) => ({
      loss: x.matmul(weight).sum([1], { keepDims: true }).mul(k).sum([1]),
    }));
    return perSample<Wants>(model, { loss: losses.output(), want: { mean: want.mean() } });
  };

  it.each([
    ["1e30 * 1e-30", 1e30, 1e-30, 0],
    ["1e19 * 1e18, whose sum alone overflows", 1e19, 1e18, 0],
    ["1e19 * 1e20", 1e19, 1e20, 1],
  ])("of a dense layer: %s", async (_, x, k, expected) => {
    const found = await reports(await dense(), { x: filled([2, 200], x), k: filled([2, 1], k) });
    expect(found).toHaveLength(expected);
  });

  /** A table of 24,000 elements, to whose rows k is added. */
  const table = () => {
    const shapes = { x: { shape: ["N", 2], dtype: "int64" }, k: ["N", 2, 8] } as const;
    const model = nn.trace(shapes, { words: nn.normal([3000, 8], 1e-30) }, ({ x, k }, { words }) => ({
      loss: words.gather(x).mul(k).sum([1, 2]),
    }));
    return perSample<Wants>(model, { loss: losses.output(), want: { sum: want.sum() } });
  };

  it.each([
    ["small ones to one row", 1, [5n, 5n], 0],
    ["large ones to different rows", 3e38, [5n, 7n], 0],
    ["large ones to one row", 3e38, [5n, 5n], 1],
  ] as const)("of a table: %s", async (_, k, places, expected) => {
    const x: Tensor = { dtype: "int64", dims: [1, 2], data: BigInt64Array.from(places) };
    expect(await reports(await table(), { x, k: filled([1, 2, 8], k) })).toHaveLength(expected);
  });
});

describe("a program's inputs", () => {
  const columns = 600;
  const shapes = { x: ["N", columns] } as const;
  const weights = { weight: nn.normal([300, 2], 1e-3) };
  /** Reads the first half of the columns, from which it hides NaN and all magnitudes above 1. */
  const model = () =>
    nn.trace(shapes, weights, ({ x }, { weight }) => ({
      loss: x.slice(1, 0, 300).clip(-1, 1).matmul(weight).square().sum([1]),
    }));
  const wants = { mean: want.mean(), norms: want.norms() };
  const compiled = (options = {}) => perSample(model(), { loss: losses.output(), want: wants, ...options });
  const data = (samples: number, at: number, x: number) => {
    const all = filled([samples, columns], 0.5);
    (all.data as Float32Array)[at] = x;
    return { x: all };
  };

  it.each([
    ["NaN", Number.NaN, 3 * columns + 7],
    ["infinity", Number.POSITIVE_INFINITY, 3 * columns],
    ["NaN in a column that nothing reads", Number.NaN, 4 * columns - 1],
  ])("are refused with %s, and the sample is named", async (_, x, at) => {
    for (const options of [{}, { memoryBudget: 2e5 }, { holdParameters: false }]) {
      const program = await compiled(options);
      const refused = program.run(data(5, at, x));
      await expect(refused).rejects.toMatchObject({ code: "NOT_FINITE" });
      await expect(refused).rejects.toThrow('The input "x" holds NaN or infinity, first in sample 3');
      await expect(program.run(data(5, at, x), { microbatchSize: 2 })).rejects.toThrow("first in sample 3");
      await expect(program.run(data(5, at, x), { allowNotFinite: true })).resolves.toBeDefined();
      await program.release();
    }
  });

  it("are judged as they were given, if they are overwritten after the call", async () => {
    const program = await compiled();
    const [bad, good] = [data(4, columns + 5, Number.NaN), data(4, 0, 0.5)];
    const running = [program.run(bad), program.run(good)];
    (bad.x.data as Float32Array).fill(0.5);
    (good.x.data as Float32Array).fill(Number.NaN);
    await expect(running[0]).rejects.toThrow("first in sample 1");
    await expect(running[1]).resolves.toBeDefined();
    await program.release();
  });

  it("may be so large that the sum of their squares overflows", async () => {
    const program = await compiled();
    const [large, one] = [await program.run(data(4, 3, 3e38)), await program.run(data(4, 3, 1))];
    expect(large.norms).toEqual(one.norms);
    await program.release();
  });

  it("are blamed if NaN among them makes an index that the runtime refuses", async () => {
    const own = nn.trace(shapes, { table: nn.normal([9, 2], 1) }, ({ x }, { table }) => ({
      loss: table.gather(x.cast("int64")).square().sum([1, 2]),
    }));
    const program = await perSample(own, { loss: losses.output(), want: { mean: want.mean() } });
    await expect(program.run(data(4, 2 * columns, Number.NaN))).rejects.toThrow("first in sample 2");
    await program.release();
  });
});

describe("what the runtime's sums show", () => {
  const joining: Joining = { kind: "sum" };
  const weight = leaf("w", { dtype: "float32", shape: [200, 100] }, { kind: "parameter" });
  const rows = leaf("r", { dtype: "float32", shape: [3, 8] }, { kind: "parameter" });
  const places: Tensor = { dtype: "int64", dims: [3], data: BigInt64Array.of(1n, 2n, 1n) };
  const outputs = [
    { name: "dense", value: build.op("Neg", [weight]), joining },
    { name: "few", value: build.op("Neg", [rows]), joining },
    { name: "table", value: addRows(build, build.constant(places), rows, 3000), joining },
  ];
  const handover = new Handover(outputs, "rows", true);

  const finite = (sum: number, row: number) => {
    const returned = {
      dense: filled([200, 100], 1),
      few: filled([3, 8], 1),
      "table/places": { dtype: "int32", dims: [3], data: Int32Array.of(1, 2, 1) } as Tensor,
      "table/rows": filled([3, 8], row),
      "/sum": filled([], sum),
    };
    expect(handover.outputs.map(({ name }) => name).sort()).toEqual(Object.keys(returned).sort());
    return [...handover.finish(returned, 2).finite];
  };

  it("large results are known to be finite if their sum is, and tables if that of the rows is", () => {
    expect(finite(7, 1)).toEqual(["dense", "table"]);
    expect(finite(Number.NaN, 1)).toEqual(["table"]);
    expect(finite(Number.POSITIVE_INFINITY, -1)).toEqual(["table"]);
    expect(finite(7, 1e38)).toEqual(["dense"]);
    expect(finite(7, Number.NaN)).toEqual(["dense"]);
  });

  it("large inputs with samples are known to be finite if the same sum is", () => {
    const input = (name: string, shape: readonly Dim[]) => leaf(name, { dtype: "float32", shape }, { kind: "input" });
    const inputs = [input("x", [N, 784]), input("few", [N, 3]), input("shared", [300, 200]), weight];
    const { searchedInputs } = new Handover(outputs, "rows", true, inputs);
    expect([...searchedInputs]).toEqual(["x"]);
    const given = new Handover([{ name: "few", value: build.op("Neg", [rows]) }], "together", false, inputs);
    const known = (sum: number) => [...given.finish({ few: filled([3, 8], 1), "/sum": filled([], sum) }, 2).finite];
    expect(given.outputs.map(({ name }) => name)).toEqual(["few", "/sum"]);
    expect([known(7), known(Number.NaN)]).toEqual([["x"], []]);
  });

  it("nothing is added up for a program that does not search its results", () => {
    const names = new Handover(outputs, "rows").outputs.map(({ name }) => name);
    expect(names).toEqual(["dense", "few", "table/places", "table/rows"]);
  });
});
