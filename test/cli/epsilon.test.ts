/** The calculator says what the library says, and refuses what is not clear. */
import { describe, expect, test } from "vitest";
import { epsilon } from "../../src/privacy/index.js";
import { run } from "./support.js";

const base = ["epsilon", "--delta", "1e-5", "--batch-size", "30", "--samples", "1000", "--epochs", "2"];
const rest = ["--sampling-rate", "0.03", "--steps", "67", "--delta", "1e-5"];

test("epsilon of a training, by each accountant, as a table", async () => {
  const { code, out, err } = await run(...base, "--noise-multiplier", "1.1");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  // Two epochs of batches of 3 in 100 are 66.7 steps: all of the last counts.
  const mechanism = { kind: "gaussian", noiseMultiplier: 1.1, samplingRate: 0.03, steps: 67 } as const;
  for (const accountant of ["pld", "rdp", "gdp"] as const) {
    const printed = Number(new RegExp(`^${accountant} +([0-9.]+) `, "m").exec(out)?.[1]);
    const computed = epsilon([mechanism], { delta: 1e-5, accountant });
    expect(printed).toBeGreaterThanOrEqual(computed);
    expect(printed / computed).toBeCloseTo(1, 4);
  }
  expect(out).toContain("67 steps");
  expect(out).toMatch(/probability 0.00001\. This holds/);
});

test("the noise for an epsilon, as JSON", async () => {
  const { code, out } = await run("epsilon", ...rest, "--target-epsilon", "2", "--json", "--accountant", "rdp");
  const found = JSON.parse(out);
  expect(code).toBe(0);
  expect(found).toMatchObject({ samplingRate: 0.03, steps: 67, delta: 1e-5 });
  expect(found.results).toHaveLength(1);
  expect(found.results[0].epsilon).toBeLessThanOrEqual(2);
  expect(found.results[0].epsilon).toBeGreaterThan(1.998);
});

test("without noise there is no privacy", async () => {
  const { code, out } = await run("epsilon", ...rest, "--noise-multiplier", "0");
  expect(code).toBe(0);
  expect(out).toMatch(/This is not private/);
});

test.each(["0", "0.001", "0.1"])("what is printed never bounds by infinity: noise multiplier %s", async (noise) => {
  const { code, out } = await run("epsilon", ...rest, "--noise-multiplier", noise);
  expect(code).toBe(0);
  expect(out).not.toMatch(/infinity|NaN|undefined/i);
});

describe("wrong usage exits with 2", () => {
  test.each<readonly [string[], RegExp]>([
    [["epsilon"], /The option --delta <d> must be given/],
    [["epsilon", "model.onnx", ...rest], /This command takes only options/],
    [["epsilon", ...rest], /Give --noise-multiplier .* or --target-epsilon/],
    [["epsilon", ...rest, "--noise-multiplier", "1", "--target-epsilon", "1"], /cannot be used with/],
    [["epsilon", ...rest, "--noise-multiplier", "-1"], /number from 0 up/],
    [["epsilon", ...rest, "--target-epsilon", "0"], /number above 0/],
    [
      ["epsilon", ...rest, "--noise-multiplier", "1", "--epochs", "1"],
      /--steps <T> cannot be used with option --epochs <E>/,
    ],
    [["epsilon", ...rest, "--noise-multiplier", "1", "--samples", "10"], /cannot be used with option --samples/],
    [["epsilon", ...rest, "--noise-multiplier", "1", "--accountant", "moments"], /must be one of pld, rdp, gdp/],
    [["epsilon", "--delta", "2", "--noise-multiplier", "1"], /number from 0 to 1/],
    [["epsilon", "--delta", "0", "--noise-multiplier", "1", "--steps", "1"], /Give the sampling rate: /],
    [
      ["epsilon", "--delta", "0", "--noise-multiplier", "1", "--batch-size", "1001", "--samples", "1000"],
      /--batch-size 1001 is more than --samples 1000/,
    ],
    [
      ["epsilon", "--delta", "0", "--noise-multiplier", "1", "--sampling-rate", "0", "--epochs", "1"],
      /--epochs means nothing with a sampling rate of 0/,
    ],
  ])("pergrad %j", async (argv, message) => {
    const { code, out, err } = await run(...argv);
    expect({ code, out, err }).toEqual({ code: 2, out: "", err: expect.stringMatching(/^pergrad: [^\n]+[.?]\n$/) });
    expect(err).toMatch(message);
  });
});
