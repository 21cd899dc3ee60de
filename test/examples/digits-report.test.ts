import { describe, expect, it } from "vitest";
import { power } from "../../examples/digits/drawing.js";
import { logBins, logRange } from "../../examples/digits/logs.js";
import { layersOf } from "../../examples/digits/norms.js";
import { picture } from "../../examples/digits/picture.js";
import { largest, type Results, report, spreadAtLoss } from "../../examples/digits/report.js";
import { relativeDifference } from "../../examples/digits/timing.js";
import { tensor } from "../../src/tensor/tensor.js";

/** Digit n is one dark pixel at place n; digit 0 has neither loss nor gradient. */
function fake(samples: number): Results {
  const pixels = new Float32Array(samples * 784);
  for (let n = 0; n < samples; n++) pixels[n * 784 + (n % 784)] = 1;
  const indices = Array.from({ length: samples }, (_, n) => n);
  const time = (name: string, ratio: number) => ({ name, milliseconds: 2.5 * ratio, ratio });
  return {
    train: {
      x: tensor("float32", [samples, 1, 28, 28], pixels),
      target: tensor(
        "int64",
        [samples],
        BigInt64Array.from(indices, (n) => BigInt(n % 10)),
      ),
    },
    testCount: 20,
    epochs: [0.5, 0.9].map((accuracy) => ({
      trainLoss: 1 - accuracy,
      trainAccuracy: accuracy,
      testLoss: 1 - accuracy,
      testAccuracy: accuracy,
    })),
    study: {
      norms: indices.map((n) => n / 10),
      losses: indices.map((n) => (n === 0 ? -0 : n / 100)),
      predictions: indices.map((n) => (n % 7 === 0 ? 3 : n % 10)),
      layers: [
        { name: "convolution 1", elements: 1040, share: 0.25 },
        { name: "linear 1", elements: 330, share: 0.75 },
      ],
      seconds: 1.5,
    },
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
  const body = html.replace(/<style>[\s\S]*?<\/style>/g, "");
  for (const [tag, end, name = "", attributes = ""] of body.matchAll(/<(\/?)([a-zA-Z][\w]*)((?:"[^"]*"|[^">])*)>/g)) {
    if (end) expect(`</${open.pop()}>`).toBe(tag);
    else if (!attributes.endsWith("/") && !["meta", "br"].includes(name)) open.push(name);
  }
  expect(open).toEqual([]);
}

describe("the report", () => {
  const html = report(fake(100));

  it("is well-formed", () => {
    requireWellFormed(html);
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
  });

  it("needs nothing else", () => {
    expect(html).not.toMatch(/https?:|<script|<link|<img|@import|\bsrc=|\bhref=|url\((?!#)/);
  });

  it("holds the 40 pictures, the largest gradient first", () => {
    const digits = [...html.matchAll(/<figure class="digit">.*?<\/figure>/g)].map(([figure]) => figure);
    expect(digits.length).toBe(40);
    expect(digits[0]).toContain('aria-label="A digit labelled 9, read as 9"');
    expect(digits[0]).toContain("norm 9.90");
    // The 99th picture has its pixel in row 3, column 15.
    expect(digits[0]).toContain("M15 3h1v1h-1z");
    // 98 is a multiple of 7, so it is misread.
    expect(digits[1]).toContain("<b>8</b>, read as <em>3</em>");
  });

  it("holds all charts, in the page's colours", () => {
    expect([...html.matchAll(/<svg role="img"/g)].length).toBe(6);
    expect(html).not.toMatch(/#00000[1-5]/);
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
    for (const name of ["gradient norm (log scale)", "loss (nats, log scale)", "accuracy", "epoch"])
      expect(html).toContain(`>${name}</text>`);
  });

  it("says the key numbers", () => {
    for (const text of ["90.0 %", "1.25 ×", "30.00 ×", "75.0 ms (30.00 ×)", "25.0 %", "7 rounds", "seed 5"])
      expect(html).toContain(text);
  });

  it("copes with few digits, and with no gradients at all", () => {
    for (const samples of [1, 3]) {
      const few = report(fake(samples));
      requireWellFormed(few);
      expect([...few.matchAll(/<figure class="digit">/g)].length).toBe(samples);
      expect(few).not.toMatch(/NaN|undefined|Infinity/);
    }
  });
});

it("a picture has its runs of pixels by level", () => {
  const pixels = new Float32Array(784);
  pixels.set([1, 1, 0.4, 0, 1], 26 * 28 + 23);
  const svg = picture(pixels, "five");
  expect(svg).toContain('<path d="M25 26h1v1h-1z" fill-opacity="0.4"/>');
  expect(svg).toContain('<path d="M23 26h2v1h-2zM27 26h1v1h-1z" fill-opacity="1"/>');
  expect(picture(new Float32Array(784), "none")).not.toContain("<path");
});

describe("log scales", () => {
  it("run around the values, ten decades at most, zeros aside", () => {
    expect(logRange([0, 0.02, 30], 1)).toEqual({ from: -2, to: 2 });
    expect(logRange([0.02, 30], 2)).toEqual({ from: -2, to: 1.5 });
    expect(logRange([1e-30, 5], 1)).toEqual({ from: -9, to: 1 });
    expect(logRange([10], 4)).toEqual({ from: 1, to: 1.25 });
    expect(logRange([], 1)).toEqual({ from: 0, to: 1 });
    expect(logRange([0, Number.POSITIVE_INFINITY], 1)).toEqual({ from: 0, to: 1 });
  });

  it("count every value in one bin", () => {
    expect(logBins([0, 0.5, 1, 5, 10, 99, 100, 1e9], { from: 0, to: 2 }, 1)).toEqual([4, 4]);
  });

  it("are labelled by powers", () => {
    expect([1e-10, 1e-3, 0.01, 1, 100, 1000, 3].map(power)).toEqual(["10⁻¹⁰", "10⁻³", "0.01", "1", "100", "10³", ""]);
  });
});

it("largest takes indices in descending order", () => {
  expect(largest([1, 5, 3, 5], 3)).toEqual([1, 3, 2]);
  expect(largest([], 3)).toEqual([]);
});

it("spreadAtLoss compares norms within a narrow band of losses", () => {
  const losses = Array.from({ length: 100 }, () => 0.5);
  expect(
    spreadAtLoss(
      losses.map((_, n) => n + 1),
      losses,
    ),
  ).toBeCloseTo(96 / 6);
  expect(spreadAtLoss([], [])).toBeNaN();
});

it("layersOf takes the mean share of the squared norm by layer", () => {
  const weights = (size: number) => tensor("float32", [size], new Float32Array(size));
  const parameters = { "0.weight": weights(6), "0.bias": weights(2), "3.weight": weights(4) };
  const norms = new Map([
    ["0.weight", [3, 0, 0]],
    ["0.bias", [0, 0, 0]],
    ["3.weight", [4, 2, 0]],
  ]);
  const [first, second] = layersOf(parameters, norms, [5, 2, 0]);
  expect(first).toEqual({ name: "convolution 1", elements: 8, share: expect.closeTo(0.18, 10) });
  expect(second).toEqual({ name: "convolution 2", elements: 4, share: expect.closeTo(0.82, 10) });
});

it("relativeDifference is relative to the largest", () => {
  expect(relativeDifference([1, 4], [1.5, 4])).toBeCloseTo(0.125);
  expect(relativeDifference([], [])).toBe(0);
  expect(relativeDifference([1], [])).toBe(Number.POSITIVE_INFINITY);
});
