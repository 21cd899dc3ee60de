/** Results as tables, the model's outputs, and what is in a model. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readTensors } from "../../src/io/files.js";
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
