/** Results as tables, the model's outputs, and what is in a model. */
import { readFileSync } from "node:fs";
import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { describe, expect, test } from "vitest";
import { readRows } from "../../src/data/index.js";
import { readTensors } from "../../src/io/files.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { tensorOfTexts, textsOf } from "../../src/tensor/texts.js";
import { floats, linear, run, workspace } from "./support.js";

const data = { x: floats([4, 3]), target: floats([4, 2]) };

describe("norms", () => {
  test("as CSV, JSON lines and on the standard output are those of a file of tensors", async () => {
    const { path, command, result } = await workspace(linear(), data);
    const { tensors } = await result("norms");
    const wanted = Array.from(tensors.get("norms")?.data ?? [], Number);
    expect(await command("norms", "--out", path("n.csv"))).toMatchObject({ code: 0, err: "" });
    const csv = readFileSync(path("n.csv"), "utf8");
    const [header, ...lines] = csv.trim().split("\n");
    expect(header).toBe("sample,norms,norms/weight,norms/bias");
    expect(lines.map((line) => Math.fround(Number(line.split(",")[1])))).toEqual(wanted);
    expect(await command("norms", "--out", path("n.jsonl"))).toMatchObject({ code: 0 });
    const records = readFileSync(path("n.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(records.map((record) => Math.fround(record.norms))).toEqual(wanted);
    expect(await command("norms", "--out", "-")).toEqual({ code: 0, err: "", out: csv });
  });

  test("in another format are refused", async () => {
    const { command } = await workspace(linear(), data);
    expect(await command("norms", "--out", "n.xlsx")).toMatchObject({ code: 2 });
    expect((await command("norms", "--out", "n.xlsx")).err).toContain(".csv, .jsonl");
  });
});

describe("samples with names", () => {
  const names = ["ä, quoted", "b", "", "naïve"];
  const named = { ...data, ids: tensorOfTexts(names) };
  const csvNames = ['"ä, quoted"', "b", "", "naïve"];

  test("keep them in every kind of output, without a note", async () => {
    const { path, command } = await workspace(linear(), named);
    const { out } = await command("norms", "--out", "-");
    expect(out).toMatch(/^sample,id,norms,norms\/weight,norms\/bias\n/);
    csvNames.forEach((name, n) => {
      expect(out).toContain(`\n${n},${name},`);
    });
    for (const name of ["norms", "grads"]) {
      expect(await command(name, "--out", path(`${name}.safetensors`))).toMatchObject({ code: 0, err: "" });
      const ids = (await readTensors(path(`${name}.safetensors`))).get("ids");
      expect(ids && textsOf(ids)).toEqual(names);
    }
    const numbered = { ...data, ids: { dtype: "int64", dims: [4], data: BigInt64Array.of(7n, 8n, 9n, 10n) } } as const;
    const other = await workspace(linear(), numbered);
    expect((await other.command("norms", "--out", "-")).out).toMatch(/\n3,10,/);
    const few = await workspace(linear(), { ...data, ids: tensorOfTexts(["a"]) });
    expect((await few.command("norms", "--out", "-")).err).toContain("has 1 names for 4 samples; give one for each");
  });

  test("and numbers come back from Parquet as they were", async () => {
    const { path, command, result } = await workspace(linear(), named);
    const { tensors } = await result("norms");
    expect(await command("norms", "--out", path("n.parquet"))).toMatchObject({ code: 0, err: "" });
    const rows: Record<string, unknown>[] = [];
    for await (const row of readRows(path("n.parquet"))) rows.push(Object.fromEntries(row));
    expect(rows.map(({ id }) => id)).toEqual(names);
    expect(rows.map(({ sample }) => sample)).toEqual([0, 1, 2, 3]);
    expect(rows.map(({ norms }) => norms)).toEqual(Array.from(tensors.get("norms")?.data ?? [], Number));
    const bytes = readFileSync(path("n.parquet"));
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    expect(await parquetReadObjects({ file, compressors })).toEqual(rows);
  });

  test("of queries and training samples stand in a table of scores", async () => {
    const { path } = await workspace(linear(), named);
    const own = [path("model.onnx"), "--train", path("data.safetensors"), "--query", path("data.safetensors")];
    const score = (out: string) =>
      run("attribute", ...own, "--loss", "mse", "--method", "graddot", "--self", "--out", out);
    expect(await score(path("s.safetensors"))).toMatchObject({ code: 0, err: "" });
    const { out } = await score("-");
    const [header, ...lines] = out.trim().split("\n");
    expect(header).toBe("query,query_id,sample,id,score,self");
    expect(lines).toHaveLength(16);
    expect(lines[6]).toMatch(/^1,b,2,,/);
    const tensors = await readTensors(path("s.safetensors"));
    const scores = Array.from(tensors.get("scores")?.data ?? [], Number);
    lines.forEach((line, k) => {
      const cells = line.split(",");
      expect(Math.fround(Number(cells.at(-2)))).toBe(Math.fround(scores[k] ?? 0));
    });
    expect([...tensors.keys()].sort()).toEqual(["ids", "query_ids", "scores", "self"]);
  });
});

describe("predict", () => {
  test("writes x times weight plus bias", async () => {
    const { path, inputs } = await workspace(linear(), data);
    const out = path("y.safetensors");
    const { code, err, out: told } = await run("predict", ...inputs, "--out", out);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(told).toMatch(/^wrote .*y\.safetensors: ".*" \[4, 2\]\n$/);
    const [found] = (await readTensors(out)).values();
    const model = linear();
    const { weight, bias } = model.parameters;
    const wanted = Array.from({ length: 8 }, (_, i) => {
      const [n, o] = [i >> 1, i % 2];
      const products = [0, 1, 2].map((k) => (data.x.data[n * 3 + k] ?? 0) * (weight?.data[k * 2 + o] ?? 0));
      return products.reduce((a, b) => a + b, bias?.data[o] ?? 0);
    });
    wanted.forEach((value, i) => {
      expect(Number(found?.data[i])).toBeCloseTo(value, 5);
    });
    const { out: csv } = await run("predict", ...inputs, "--out", "-");
    expect(csv.split("\n")).toHaveLength(6);
    expect(csv).toMatch(/^sample,.*\.largest,.*\.0,.*\.1\n0,[01],/);
  });
});

test("predict writes whole numbers in all their digits, along any axis, and no largest class of them", async () => {
  const whole = trace({ k: { shape: [2, "N"], dtype: "int64" } }, { weight: uniform([1], 1) }, ({ k }, { weight }) => ({
    twice: k.add(k),
    unused: k.cast("float32").mul(weight),
  }));
  const k = { dtype: "int64", dims: [2, 2], data: BigInt64Array.of(8388609n, 2n ** 60n + 1n, 3n, -4n) } as const;
  const { inputs, path } = await workspace(whole, { k });
  const options = [...inputs, "--sample-axis", "k=1", "--output", "twice"];
  expect((await run("predict", ...options, "--out", "-")).out).toBe(
    "sample,twice.0,twice.1\n0,16777218,6\n1,2305843009213693954,-8\n",
  );
  const out = path("k.jsonl");
  await run("predict", ...options, "--out", out);
  expect(readFileSync(out, "utf8").split("\n")[1]).toBe('{"sample":1,"twice.0":"2305843009213693954","twice.1":-8}');
});

test("predict refuses names that are not one for each sample, and predicts no class from NaN", async () => {
  const x = Float32Array.from(data.x.data, (value, i) => (i === 3 ? Number.NaN : value));
  const { inputs } = await workspace(linear(), { ...data, x: { ...data.x, data: x } });
  const { out } = await run("predict", ...inputs, "--allow-not-finite", "--out", "-");
  expect(out.split("\n").map((line) => line.split(",")[1])).toEqual([
    expect.stringMatching(/largest$/),
    expect.stringMatching(/^[01]$/),
    "-1",
    expect.stringMatching(/^[01]$/),
    expect.stringMatching(/^[01]$/),
    undefined,
  ]);
  const ids = { dtype: "int64", dims: [3], data: BigInt64Array.of(1n, 2n, 3n) } as const;
  const named = await workspace(linear(), { ...data, ids });
  const { code, err } = await run("predict", ...named.inputs, "--out", "-");
  expect(code).toBe(1);
  expect(err).toMatch(/The tensor "ids" of .* has 3 names for 4 samples; give one for each\./);
});

test("predict writes a row for each sample wherever their axis is", async () => {
  const later = trace({ x: [2, "N", 3] }, { weight: uniform([3, 2], 1) }, ({ x }, { weight }) => x.matmul(weight));
  const { path, inputs } = await workspace(later, { x: floats([2, 4, 3]) });
  const axis = ["--sample-axis", "x=1"];
  const { out, err } = await run("predict", ...inputs, ...axis, "--out", "-");
  expect(err).toBe("");
  const [header, ...lines] = out.trim().split("\n");
  expect(header?.split(",")).toHaveLength(5);
  expect(lines).toHaveLength(4);
  expect(await run("predict", ...inputs, ...axis, "--out", path("y.safetensors"))).toMatchObject({ code: 0 });
  const [found] = (await readTensors(path("y.safetensors"))).values();
  expect(found?.dims).toEqual([2, 4, 2]);
  lines.forEach((line, n) => {
    const wanted = [0, 1].flatMap((t) => [0, 1].map((o) => Number(found?.data[(t * 4 + n) * 2 + o])));
    expect(line.split(",").slice(1).map(Number).map(Math.fround)).toEqual(wanted);
  });
});

test("inspect names inputs, outputs, parameters, losses that fit, and how norms are computed", async () => {
  const { path } = await workspace(linear(), data);
  const { code, out } = await run("inspect", path("model.onnx"));
  expect(code).toBe(0);
  expect(out).toMatch(/^ {2}x +float32 +\[N, 3\] +samples: axis 0$/m);
  expect(out).toMatch(/^ {2}weight +\[3, 2\] +6 +outer +norm: /m);
  expect(out).toMatch(/^ {2}cross_entropy: int64 \[N\]$/m);
  const { out: text } = await run("inspect", path("model.onnx"), "--json");
  expect(JSON.parse(text)).toMatchObject({ elements: 8, inputs: [{ name: "x", samples: "axis 0" }] });
});
