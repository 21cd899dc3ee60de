/** Types are meant to carry the meaning: what is cast is not checked. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { everyNode, parse } from "../support/syntax.js";

const root = join(import.meta.dirname, "..", "..");

/** `x as Y`, but not `as const`, and `x!`, in one file. */
function castsIn(code: string, file: string): string[] {
  return everyNode(parse(code, file))
    .filter(({ type }) => type === "TSAsExpression" || type === "TSNonNullExpression")
    .map(({ start, end }) => code.slice(start, end))
    .filter((text) => !/\bas\s+const$/.test(text));
}

it("casts are found in all their forms", () => {
  const code = "const [a, b, c] = [x as number, (y as { z: 1 }).z, w!]; const d = [1] as const; type E = { as: 1 };";
  expect(castsIn(code, "sample.ts")).toEqual(["x as number", "y as { z: 1 }", "w!"]);
});

it("at most 350 casts are left in src: most of them read a typed array in a loop, where a check would cost time", () => {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  const found = files.flatMap((file) => castsIn(readFileSync(join(root, "src", file), "utf8"), file));
  expect(found.length).toBeLessThanOrEqual(350);
});
