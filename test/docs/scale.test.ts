/** docs/scale.md: its tables are what the simulation says, and the simulation loses and doubles nothing. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { simulate, written } from "../../scripts/scale.js";

it("docs/scale.md has the tables of scripts/scale.ts (npm run docs:scale writes them)", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/scale.md"), "utf8");
  expect(written(page)).toBe(page);
});

it("a simulated job takes the time of its parts on its workers, and more where they die", () => {
  const common = { secondsPerPart: 100, spread: 0, restart: 20 };
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 9 }), (parts, workers) => {
      const job = { ...common, parts, workers, hoursBetweenDeaths: Number.POSITIVE_INFINITY };
      const { hours, deaths, lost } = simulate(job);
      expect(hours * 3600).toBeCloseTo(Math.ceil(parts / workers) * 100, 6);
      expect([deaths, lost]).toEqual([0, 0]);
      const dying = simulate({ ...job, hoursBetweenDeaths: 0.1 });
      expect(dying.hours).toBeGreaterThanOrEqual(hours - 1e-9);
      expect(dying.lost > 0).toBe(dying.deaths > 0);
    }),
  );
});
