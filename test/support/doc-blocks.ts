/** Runs the TypeScript blocks of a page of documentation, one after another as one module. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { vi } from "vitest";
import { temporaryFolder } from "./folder.js";

const root = join(import.meta.dirname, "..", "..");

/**
 * @param page a file of docs/, or of the repository ("../README.md")
 * @param prepare puts the files into the folder that the blocks read
 * @returns the lines that the blocks printed; files that they write lie in a temporary folder
 */
export async function runBlocks(
  page: string,
  prepare: (folder: string) => Promise<void> = async () => {},
): Promise<string[]> {
  const text = readFileSync(join(root, "docs", page), "utf8");
  const blocks = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = ""]) => code);
  if (blocks.length === 0) throw new Error(`docs/${page} has no block of TypeScript.`);
  const code = blocks.join("\n").replaceAll('from "pergrad"', `from ${JSON.stringify(join(root, "src", "index.ts"))}`);
  const folder = temporaryFolder();
  await prepare(folder);
  const file = join(folder, "blocks.ts");
  writeFileSync(file, code);
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((...values: unknown[]) => {
    lines.push(values.map((value) => (typeof value === "string" ? value : JSON.stringify(value))).join(" "));
  });
  const before = process.cwd();
  process.chdir(folder);
  try {
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    return lines;
  } finally {
    process.chdir(before);
    log.mockRestore();
  }
}
