/** What `check` prints and how it ends. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { Program } from "../../src/program/program.js";
import { floats, linear, workspace } from "./support.js";

const data = { x: floats([5, 3]), target: floats([5, 2]) };

const places = 4096;

/** A model that computes its loss: a scale times what all but cancels over the places. */
const cancelling = trace({ x: ["N", places], sign: ["N", places] }, { scale: uniform([1], 1) }, ({ x, sign }, part) =>
  x.mul(part.scale).mul(sign).mean(1),
);
const first = (k: number) => k % places < places / 2;
const halves = {
  x: floats([2, places], (k) => 1 + 0.9 * Math.sin(1 + (k % (places / 2))) + (first(k) ? 1e-5 : 0)),
  sign: floats([2, places], (k) => (first(k) ? 1 : -1)),
};

/** A matrix whose gradient nearly cancels over eight rows, so few that its norm comes from products of rows. */
const [rows, width] = [8, 128];
const cancellingProduct = trace(
  { x: ["N", rows, width], sign: ["N", rows, width] },
  { w: uniform([width, width], 1) },
  ({ x, sign }, { w }) => x.matmul(w).mul(sign).mean([1, 2]),
);
const upper = (k: number) => Math.floor(k / width) % rows < rows / 2;
const cancellingRows = {
  x: floats([3, rows, width], (k) => 1 + 0.9 * Math.sin(1 + (k % ((rows * width) / 2))) + (upper(k) ? 1e-3 : 0)),
  sign: floats([3, rows, width], (k) => (upper(k) ? 1 : -1)),
};

/** Makes all gradients of all programs larger. */
function enlarge(factor: number): void {
  const run = Program.prototype.run;
  vi.spyOn(Program.prototype, "run").mockImplementation(async function (this: Program<never>, ...args) {
    const results = await run.apply(this, args);
    const { gradients } = results as { readonly gradients?: Readonly<Record<string, { data: Float32Array }>> };
    for (const each of Object.values(gradients ?? {})) each.data = each.data.map((x) => factor * x);
    return results;
  });
}
afterEach(() => vi.restoreAllMocks());

describe("check", () => {
  test("exits with 0 where all agrees, in a table without more columns than needed", async () => {
    const { command } = await workspace(linear(), data);
    const { code, out, err } = await command("check", "--differences", "1");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^parameter +verdict +against the loop +in sample +against differences$/m);
    expect(out).toMatch(/^weight +ok .* \d+\.\de[+-]\d+$/m);
    expect(out).toMatch(/^bias +ok .* -$/m);
    expect(out).toContain("No difference found in all 5 samples, tolerance 0.0001.\nErrors are relative");
  });

  test("exits with 0 where float32 rounds, and says why", async () => {
    const { command } = await workspace(cancelling, halves);
    const { code, out } = await command("check", "--loss", "output");
    expect(out).toMatch(/^scale +rounding /m);
    expect(out).toMatch(/^parameter .* it alone /m);
    expect(out).toMatch(/^No difference found in all 2 samples/m);
    expect(out).toMatch(
      /^The worst is "scale": in sample \d it is off by \S+, which is rounding of float32, .* is off by \S+; its terms nearly cancel, .* \S+ times the gradient\.$/m,
    );
    expect(code).toBe(0);
    const { out: text } = await command("check", "--loss", "output", "--json");
    expect(JSON.parse(text)).toMatchObject({ passed: true, parameters: [{ cause: "rounding" }] });
  });

  test("exits with 3 where a program is wrong, and asks for a report", async () => {
    enlarge(1.01);
    const { command } = await workspace(linear(), data);
    const { code, out } = await command("check");
    expect(out).toMatch(/^weight +DIFFERS +1\.0e-2 /m);
    expect(out).toMatch(/^A difference was found in all 5 samples/m);
    expect(out).toMatch(
      /^The worst is "\w+": in sample \d it is off by 1\.0e-2, while .* a fault of pergrad; please report it\.$/m,
    );
    expect(code).toBe(3);
  });

  test("exits with 0 where rounding leaves no digit right, and says so", async () => {
    const { command } = await workspace(cancelling, {
      ...halves,
      x: { ...halves.x, data: halves.x.data.map((x, k) => (first(k) ? x - 0.999e-5 : x)) },
    });
    const { code, out } = await command("check", "--loss", "output");
    expect(out).toMatch(/^scale +rounding +\d\.\de\+0 /m);
    expect(out).toMatch(
      /^The worst is "scale": .* which is rounding .*; float32 leaves hardly a digit of it right\.$/m,
    );
    expect(out).toMatch(/^Rounding of the gradients leaves hardly a digit right of norms, .*sum.*\.$/m);
    expect(out).not.toContain("fault");
    expect(code).toBe(0);
  });

  test("names a way of computing that rounds more than the gradient alone, and no fault", async () => {
    const { command } = await workspace(cancellingProduct, cancellingRows);
    const { code, out } = await command("check", "--loss", "output");
    expect(out).toMatch(/^norms +DIFFERS /m);
    expect(out).toMatch(/^"norms" .*: the way in which it is computed here rounds more, .*materialise.*\.$/m);
    expect(out).not.toContain("fault");
    expect(code).toBe(3);
  });

  test("calls what float32 does not hold no fault", async () => {
    const large = trace({ x: ["N", 1] }, { w: uniform([1], 1) }, ({ x }, { w }) => x.mul(w).square().square().sum(1));
    const { command } = await workspace(large, { x: floats([1, 1], () => 1e12) });
    const { code, out } = await command("check", "--loss", "output");
    expect(out).toMatch(/^w +DIFFERS +Infinity /m);
    expect(out).toMatch(/float32 cannot represent these numbers; scale the data or the loss\.$/m);
    expect(out).not.toContain("fault");
    expect(code).toBe(3);
  });
});
