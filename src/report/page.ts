/** A report as one self-contained HTML page. */
import { type Column, samplesColumns } from "../io/column.js";
import { recordsOf } from "../io/table.js";
import { chartPlace, chartSection, dataElement, documentOf, escaped } from "./html.js";
import type { ReportContent, ReportSection } from "./types.js";

/** The table that is written beside a page. */
export function tableOf(content: ReportContent): Column[] {
  const { ids, labels, predictions, suggested, columns, samples } = content;
  const classes = { label: labels, predicted_label: predictions, suggested_label: suggested };
  return [
    ...samplesColumns(samples, ids),
    ...Object.entries(classes).flatMap(([name, values]) => (values ? [{ name, values: Int32Array.from(values) }] : [])),
    ...columns.map(({ key, values }) => ({ name: key, values: Float32Array.from(values) })),
  ];
}

/** All numbers of a page, for other programs. */
export function jsonOf(content: ReportContent): string {
  const { title, samples, layers, classNames } = content;
  return `${JSON.stringify({ title, samples, layers, classNames, rows: recordsOf(tableOf(content)) })}\n`;
}

/** The digits of a number that a page keeps. */
const short = (value: number): number | null => (Number.isFinite(value) ? Number(value.toPrecision(6)) : null);

function chartId(section: number, chart: number): string {
  return `chart-${section}-${chart}`;
}

function sectionsOf(sections: readonly ReportSection[], first: boolean): string {
  const parts = sections.flatMap(({ title, html, charts = [], first: own = false }, s) => {
    if (own !== first) return [];
    const drawn = charts.map(({ label }, k) => chartPlace(chartId(s, k), label));
    const figures = drawn.length === 0 ? "" : `<div class="charts">${drawn.join("")}</div>`;
    return [`<section><h2>${escaped(title)}</h2>${html}${figures}</section>`];
  });
  return parts.join("\n");
}

/** What the page's script reads. */
function dataOf(content: ReportContent) {
  const { samples, ids, classNames, labels, predictions, suggested, columns, layers, show, shown } = content;
  const plain = (values: Int32Array | readonly number[] | undefined) => values && Array.from(values);
  const charts = (content.sections ?? []).flatMap(({ charts: own = [] }, s) =>
    own.map((chart, k) => [chartId(s, k), chart] as const),
  );
  return {
    samples,
    ids,
    classNames,
    labels: plain(labels),
    predictions: plain(predictions),
    suggested: plain(suggested),
    columns: columns.map(({ key, name, values }) => ({ key, name, values: Array.from(values, short) })),
    layers,
    show,
    shown: Object.fromEntries(shown),
    charts: Object.fromEntries(charts),
  };
}

/** The sections of the charts that every page has, at the places where the page's script draws them. */
function chartSections({ labels }: ReportContent): string {
  const sections = [
    chartSection("norms", "How hard each sample pulls", "Gradient norms on a logarithmic scale."),
    chartSection("against", "Norm against loss", "A point for each sample; choose one to see it in the list."),
    ...(labels?.some((label) => label >= 0)
      ? [chartSection("classes", "By class", "Mean gradient norm of the samples of each label.")]
      : []),
    chartSection(
      "layers",
      "By parameter",
      "The share of the squared norm that falls into each parameter, beside its share of all numbers.",
    ),
  ];
  return sections.join("\n");
}

/** The head of the page: its title, the numbers at the top, and links to the files of numbers. */
function headOf({ title, lead, facts }: ReportContent, files: readonly string[]): string {
  const shown = facts.map(([value, meaning]) => `<div><dt>${escaped(meaning)}</dt><dd>${escaped(value)}</dd></div>`);
  const links = files.map((file) => `<a href="${escaped(encodeURI(file))}" download>${escaped(file)}</a>`);
  return `<header><h1>${escaped(title)}</h1><p>${lead}</p></header>
<dl class="facts">${shown.join("")}</dl>
${links.length > 0 ? `<p class="files">The same numbers: ${links.join(", ")}</p>` : ""}`;
}

/** @param client the script that draws charts and lists samples */
export function pageOf(content: ReportContent, client: string, files: readonly string[] = []): string {
  const { title, sections = [] } = content;
  const body = `<main>
${headOf(content, files)}
${sectionsOf(sections, true)}
<section aria-labelledby="list-title"><h2 id="list-title">Samples</h2>
<form class="controls" id="controls"></form>
<p id="found" role="status"></p>
<ol id="list"></ol>
<button type="button" id="more">Show more</button></section>
${chartSections(content)}
${sectionsOf(sections, false)}
</main>
${dataElement(dataOf(content))}`;
  return documentOf({ title, body, client });
}
