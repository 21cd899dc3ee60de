/** Computes the numbers that a report shows for a data set. */
import { largest } from "../cleaning/by-class.js";
import { isKnown, type Targets, targetKind, targetsOf } from "../cleaning/targets.js";
import type { Objective } from "../compile/objective.js";
import { bindShape } from "../graph/dim.js";
import { Program } from "../program/program.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { scoresWhere } from "../train/figures.js";
import { want } from "../wants/want.js";
import type { Norms } from "../wants/wanted.js";
import { checkClassNames, shownSamples, showOf } from "./shown.js";
import type { ReportColumn, ReportContent, ReportLayer, ReportOptions } from "./types.js";

/** Names of scores on a page. */
const scoreNames = {
  label: "wrong label",
  duplicate: "copy",
  outlier: "outlier",
  uninformative: "teaches nothing",
} as const;

/** What a program computes for all samples. */
interface Measured {
  readonly losses: Float32Array;
  readonly norms: Norms;
  /** `[N, C]`; only for classes. */
  readonly scores: Float32Array | undefined;
}

async function measured(
  objective: Objective,
  feeds: Readonly<Record<string, Tensor>>,
  { threads, onProgress }: Pick<ReportOptions, "threads" | "onProgress">,
): Promise<Measured> {
  const program = await Program.of(objective, {
    loss: objective.loss,
    ...(threads === undefined ? {} : { threads }),
    want: {
      losses: want.losses(),
      norms: want.norms(),
      scores: scoresWhere(targetKind(objective) === "classes", objective),
    },
  });
  try {
    const { losses, norms, scores } = await program.runAll(feeds, {
      allowNotFinite: true,
      notFinite: "ignore",
      inPlace: true,
      ...(onProgress ? { onProgress: (progress) => onProgress(progress.samples) } : {}),
    });
    return { losses: losses.data, norms, scores: scores?.data };
  } finally {
    await program.release();
  }
}

/** @param feeds all samples, checked */
export async function contentOf(
  objective: Objective,
  feeds: Readonly<Record<string, Tensor>>,
  options: Omit<ReportOptions, "out" | "loss">,
): Promise<ReportContent> {
  checkClassNames(objective, options.classNames);
  const show = showOf(objective, feeds, options);
  const { losses, norms, scores } = await measured(objective, feeds, options);
  const samples = losses.length;
  const total = norms.total.data;
  const columns: ReportColumn[] = [
    ...issueColumns(options.scores),
    { key: "norm", name: "gradient norm", values: total },
    { key: "loss", name: "loss", values: losses },
  ];
  const targets = targetsOf(objective, feeds.target);
  const classes = classesOf(targets, scores);
  const { ids, classNames } = options;
  return {
    title: options.title ?? `Gradients of ${samples.toLocaleString("en-US")} samples`,
    lead: "How hard each sample pulls at the model’s parameters: the norm of its own gradient. Samples that contradict what the others teach have long ones.",
    samples,
    ...(ids ? { ids } : {}),
    ...(classNames ? { classNames } : {}),
    columns,
    ...classes,
    layers: layersOf(objective, norms.parameters, total),
    show,
    shown: shownSamples(objective, feeds, show, options, { samples, columns }),
    facts: factsOf(losses, total, classes, (n) => isKnown(targets, n)),
  };
}

function issueColumns(scores: ReportOptions["scores"]): ReportColumn[] {
  if (!scores) return [];
  return (["label", "duplicate", "outlier", "uninformative"] as const).map((key) => ({
    key: `${key}_score`,
    name: scoreNames[key],
    values: scores[key],
  }));
}

interface Classes {
  readonly labels?: Int32Array;
  readonly predictions?: Int32Array;
}

/** Labels, and the class with the highest score for each sample. */
function classesOf(targets: Targets, scores: Float32Array | undefined): Classes {
  if (targets.kind !== "classes" || !scores) return {};
  const { labels, classes } = targets;
  return {
    labels,
    predictions: labels.map((_, n) => largest(scores.subarray(n * classes, (n + 1) * classes))),
  };
}

function layersOf(
  { parameters }: Objective,
  norms: Readonly<Record<string, { readonly data: Float32Array }>>,
  total: Float32Array,
): ReportLayer[] {
  return [...parameters].map(([name, { shape }]) => {
    const own = norms[name]?.data ?? new Float32Array(total.length);
    let [sum, counted] = [0, 0];
    own.forEach((norm, n) => {
      const share = (norm / (total[n] ?? 0)) ** 2;
      if (!Number.isFinite(share)) return;
      sum += share;
      counted++;
    });
    return { name, elements: sizeOf(bindShape(shape, 0)), share: counted === 0 ? 0 : sum / counted };
  });
}

/** @param isKnown whether the target of sample n counts; others are left out of all means */
function factsOf(
  losses: Float32Array,
  norms: Float32Array,
  { labels, predictions }: Classes,
  isKnown: (n: number) => boolean,
): [string, string][] {
  const known = Array.from(losses.keys()).filter(isKnown);
  const mean = (of: (n: number) => number) => known.reduce((sum, n) => sum + of(n), 0) / known.length;
  const write = (value: number) => value.toLocaleString("en-US");
  const facts: [string, string][] = [[write(losses.length), "samples"]];
  const others = losses.length - known.length;
  if (others > 0) facts.push([write(others), "of them without a target that counts"]);
  if (known.length === 0) return facts;
  if (labels && predictions)
    facts.push([`${(100 * mean((n) => Number(labels[n] === predictions[n]))).toFixed(1)} %`, "predicted as labelled"]);
  facts.push(
    [mean((n) => losses[n] ?? 0).toPrecision(3), "mean loss"],
    [mean((n) => norms[n] ?? 0).toPrecision(3), "mean gradient norm"],
  );
  return facts;
}
