import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { opsTable } from "../../scripts/ops-table.js";

it("docs/ops.md is what the op registry says (npm run docs writes it)", () => {
  expect(readFileSync(join(import.meta.dirname, "../../docs/ops.md"), "utf8")).toBe(opsTable());
});
