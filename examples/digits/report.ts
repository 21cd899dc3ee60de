/** The report: one HTML page that needs nothing else. */
import { histogram, layerShares, normAgainstLoss, timeBars, trainingCharts } from "./charts.js";
import { countOf, type Digits, side } from "./data.js";
import type { NormStudy } from "./norms.js";
import { picture } from "./picture.js";
import { style } from "./style.js";
import type { Timings } from "./timing.js";
import type { Epoch } from "./training.js";

export interface Results {
  readonly train: Digits;
  readonly testCount: number;
  readonly epochs: readonly Epoch[];
  readonly study: NormStudy;
  readonly timings: Timings;
  readonly seed: number;
}

export const shown = 40;

const whole = (value: number) => value.toLocaleString("en-US");
const percent = (part: number, digits = 1) => `${(100 * part).toFixed(digits)} %`;

/** Indices of the `count` largest values, the largest first. */
export function largest(values: readonly number[], count: number): number[] {
  return values
    .map((_, n) => n)
    .sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0))
    .slice(0, count);
}

function labelOf({ train }: Results, n: number): number {
  return Number(train.target.data[n]);
}

function digit(results: Results, n: number): string {
  const { study, train } = results;
  const label = labelOf(results, n);
  const read = study.predictions[n] ?? Number.NaN;
  const norm = (study.norms[n] ?? 0).toPrecision(3);
  const pixels = train.x.data.subarray(n * side * side, (n + 1) * side * side);
  const image = picture(pixels, `A digit labelled ${label}, read as ${read}`);
  const verdict = read === label ? `<b>${label}</b>, read as ${read}` : `<b>${label}</b>, read as <em>${read}</em>`;
  return `<figure class="digit">${image}<figcaption>${verdict}<br><small>norm ${norm}</small></figcaption></figure>`;
}

function fact(value: string, meaning: string): string {
  return `<div><dt>${meaning}</dt><dd>${value}</dd></div>`;
}

function section(title: string, text: string, ...drawings: readonly string[]): string {
  const figure = drawings.length > 0 ? `<div class="charts">${drawings.join("")}</div>` : "";
  return `<section><h2>${title}</h2>${text}${figure}</section>`;
}

const paragraph = (text: string) => `<p>${text}</p>`;

function facts({ epochs, study, timings, testCount }: Results): string {
  const ratio = (k: number) => `${(timings.times[k]?.ratio ?? Number.NaN).toFixed(2)} ×`;
  return `<dl>${[
    fact(percent(epochs.at(-1)?.testAccuracy ?? 0), `of ${whole(testCount)} test digits read right`),
    fact(whole(study.norms.length), `gradient norms, one per training digit, in ${study.seconds.toFixed(1)} s`),
    fact(ratio(1), "the time of the plain mean gradient, for every digit’s norm"),
    fact(ratio(3), "the time of the plain mean gradient, for a loop over digits"),
  ].join("")}</dl>`;
}

function explanation(): string {
  return section(
    "What a gradient norm says",
    [
      "A network learns by small nudges to its weights. For each digit one can ask: <i>which way, and how hard, would this one digit nudge the weights if it were alone?</i> That is the digit’s <b>gradient</b>, one number per weight. Its <b>norm</b> (its length) is how hard the digit pushes.",
      "A digit that the network already reads well pushes hardly at all. A digit that contradicts what the others taught pushes hard: because it is smudged, could be two digits, or carries the wrong label. So sorting a data set by gradient norm brings the samples to the top that deserve a second look. Limiting each sample’s push to a largest norm is also the heart of training that keeps its data private.",
      "Training libraries hand out only the <i>mean</i> push of a batch, in which nobody can tell who pushed. pergrad computes each sample’s own, in the same pass over the batch.",
    ]
      .map(paragraph)
      .join(""),
  );
}

function hardest(results: Results): string {
  const { norms, predictions } = results.study;
  const top = largest(norms, shown);
  const sum = norms.reduce((total, norm) => total + norm, 0);
  const part = top.reduce((total, n) => total + (norms[n] ?? 0), 0) / (sum || 1);
  const misread = top.filter((n) => predictions[n] !== labelOf(results, n)).length;
  const text = `Of ${whole(norms.length)} training digits, these ${top.length} (${percent(top.length / norms.length)}) make ${percent(part, 0)} of the sum of all norms. The network, though trained on them, reads ${misread} of them as another digit. Each is shown with its <b>label</b>, what the network reads, and its norm, the largest first.`;
  const pictures = `<div class="digits">${top.map((n) => digit(results, n)).join("")}</div>`;
  return section(`The ${top.length} digits that push hardest`, paragraph(text) + pictures);
}

/** The value below which this part of the values lies; NaN of none. */
function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

/** By how much norms differ among digits of nearly the same loss: the ratio of the 95th to the 5th percentile, typically. */
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

function distribution(results: Results): string {
  const { norms, losses, predictions } = results.study;
  const misread = predictions.map((read, n) => read !== labelOf(results, n));
  const groups = { norms, losses, misread };
  const median = quantile(norms, 0.5).toPrecision(2);
  const range = `Half of the digits have a norm below ${median}, the largest is ${quantile(norms, 1).toPrecision(3)}: the scale is logarithmic. In red, the ${whole(misread.filter(Boolean).length)} training digits that the trained network does not read as they are labelled. What is too small for the scale is counted at its left end.`;
  const ratio = spreadAtLoss(norms, losses);
  const apart = Number.isFinite(ratio)
    ? ` Among digits of the same loss (within 12 %), norms still differ by a factor of ${ratio.toFixed(1)} (5th to 95th percentile, typically): the loss alone is a rough guide to how hard a digit pushes.`
    : "";
  const against = `One point per training digit. The loss says how wrong the network is about a digit; the norm, how hard the digit pulls at the weights. They rise together.${apart} What is too small for the scales, losses that round to 0 above all, is drawn at their ends.`;
  return (
    section("How hard each digit pushes", paragraph(range), histogram(groups)) +
    section("Norm against loss", paragraph(against), normAgainstLoss(groups))
  );
}

function costs({ timings }: Results): string {
  const { samples, rounds, difference } = timings;
  const text = `The same ${samples} digits four ways, in turn, ${rounds} rounds, median of each; in brackets, against the plain mean gradient that ordinary training computes. The naive loop is pergrad’s own mean gradient on one digit at a time, the simplest way to the same norms. Loop and norms agree to ${difference.toExponential(0)} of the largest norm.`;
  return section("What it costs", paragraph(text), timeBars(timings.times));
}

export function report(results: Results): string {
  const { train, testCount, epochs, study, seed } = results;
  const lead = `A small convolutional network was trained on ${whole(countOf(train))} handwritten digits (MNIST) and tested on ${whole(testCount)} others. Then the gradient of each training digit was measured, to see which ones the network had to be pulled hardest to learn.`;
  const layers =
    "The part of the squared norm that falls into each layer, beside the part of the network’s weights that the layer holds.";
  const training = `Each of the ${epochs.length} epochs shows the network every training digit once, in mini-batches, following the mean gradient (seed ${seed}).`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Which digits push hardest? Per-sample gradients with pergrad</title>
<style>${style}</style>
</head>
<body>
<main>
<header><h1>Which digits push hardest?</h1>${paragraph(lead)}</header>
${facts(results)}
${explanation()}
${hardest(results)}
${distribution(results)}
${section("Which layers they push", paragraph(layers), layerShares(study.layers))}
${costs(results)}
${section("How the network learned", paragraph(training), ...trainingCharts(epochs))}
</main>
</body>
</html>
`;
}
