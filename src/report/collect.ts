/** Computes the numbers that a report shows for a data set. */
import { predictionsOf } from "../cleaning/by-class.js";
import { isKnown, type Targets, targetKind, targetsOf } from "../cleaning/targets.js";
import type { Objective } from "../compile/objective.js";
import { bindShape } from "../graph/dim.js";
import { Gathered } from "../program/found-not-finite.js";
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
  { threads, onNotFinite, onProgress }: Pick<ReportOptions, "threads" | "onNotFinite" | "onProgress">,
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
  const notFinite = new Gathered();
  try {
    const { losses, norms, scores } = await program.runAll(feeds, {
      allowNotFinite: true,
      notFinite: "ignore",
      inPlace: true,
      ...(onNotFinite ? { onNotFinite: notFinite.take } : {}),
      ...(onProgress ? { onProgress: (progress) => onProgress(progress.samples) } : {}),
    });
    notFinite.tell(onNotFinite);
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
    title: options.title ?? `Gradients of ${samples.toLocaleString("en-US")} ${samples === 1 ? "sample" : "samples"}`,
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

/** Labels, and the class that each sample's scores predict. */
function classesOf(targets: Targets, scores: Float32Array | undefined): Classes {
  if (targets.kind !== "classes" || !scores) return {};
  const { labels, classes } = targets;
  return { labels, predictions: predictionsOf(scores, classes) };
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

/** @param isKnown whether the target of sample n counts; others, and numbers that are not finite, are left out of means */
function factsOf(
  losses: Float32Array,
  norms: Float32Array,
  { labels, predictions }: Classes,
  isKnown: (n: number) => boolean,
): [string, string][] {
  const known = Array.from(losses.keys()).filter(isKnown);
  const finite = known.filter((n) => Number.isFinite(losses[n]) && Number.isFinite(norms[n]));
  const write = (value: number) => value.toLocaleString("en-US");
  const facts: [string, string][] = [[write(losses.length), losses.length === 1 ? "sample" : "samples"]];
  const counts = [
    [losses.length - known.length, "of them without a target that counts"],
    [known.length - finite.length, "of them not finite"],
  ] as const;
  for (const [count, meaning] of counts) if (count > 0) facts.push([write(count), meaning]);
  if (known.length > 0 && labels && predictions) {
    const right = meanOf(known, (n) => Number(labels[n] === predictions[n]));
    facts.push([`${(100 * right).toFixed(1)} %`, "predicted as labelled"]);
  }
  if (finite.length > 0)
    facts.push(
      [meanOf(finite, (n) => losses[n] ?? 0).toPrecision(3), "mean loss"],
      [meanOf(finite, (n) => norms[n] ?? 0).toPrecision(3), "mean gradient norm"],
    );
  return facts;
}

function meanOf(samples: readonly number[], of: (n: number) => number): number {
  return samples.reduce((sum, n) => sum + of(n), 0) / samples.length;
}
