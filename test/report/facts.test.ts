/** The numbers at the head of a report. */
import { expect, test } from "vitest";
import { losses, nn } from "../../src/index.js";
import { reportContent } from "../../src/report/report.js";

test("samples whose label the loss ignores are not counted as wrongly predicted", async () => {
  const model = nn.trace({ x: ["N", 2] }, { gain: nn.ones([2]) }, ({ x }, { gain }) => x.mul(gain));
  const x = { dtype: "float32", dims: [5, 2], data: Float32Array.of(3, 0, 0, 3, 3, 0, 0, 3, 3, 0) } as const;
  const target = { dtype: "int64", dims: [5], data: BigInt64Array.of(0n, 1n, -1n, -1n, 1n) } as const;
  const { facts, columns } = await reportContent(
    model,
    { x, target },
    { loss: losses.crossEntropy({ ignoreIndex: -1 }) },
  );
  expect(facts.map(([, meaning]) => meaning)).toEqual([
    "samples",
    "of them without a target that counts",
    "predicted as labelled",
    "mean loss",
    "mean gradient norm",
  ]);
  expect(facts.slice(0, 3).map(([value]) => value)).toEqual(["5", "2", "66.7 %"]);
  for (const [k, key] of [
    [3, "loss"],
    [4, "norm"],
  ] as const) {
    const values = columns.find((column) => column.key === key)?.values ?? [];
    const mean = [0, 1, 4].reduce((sum, n) => sum + (values[n] ?? Number.NaN), 0) / 3;
    expect(facts[k]?.[0]).toBe(mean.toPrecision(3));
  }
});

test("sequences of ignored labels, and data without any label, have no part in means", async () => {
  const model = nn.trace({ x: ["N", 2, 2] }, { gain: nn.ones([2]) }, ({ x }, { gain }) => x.mul(gain));
  const loss = losses.crossEntropy({ ignoreIndex: -1, classAxis: 2 });
  const x = { dtype: "float32", dims: [3, 2, 2], data: Float32Array.of(3, 0, 0, 3, 3, 0, 0, 3, 1, 2, 3, 4) } as const;
  const of = async (...target: bigint[]) => {
    const given = { x, target: { dtype: "int64", dims: [3, 2], data: BigInt64Array.from(target) } as const };
    const { facts, columns } = await reportContent(model, given, { loss });
    return { facts, values: columns.find(({ key }) => key === "loss")?.values ?? [] };
  };
  const { facts, values } = await of(0n, -1n, -1n, -1n, 1n, 1n);
  expect(facts).toContainEqual(["1", "of them without a target that counts"]);
  const mean = ((values[0] ?? Number.NaN) + (values[2] ?? Number.NaN)) / 2;
  expect(facts).toContainEqual([mean.toPrecision(3), "mean loss"]);
  expect((await of(-1n, -1n, -1n, -1n, -1n, -1n)).facts).toHaveLength(2);
});

test("numbers that are not finite have no part in means, and scores of NaN predict no class", async () => {
  const model = nn.trace({ x: ["N", 2] }, { gain: nn.ones([2]) }, ({ x }, { gain }) => x.mul(gain));
  const x = Float32Array.of(3, 0, Number.NaN, 3, 0, 3);
  const given = { loss: "cross_entropy", allowNotFinite: true } as const;
  const { facts, columns, predictions } = await reportContent(model, { x, target: [0, 0, 0] }, given);
  expect(predictions).toEqual(Int32Array.of(0, -1, 1));
  const mean = (key: string) => {
    const values = columns.find((column) => column.key === key)?.values ?? [];
    return (((values[0] ?? Number.NaN) + (values[2] ?? Number.NaN)) / 2).toPrecision(3);
  };
  expect(facts).toEqual([
    ["3", "samples"],
    ["1", "of them not finite"],
    ["33.3 %", "predicted as labelled"],
    [mean("loss"), "mean loss"],
    [mean("norm"), "mean gradient norm"],
  ]);
  const { title, facts: none } = await reportContent(model, { x: x.slice(2, 4), target: [0] }, given);
  expect(title).toBe("Gradients of 1 sample");
  expect(none).toEqual([
    ["1", "sample"],
    ["1", "of them not finite"],
    ["0.0 %", "predicted as labelled"],
  ]);
});

test("rows show bytes as the numbers that they stand for", async () => {
  const model = nn.trace({ x: ["N", 2] }, { gain: nn.ones([2]) }, ({ x }, { gain }) => x.mul(gain));
  const x = { dtype: "uint8", dims: [1, 2], data: Uint8Array.of(0, 255), scale: 0.01, offset: -1 } as const;
  const { shown } = await reportContent(model, { x, target: [0] }, { loss: "cross_entropy" });
  expect(shown.get(0)).toBe("x: -1, 1.55");
});

test("pictures are the same with their channels first or last", async () => {
  const [side, plane] = [8, 64];
  const pixels = Float32Array.from({ length: 3 * plane }, (_, i) => (i * 37) % 101);
  const last = Float32Array.from({ length: 3 * plane }, (_, i) => pixels[(i % 3) * plane + Math.floor(i / 3)] ?? 0);
  const shownOf = async (dims: readonly number[], x: Float32Array) => {
    const model = nn.trace({ x: ["N", ...dims] }, { gain: nn.ones([1]) }, ({ x: given }, { gain }) =>
      given.mul(gain).reshape(["N", 3 * plane]),
    );
    const { show, shown } = await reportContent(model, { x, target: [0] }, { loss: "cross_entropy" });
    expect(show).toBe("image");
    return shown.get(0);
  };
  const first = await shownOf([3, side, side], pixels);
  expect(first).toMatch(/^data:image\/png/);
  expect(await shownOf([side, side, 3], last)).toBe(first);
});

test("a data set without samples has no report", async () => {
  const model = nn.trace({ x: ["N", 2] }, { gain: nn.ones([2]) }, ({ x }, { gain }) => x.mul(gain));
  const x = { dtype: "float32", dims: [0, 2], data: new Float32Array() } as const;
  await expect(reportContent(model, { x, target: [] }, { loss: "cross_entropy" })).rejects.toThrow(
    /no samples to report/,
  );
});
