import { describe, expect, it } from "vitest";
import { network } from "../../examples/digits/network.js";
import { largest, type Results, report, spreadAtLoss } from "../../examples/digits/report.js";
import { relativeDifference } from "../../examples/digits/timing.js";
import { losses } from "../../src/index.js";
import { jsonOf, pageOf } from "../../src/report/page.js";
import { reportContent } from "../../src/report/report.js";
import { random } from "../../src/tensor/random.js";
import { tensor } from "../../src/tensor/tensor.js";

/** Not digits, but bars: label k is a dark stripe at height 2k, on noise. */
async function results(samples: number): Promise<Results> {
  const source = random(4);
  const x = new Float32Array(samples * 784).map(() => source.uniform(0, 0.3));
  for (let n = 0; n < samples; n++) x.fill(1, n * 784 + (n % 10) * 2 * 28, n * 784 + ((n % 10) * 2 + 2) * 28);
  const target = tensor(
    "int64",
    [samples],
    BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 10)),
  );
  const time = (name: string, ratio: number) => ({ name, milliseconds: 2.5 * ratio, ratio });
  return {
    content: await reportContent(
      network(1),
      { x: tensor("float32", [samples, 1, 28, 28], x), target },
      { loss: losses.crossEntropy() },
    ),
    seconds: 1.5,
    testCount: 20,
    epochs: [0.5, 0.9].map((accuracy) => ({
      trainLoss: 1 - accuracy,
      trainAccuracy: accuracy / 2,
      testLoss: 1 - accuracy,
      testAccuracy: accuracy,
    })),
    timings: {
      samples: 256,
      rounds: 7,
      times: [time("plain", 1), time("norms", 1.25), time("gradients", 2), time("loop", 30)],
      difference: 2e-6,
    },
    seed: 5,
  };
}

/** Throws unless every element is closed in order. */
function requireWellFormed(html: string): void {
  const open: string[] = [];
  const body = html.replace(/<(style|script)[^>]*>[\s\S]*?<\/\1>/g, "");
  for (const [tag, end, name = "", attributes = ""] of body.matchAll(/<(\/?)([a-zA-Z][\w]*)((?:"[^"]*"|[^">])*)>/g)) {
    if (end) expect(`</${open.pop()}>`).toBe(tag);
    else if (!attributes.endsWith("/") && !["meta", "br"].includes(name)) open.push(name);
  }
  expect(open).toEqual([]);
}

describe("the page of npm start", () => {
  it("is a report of the digits, with what was found, what it cost and how the network learned", async () => {
    const content = report(await results(30));
    const html = pageOf(content, "");
    requireWellFormed(html);
    expect(html).not.toMatch(/https?:|<link|@import|NaN|undefined|Infinity/);
    expect(content.show).toBe("image");
    expect(content.shown.size).toBe(30);
    expect(content.shown.get(0)).toMatch(/^data:image\/png;base64,/);
    for (const text of ["90.0 %", "1.25 ×", "30.00 ×", "7 rounds", "seed 5", "Of 30 training digits"])
      expect(html).toContain(text);
    const { rows }: { rows: { norm: number; label: number }[] } = JSON.parse(jsonOf(content));
    expect(rows.map(({ label }) => label)).toEqual(Array.from({ length: 30 }, (_, n) => n % 10));
    expect(rows.every(({ norm }) => norm > 0)).toBe(true);
  });

  it("draws the costs and the epochs by the charts of reports", async () => {
    const { sections = [] } = report(await results(3));
    const charts = sections.flatMap(({ charts: own = [] }) => own);
    expect(charts.map(({ kind, label }) => [kind, label])).toEqual([
      ["bars", "Time per batch"],
      ["lines", "mean loss by epoch"],
      ["lines", "accuracy by epoch"],
    ]);
    expect(charts[2]).toMatchObject({
      at: [1, 2],
      format: "percent",
      series: [
        { name: "test digits", values: [0.5, 0.9] },
        { name: "training digits, while training", values: [0.25, 0.45] },
      ],
    });
  });
});

it("largest takes indices in descending order", () => {
  expect(largest([1, 5, 3, 5], 3)).toEqual([1, 3, 2]);
  expect(largest([], 3)).toEqual([]);
});

it("spreadAtLoss compares norms within a narrow band of losses", () => {
  const all = Array.from({ length: 100 }, () => 0.5);
  expect(
    spreadAtLoss(
      all.map((_, n) => n + 1),
      all,
    ),
  ).toBeCloseTo(96 / 6);
  expect(spreadAtLoss([], [])).toBeNaN();
});

it("relativeDifference is relative to the largest", () => {
  expect(relativeDifference([1, 4], [1.5, 4])).toBeCloseTo(0.125);
  expect(relativeDifference([], [])).toBe(0);
  expect(relativeDifference([1], [])).toBe(Number.POSITIVE_INFINITY);
});
