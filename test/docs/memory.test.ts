import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { writeTensors } from "../../src/io/files.js";
import { temporaryFolder } from "../support/folder.js";
import { example } from "./memory-example.js";

const lines = (text: string) => text.split("\n").map((line) => line.trim());

it("docs/memory.md quotes code that compiles", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/memory.md"), "utf8");
  const code = lines(readFileSync(join(import.meta.dirname, "memory-example.ts"), "utf8")).join("\n");
  const blocks = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, block = ""]) => lines(block).join("\n").trim());
  expect(blocks).toHaveLength(5);
  for (const block of blocks) expect(code).toContain(block);
});

it("the code of docs/memory.md runs", async () => {
  const path = join(temporaryFolder(), "data.safetensors");
  const samples = 300;
  const x = Float32Array.from({ length: samples * 784 }, (_, i) => Math.sin(i));
  const target = BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 10));
  await writeTensors(path, {
    x: { dtype: "float32", dims: [samples, 784], data: x },
    target: { dtype: "int64", dims: [samples], data: target },
  });
  const told = await example({ x, target }, path);
  expect(Number(/take (\d+) bytes/.exec(told[0] ?? "")?.[1])).toBeGreaterThan(3.5e6);
  expect(told[1]).toBe("samples 0 to 5");
  expect(told.at(-1)).toBe("300 of 300");
});
