/** Whatever users can name has a docstring. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { PublicInterface } from "../support/public-interface.js";

const entry = join(import.meta.dirname, "..", "..", "src", "index.ts");

it("every export, and every member and option of it, has a docstring", () => {
  const found = new PublicInterface();
  expect(found.count(entry)).toBeGreaterThan(100);
  expect(found.undocumented(entry)).toEqual([]);
});
