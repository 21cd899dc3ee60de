/** Computes what a report shows of a data set. */
import { largest } from "../cleaning/by-class.js";
import { targetKind, targetsOf } from "../cleaning/targets.js";
import type { Objective } from "../compile/objective.js";
import { bindShape } from "../graph/dim.js";
import { Program } from "../program/program.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { scoresWhere } from "../train/figures.js";
import { want } from "../wants/want.js";
import { shownSamples, showOf } from "./shown.js";
import type { ReportColumn, ReportContent, ReportLayer, ReportOptions } from "./types.js";

/** Names of scores, as a page has them. */
const scoreNames = {
  label: "wrong label",
  duplicate: "copy",
  outlier: "outlier",
  uninformative: "teaches nothing",
} as const;

/** @param feeds all samples, checked */
export async function contentOf(
  objective: Objective,
  feeds: Readonly<Record<string, Tensor>>,
  options: Omit<ReportOptions, "out" | "loss">,
): Promise<ReportContent> {
  const { ids, classNames, scores, threads, onProgress } = options;
  const kind = targetKind(objective);
  const program = await Program.of(objective, {
    loss: objective.loss,
    ...(threads === undefined ? {} : { threads }),
    want: { losses: want.losses(), norms: want.norms(), scores: scoresWhere(kind === "classes", objective) },
  });
  try {
    const {
      losses,
      norms,
      scores: found,
    } = await program.runAll(feeds, {
      allowNotFinite: true,
      notFinite: "ignore",
      inPlace: true,
      ...(onProgress ? { onProgress: (progress) => onProgress(progress.samples) } : {}),
    });
    const samples = losses.data.length;
    const targets = targetsOf(objective, feeds.target);
    const issueColumns = scores
      ? (["label", "duplicate", "outlier", "uninformative"] as const).map((key) => ({
          key: `${key}_score`,
          name: scoreNames[key],
          values: scores[key],
        }))
      : [];
    const columns: ReportColumn[] = [
      ...issueColumns,
      { key: "norm", name: "gradient norm", values: norms.total.data },
      { key: "loss", name: "loss", values: losses.data },
    ];
    const classes =
      targets.kind === "classes" && found
        ? {
            labels: targets.labels,
            predictions: targets.labels.map((_, n) =>
              largest(found.data.subarray(n * targets.classes, (n + 1) * targets.classes)),
            ),
          }
        : {};
    const show = showOf(objective, feeds, options);
    return {
      title: options.title ?? `Gradients of ${samples.toLocaleString("en-US")} samples`,
      lead: "How hard each sample pulls at the model’s parameters: the norm of its own gradient. Samples that contradict what the others teach have long ones.",
      samples,
      ...(ids ? { ids } : {}),
      ...(classNames ? { classNames } : {}),
      columns,
      ...classes,
      layers: layersOf(objective, norms.parameters, norms.total.data),
      show,
      shown: shownSamples(objective, feeds, show, options, { samples, columns }),
      facts: factsOf(losses.data, norms.total.data, classes),
    };
  } finally {
    await program.release();
  }
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

function factsOf(
  losses: Float32Array,
  norms: Float32Array,
  { labels, predictions }: { readonly labels?: Int32Array; readonly predictions?: Int32Array },
): [string, string][] {
  const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  const right = labels?.filter((label, n) => label === predictions?.[n]).length;
  const facts: [string, string][] = [[losses.length.toLocaleString("en-US"), "samples"]];
  if (labels && right !== undefined)
    facts.push([`${((100 * right) / Math.max(1, labels.length)).toFixed(1)} %`, "predicted as labelled"]);
  facts.push([mean(losses).toPrecision(3), "mean loss"], [mean(norms).toPrecision(3), "mean gradient norm"]);
  return facts;
}
