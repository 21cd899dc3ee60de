/** The HTML of a training's page. */
import type { StepDiagnostics } from "../train/diagnosed.js";
import { chartSection, dataElement, documentOf, escaped } from "./html.js";

/** The contents of the page. */
export interface TrainingData {
  readonly title: string;
  /** Distinguishes trainings that write the same file. */
  readonly run: string;
  /** How often the file was written. */
  readonly version: number;
  readonly ended: boolean;
  /** Steps that were diagnosed. */
  readonly taken: number;
  /** Those of them that are drawn. */
  readonly steps: readonly StepDiagnostics[];
}

interface Chart {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  /** The name of the vertical axis. */
  readonly name: string;
  readonly series: readonly (readonly [key: keyof StepDiagnostics, label: string])[];
  readonly logarithmic?: boolean;
  /** Where to draw a horizontal line. */
  readonly mark?: number;
  readonly points?: boolean;
}

const charts: readonly Chart[] = [
  {
    id: "loss",
    title: "Loss",
    text: "Mean loss of each batch, before the step and after it.",
    name: "loss",
    series: [
      ["loss", "before the step"],
      ["lossAfter", "after the step"],
    ],
  },
  {
    id: "alpha",
    title: "Length of the step",
    text: "Alpha: where the step ended on the parabola along it. -1 is the start, 0 the minimum, 1 as high as before on the other side. Steps along which the loss rises from the start have none.",
    name: "alpha",
    series: [["alpha", "alpha"]],
    mark: 0,
    points: true,
  },
  {
    id: "curvature",
    title: "Curvature along the step",
    text: "d'H d / |d|² of the batch's mean loss. Where it is below 0, the loss bends down.",
    name: "curvature",
    series: [["curvatureAlongStep", "curvature"]],
    mark: 0,
  },
  {
    id: "tests",
    title: "Is the batch large enough?",
    text: "Standard errors of the mean gradient, relative to its norm. Well above 1, a larger batch would help.",
    name: "relative error",
    series: [
      ["normTest", "norm test"],
      ["innerProductTest", "inner-product test"],
      ["orthogonalityTest", "orthogonality test"],
    ],
    logarithmic: true,
    mark: 1,
  },
  {
    id: "noise",
    title: "Gradient noise scale",
    text: "The batch size at which signal and noise weigh the same, beside the batch's own size. Batches that show no signal have none.",
    name: "samples",
    series: [
      ["noiseScale", "noise scale"],
      ["samples", "batch size"],
    ],
    logarithmic: true,
  },
  {
    id: "signal",
    title: "Signal-to-noise ratio",
    text: "The gradient's square over its variance, mean over the elements.",
    name: "ratio",
    series: [["meanSignalToNoise", "signal-to-noise ratio"]],
    logarithmic: true,
  },
  {
    id: "stopping",
    title: "Early stopping",
    text: "Above 0, nothing tells the gradient from noise any more.",
    name: "evidence",
    series: [["earlyStopping", "early stopping"]],
    mark: 0,
  },
  {
    id: "norms",
    title: "Norms",
    text: "Of the mean gradient, and of the step.",
    name: "norm",
    series: [
      ["gradientNorm", "gradient"],
      ["stepNorm", "step"],
    ],
    logarithmic: true,
  },
];

/** Shown only if the curvature was requested. */
const tic: Chart = {
  id: "tic",
  title: "Noise over curvature",
  text: "The gradients' second moment over the generalised Gauss-Newton matrix (TIC), by their traces and element by element.",
  name: "ratio",
  series: [
    ["ticTrace", "by traces"],
    ["ticDiagonal", "by elements"],
  ],
  logarithmic: true,
};

/** The digits of a number that a page keeps; null for values that JSON cannot hold. */
function rounded(of: StepDiagnostics): Record<string, number | null> {
  return Object.fromEntries(
    Object.entries(of).map(([key, value]: [string, number | null]) => [
      key,
      value !== null && Number.isFinite(value) ? Number(value.toPrecision(6)) : null,
    ]),
  );
}

function factsOf({ steps, ended, taken }: TrainingData): Record<string, string> {
  const last = steps.at(-1);
  const shown = (value: number | undefined) =>
    value === undefined || !Number.isFinite(value) ? "–" : String(Number(value.toPrecision(4)));
  return {
    state: ended ? "ended" : "running",
    step: shown(last?.step),
    loss: shown(last?.lossAfter),
    noise: last && !(last.noiseScale > 0) ? "no signal" : shown(last?.noiseScale),
    alpha: shown(last?.alpha),
    diagnosed: String(taken),
  };
}

const meanings: Readonly<Record<string, string>> = {
  state: "training",
  step: "last diagnosed step",
  loss: "loss after it",
  noise: "noise scale",
  alpha: "alpha",
  diagnosed: "steps diagnosed",
};

/** In a frame of its own page, it only passes its numbers to the surrounding page. */
const inFrame = `if (parent !== window) { parent.postMessage(JSON.parse(document.getElementById("data").textContent), "*"); window.stop(); }`;

/** @param client the script that draws the charts */
export function trainingHtml(data: TrainingData, client: string): string {
  const { title, steps } = data;
  const shown = steps.some(({ ticTrace }) => ticTrace !== null) ? [...charts, tic] : charts;
  const facts = factsOf(data);
  const told = Object.entries(facts).map(
    ([id, value]) => `<div><dt>${escaped(meanings[id] ?? id)}</dt><dd id="fact-${id}">${escaped(value)}</dd></div>`,
  );
  const head = `${dataElement({ ...data, steps: steps.map(rounded), facts, charts: shown })}
<script>${inFrame}</script>
`;
  const body = `<main>
<header><h1>${escaped(title)}</h1><p>Diagnostics of the steps of a training, on the batch of each.</p></header>
<dl class="facts" aria-live="off">${told.join("")}</dl>
${shown.map(({ id, title: heading, text }) => chartSection(id, heading, text)).join("\n")}
</main>`;
  return documentOf({ title, head, body, client });
}
