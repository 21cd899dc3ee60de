/** The report: one HTML page that needs no other file. */

import { type Line, lineChart } from "./charts.js";
import { type Colour, paint } from "./drawing.js";
import { style } from "./style.js";

/** What is measured at intervals while a network learns. */
export interface Point {
  /** How often each digit was used so far, on average. */
  readonly epoch: number;
  /** Accuracy on the test digits. */
  readonly accuracy: number;
}

/** One training of one network. */
export interface Course {
  readonly points: readonly Point[];
  readonly seconds: number;
}

export interface PrivateCourse extends Course {
  /** After each step. */
  readonly epsilon: readonly number[];
  /** The share of the batch's digits whose gradient was clipped, by step. */
  readonly clipped: readonly number[];
}

/** Trainings of both kinds, on the same digits and from the same initial weights. */
export interface Pair {
  readonly seed: number;
  readonly plain: Course;
  readonly private: PrivateCourse;
}

export interface Settings {
  readonly trainCount: number;
  readonly testCount: number;
  readonly batchSize: number;
  readonly steps: number;
  readonly maxNorm: number;
  readonly noiseMultiplier: number;
  readonly delta: number;
}

export interface Results {
  readonly pairs: readonly Pair[];
  readonly settings: Settings;
}

/** Rounds up, never down. */
export const shownEpsilon = (epsilon: number) => (Math.ceil(epsilon * 100) / 100).toFixed(2);
const whole = (value: number) => value.toLocaleString("en-US");
const share = (part: number) => `${(100 * part).toFixed(1)} %`;

export function finalAccuracy({ points }: Course): number {
  return points.at(-1)?.accuracy ?? Number.NaN;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function finalEpsilon({ pairs }: Results): number {
  return Math.max(...pairs.map((pair) => pair.private.epsilon.at(-1) ?? Number.NaN));
}

const paragraph = (text: string) => `<p>${text}</p>`;

function section(title: string, texts: readonly string[], ...drawings: readonly string[]): string {
  const figure = drawings.length > 0 ? `<div class="charts">${drawings.join("")}</div>` : "";
  return `<section><h2>${title}</h2>${texts.map(paragraph).join("")}${figure}</section>`;
}

function fact(value: string, meaning: string): string {
  return `<div><dt>${meaning}</dt><dd>${value}</dd></div>`;
}

function facts(results: Results): string {
  const { pairs, settings } = results;
  const accuracy = (of: (pair: Pair) => Course) => share(mean(pairs.map((pair) => finalAccuracy(of(pair)))));
  return `<dl>${[
    fact(
      accuracy(({ private: course }) => course),
      `of ${whole(settings.testCount)} test digits read right by privately trained networks`,
    ),
    fact(
      accuracy(({ plain }) => plain),
      "by the same networks, trained without privacy",
    ),
    fact(shownEpsilon(finalEpsilon(results)), `epsilon of each private network, at delta ${settings.delta}`),
    fact(
      settings.noiseMultiplier.toFixed(2),
      "noise multiplier: the noise’s standard deviation, in units of one digit’s largest influence",
    ),
  ].join("")}</dl>`;
}

function pointsOf({ points }: Course): [number, number][] {
  return points.map(({ epoch, accuracy }) => [epoch, accuracy]);
}

function accuracyChart({ pairs }: Results): string {
  const line = (colour: Colour, course: Course): Line => ({ colour, points: pointsOf(course) });
  return lineChart({
    x: "epoch",
    y: "accuracy on test digits",
    label: "Accuracy by epoch, private and not",
    format: "percent",
    wide: true,
    from: 0.5,
    to: 1,
    lines: [
      ...pairs.map(({ plain }) => line(paint.muted, plain)),
      ...pairs.map((pair) => line(paint.main, pair.private)),
    ],
    legend: [
      ["without privacy", paint.muted],
      ["private", paint.main],
    ],
  });
}

function stepChart(
  pairs: readonly Pair[],
  y: string,
  format: "percent" | "plain",
  of: (course: PrivateCourse) => readonly number[],
): string {
  const lines = pairs.map(
    ({ private: course }): Line => ({
      colour: paint.main,
      points: of(course).map((value, step) => [step + 1, value]),
    }),
  );
  return lineChart({ x: "step", y, label: `${y}, by step`, format, lines, legend: [], from: 0 });
}

function table({ pairs }: Results): string {
  const rows = pairs.map(({ seed, plain, private: course }) => {
    const cells = [
      String(seed),
      share(finalAccuracy(plain)),
      share(finalAccuracy(course)),
      shownEpsilon(course.epsilon.at(-1) ?? Number.NaN),
      course.seconds.toFixed(0),
    ];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  const headings = ["seed", "without privacy", "private", "epsilon", "seconds, private"];
  const head = headings.map((heading) => `<th>${heading}</th>`).join("");
  return `<table><thead><tr>${head}</tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

const tableStyle = `
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 4px 18px 4px 0; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 500; font-size: 14px; }
`;

function meaning({ settings }: Results, epsilon: number): string[] {
  const odds = Math.exp(epsilon);
  return [
    `Could somebody who holds a trained network tell whether one particular digit was among the ${whole(settings.trainCount)} it learned from? Differential privacy puts a number on the best that anybody can do. With <b>epsilon ${shownEpsilon(epsilon)}</b>, whatever they saw, it can shift the odds that the digit was there by a factor of at most e<sup>${shownEpsilon(epsilon)}</sup> ≈ ${odds.toFixed(0)}, save for an accident of probability about ${settings.delta}. That holds for whoever knows everything else, and against every attack, known or not; attacks that one can try reach much less.`,
    `It comes from two things done at each of the ${whole(settings.steps)} steps. Each digit’s own gradient is <b>clipped</b> to a norm of ${settings.maxNorm}, so that no digit can push harder than that; and <b>noise</b> that hides a push of that size is added to their sum. A step looks at about ${whole(settings.batchSize)} digits, each drawn by chance, which hides a digit further. The accountant adds up what all steps together may reveal.`,
  ];
}

function caveats({ pairs }: Results): string[] {
  return [
    `Each of the ${pairs.length} private networks keeps the promise alone. Who sees all of them sees more: their budgets add up. So does, strictly, the choice of settings by looking at the accuracy of many private runs, which this page’s epsilon does not count. The shares of clipped gradients below are taken from the training digits without noise; they are shown here because these digits are public.`,
  ];
}

export function report(results: Results): string {
  const { pairs, settings } = results;
  const epsilon = finalEpsilon(results);
  const lead = `The same small network learned ${whole(settings.trainCount)} handwritten digits (MNIST) twice from each of ${pairs.length} starts: as usual, and so that nobody can learn much from it about any single digit.`;
  const charts = [
    stepChart(pairs, "epsilon spent", "plain", ({ epsilon }) => epsilon),
    stepChart(pairs, "share of gradients clipped", "percent", ({ clipped }) => clipped),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Learning digits without remembering any: private training with pergrad</title>
<style>${style}${tableStyle}</style>
</head>
<body>
<main>
<header><h1>Learning digits without remembering any</h1>${paragraph(lead)}</header>
${facts(results)}
${section("What the promise is", meaning(results, epsilon))}
${section("What it costs in accuracy", ["Each line is one training, measured on digits that neither saw."], accuracyChart(results))}
<section>${table(results)}</section>
${section("What is spent, and what is clipped", caveats(results), ...charts)}
</main>
</body>
</html>
`;
}
