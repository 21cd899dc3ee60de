/** pergrad clean: how it reads its data. */
import { readFileSync, statSync } from "node:fs";
import { expect, it } from "vitest";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { floats, labels, readBy, workspace } from "./support.js";

it("reads a file in parts, and writes the table that it writes of data in memory", async () => {
  const [samples, width] = [640, 4000];
  const model = trace({ x: ["N", width] }, { weight: uniform([width, 2], 1) }, ({ x }, { weight }) => x.matmul(weight));
  const x = floats([samples, width], (k) => Math.sin(1 + 1.7 * k + Math.floor(k / width)) / 9);
  const { command, path } = await workspace(model, {
    x,
    target: labels(...Array.from({ length: samples }, (_, n) => n % 2)),
  });
  const options = ["--loss", "cross_entropy", "--dims", "16", "--out"];
  const read = await readBy(path("data.safetensors"), async () => {
    expect(await command("clean", ...options, path("parts.csv"))).toMatchObject({ code: 0 });
  });
  const size = statSync(path("data.safetensors")).size;
  expect(read.all).toBeGreaterThan(size);
  expect(read.most).toBeLessThan(size / 2);
  expect(await command("clean", ...options, path("held.csv"), "--report", path("page.html"))).toMatchObject({
    code: 0,
  });
  expect(readFileSync(path("parts.csv"), "utf8")).toBe(readFileSync(path("held.csv"), "utf8"));
});
