/** What this page adds to a report of any model and data: what the digits show, what it cost, how the network learned. */
import type { ReportChart, ReportContent, ReportSection } from "../../src/report/types.js";
import type { Timings } from "./timing.js";
import type { Epoch } from "./training.js";

export interface Results {
  /** For the training digits. */
  readonly content: ReportContent;
  /** The time that computing it took. */
  readonly seconds: number;
  readonly testCount: number;
  readonly epochs: readonly Epoch[];
  readonly timings: Timings;
  readonly seed: number;
}

/** The number of digits that count as those which push hardest. */
const hardest = 40;

const whole = (value: number) => value.toLocaleString("en-US");
const percent = (part: number, digits = 1) => `${(100 * part).toFixed(digits)} %`;
const paragraph = (text: string) => `<p>${text}</p>`;

/** The content's own numbers, under a name, one for each digit. */
function columnOf({ columns }: Pick<ReportContent, "columns">, key: string): readonly number[] {
  return Array.from(columns.find((column) => column.key === key)?.values ?? []);
}

/** Indices of the `count` largest values, the largest first. */
export function largest(values: readonly number[], count: number): number[] {
  return values
    .map((_, n) => n)
    .sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0))
    .slice(0, count);
}

function facts({ epochs, content, seconds, timings, testCount }: Results): ReportContent["facts"] {
  const ratio = (k: number) => `${(timings.times[k]?.ratio ?? Number.NaN).toFixed(2)} ×`;
  return [
    [percent(epochs.at(-1)?.testAccuracy ?? 0), `of ${whole(testCount)} test digits read right`],
    [whole(content.samples), `gradient norms, one per training digit, in ${seconds.toFixed(1)} s`],
    [ratio(1), "the time of the plain mean gradient, for every digit’s norm"],
    [ratio(3), "the time of the plain mean gradient, for a loop over digits"],
  ];
}

const explanation: ReportSection = {
  title: "What a gradient norm says",
  first: true,
  html: [
    "A network learns by small nudges to its weights. For each digit one can ask: <i>which way, and how hard, would this one digit nudge the weights if it were alone?</i> That is the digit’s <b>gradient</b>, one number per weight. Its <b>norm</b> (its length) is how hard the digit pushes.",
    "A digit that the network already reads well pushes hardly at all. A digit that contradicts what the others taught pushes hard: because it is smudged, could be two digits, or carries the wrong label. So sorting a data set by gradient norm brings the samples to the top that deserve a second look. Limiting each sample’s push to a largest norm is also the heart of training that keeps its data private.",
    "Training libraries hand out only the <i>mean</i> push of a batch, in which nobody can tell who pushed. pergrad computes each sample’s own, in the same pass over the batch.",
  ]
    .map(paragraph)
    .join(""),
};

function findings({ content }: Results): ReportSection {
  const [norms, losses] = [columnOf(content, "norm"), columnOf(content, "loss")];
  const { labels = [], predictions = [] } = content;
  const top = largest(norms, hardest);
  const sum = norms.reduce((total, norm) => total + norm, 0);
  const part = top.reduce((total, n) => total + (norms[n] ?? 0), 0) / (sum || 1);
  const misread = top.filter((n) => predictions[n] !== labels[n]).length;
  const texts = [
    `Of ${whole(norms.length)} training digits, the ${top.length} with the longest gradients (${percent(top.length / Math.max(1, norms.length))}) make ${percent(part, 0)} of the sum of all norms. The network, though trained on them, reads ${misread} of them as another digit. They come first in the list below.`,
  ];
  const ratio = spreadAtLoss(norms, losses);
  if (Number.isFinite(ratio))
    texts.push(
      `The loss says how wrong the network is about a digit; the norm, how hard the digit pulls at the weights. They rise together, but among digits of the same loss (within 12 %) norms still differ by a factor of ${ratio.toFixed(1)} (5th to 95th percentile, typically): the loss alone is a rough guide to how hard a digit pushes.`,
    );
  return { title: "What was found", first: true, html: texts.map(paragraph).join("") };
}

/** The value below which this share of the values lies; NaN if there are none. */
function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

/** How much norms differ among digits of nearly the same loss: the typical ratio of the 95th to the 5th percentile. */
export function spreadAtLoss(norms: readonly number[], losses: readonly number[]): number {
  const bins = new Map<number, number[]>();
  losses.forEach((loss, n) => {
    const bin = Math.floor(Math.log10(loss) * 20);
    if (Number.isFinite(bin)) bins.set(bin, [...(bins.get(bin) ?? []), norms[n] ?? 0]);
  });
  const ratios = [...bins.values()]
    .filter(({ length }) => length >= 20)
    .map((own) => quantile(own, 0.95) / quantile(own, 0.05));
  return quantile(ratios, 0.5);
}

function costs({ timings }: Results): ReportSection {
  const { samples, rounds, difference, times } = timings;
  const ratios = times.map(({ name, ratio }) => `${name} ${ratio.toFixed(2)} ×`).join(", ");
  return {
    title: "What it costs",
    html: paragraph(
      `The same ${samples} digits four ways, in turn, ${rounds} rounds, median of each. Against the plain mean gradient that ordinary training computes: ${ratios}. The naive loop is pergrad’s own mean gradient on one digit at a time, the simplest way to the same norms. Loop and norms agree to ${difference.toExponential(0)} of the largest norm.`,
    ),
    charts: [
      {
        kind: "bars",
        label: "Time per batch",
        axes: ["", "milliseconds per batch (median)"],
        at: times.map(({ name }) => name),
        series: [{ name: "milliseconds", values: times.map(({ milliseconds }) => milliseconds) }],
      },
    ],
  };
}

function course(epochs: readonly Epoch[], name: string, of: readonly [keyof Epoch, keyof Epoch]): ReportChart {
  const lines = ["training digits, while training", "test digits"].reverse();
  return {
    kind: "lines",
    label: `${name} by epoch`,
    axes: ["epoch", name],
    at: epochs.map((_, k) => k + 1),
    series: lines.map((line, k) => ({ name: line, values: epochs.map((epoch) => epoch[of[k] ?? of[0]]) })),
    format: name === "accuracy" ? "percent" : "plain",
  };
}

function training({ epochs, seed }: Results): ReportSection {
  return {
    title: "How the network learned",
    html: paragraph(
      `Each of the ${epochs.length} epochs shows the network every training digit once, in mini-batches, following the mean gradient (seed ${seed}).`,
    ),
    charts: [
      course(epochs, "mean loss", ["testLoss", "trainLoss"]),
      course(epochs, "accuracy", ["testAccuracy", "trainAccuracy"]),
    ],
  };
}

export function report(results: Results): ReportContent {
  const { content, testCount } = results;
  return {
    ...content,
    title: "Which digits push hardest?",
    lead: `A small convolutional network was trained on ${whole(content.samples)} handwritten digits (MNIST) and tested on ${whole(testCount)} others. Then the gradient of each training digit was measured, to see which ones the network had to be pulled hardest to learn.`,
    facts: facts(results),
    sections: [explanation, findings(results), costs(results), training(results)],
  };
}
