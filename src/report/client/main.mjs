// What runs in a report's page: charts by Apache ECharts, and the list of samples. Packed into dist/report/client.js.
import { BarChart, LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { axis, base, colour, percent, plain, power, redrawn, underLegend } from "./drawing.mjs";
import { given } from "./given.mjs";
import { counted, List, number } from "./list.mjs";

use([BarChart, LineChart, ScatterChart, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer]);

const data = JSON.parse(document.getElementById("data").textContent);
const column = (key) => data.columns.find((each) => each.key === key)?.values;
const [norms, losses] = [column("norm"), column("loss")];
/** A label of -1 is one that the loss ignores. */
const labelled = (n) => !data.labels || data.labels[n] >= 0;
const wrong = (n) => data.predictions !== undefined && labelled(n) && data.labels[n] !== data.predictions[n];
const className = (label) => (label < 0 ? "none" : (data.classNames?.[label] ?? String(label)));
const nameOf = (n) => data.ids?.[n] ?? `sample ${n}`;
const list = new List(data, { nameOf, className });

/** Numbers that are not finite have no place in charts, and no part in means. */
const finite = norms.flatMap((norm, n) => (norm !== null && losses[n] !== null ? [n] : []));

const escaped = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

const kinds = data.predictions
  ? [
      { name: "predicted as labelled", colour: "main", has: (n) => labelled(n) && !wrong(n) },
      { name: "predicted otherwise", colour: "alert", has: wrong },
      ...(norms.every((_, n) => labelled(n))
        ? []
        : [{ name: "without a label", colour: "muted", has: (n) => !labelled(n) }]),
    ]
  : [{ name: "samples", colour: "main", has: () => true }];

const widthOf = (id) => document.getElementById(id).clientWidth;

const perDecade = 8;

/** What is 0 or far below all others is drawn at the lower end: a logarithm has no place for it. */
function rangeOf(values) {
  const logs = finite.flatMap((n) => (values[n] > 0 ? [Math.log10(values[n])] : []));
  const highest = logs.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const lowest = logs.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  if (!(highest >= lowest)) return [-1, 0];
  const from = Math.floor(Math.max(lowest, highest - 9) * perDecade) / perDecade;
  return [from, Math.max(from + 1 / perDecade, Math.ceil(highest * perDecade + 1e-9) / perDecade)];
}

function histogram() {
  const [from, to] = rangeOf(norms);
  const count = Math.round((to - from) * perDecade);
  const bins = kinds.map(() => new Array(count).fill(0));
  for (const n of finite) {
    const norm = norms[n];
    const at = norm > 0 ? Math.floor((Math.log10(norm) - from) * perDecade) : 0;
    const kind = kinds.findIndex(({ has }) => has(n));
    bins[kind][Math.max(0, Math.min(count - 1, at))]++;
  }
  const edges = bins[0].map((_, k) => 10 ** (from + k / perDecade));
  return base({
    grid: { top: underLegend(kinds, widthOf("norms")) },
    tooltip: { trigger: "axis", axisPointer: { type: "shadow" } },
    xAxis: axis("category", "gradient norm", { data: edges.map(plain), splitLine: { show: false } }),
    yAxis: axis("value", "samples", { nameGap: 46, minInterval: 1 }),
    series: kinds.map((kind, k) => ({
      type: "bar",
      name: kind.name,
      stack: "all",
      barCategoryGap: "10%",
      itemStyle: { color: colour(kind.colour) },
      data: bins[k],
    })),
  });
}

function against() {
  const ranges = [rangeOf(losses), rangeOf(norms)];
  const within = (value, [from]) => Math.max(value > 0 ? value : 0, 10 ** from);
  const ends = ([from, to]) => ({ min: 10 ** Math.floor(from), max: 10 ** Math.ceil(to) });
  return base({
    grid: { top: underLegend(kinds, widthOf("against")) },
    tooltip: {
      formatter: ({ value: [, , n] }) =>
        `<b>${escaped(nameOf(n))}</b><br>${data.labels ? `label ${escaped(className(data.labels[n]))}, predicted ${escaped(className(data.predictions[n]))}<br>` : ""}norm ${number(norms[n])}, loss ${number(losses[n])}`,
    },
    xAxis: axis("log", "loss", { ...ends(ranges[0]), axisLabel: { formatter: power } }),
    yAxis: axis("log", "gradient norm", { ...ends(ranges[1]), nameGap: 46, axisLabel: { formatter: power } }),
    series: kinds.map((kind) => ({
      type: "scatter",
      name: kind.name,
      symbolSize: 6,
      itemStyle: { color: colour(kind.colour), opacity: 0.6 },
      data: finite.filter(kind.has).map((n) => [within(losses[n], ranges[0]), within(norms[n], ranges[1]), n]),
    })),
  });
}

/** The mean over those of the samples that are finite; null if there are none. */
function meanOf(samples, values) {
  const own = samples.filter((n) => values[n] !== null);
  return own.length === 0 ? null : own.reduce((sum, n) => sum + values[n], 0) / own.length;
}

function byClass() {
  const labels = [...new Set(data.labels)].filter((label) => label >= 0).sort((a, b) => a - b);
  const members = labels.map((label) => norms.flatMap((_, n) => (data.labels[n] === label ? [n] : [])));
  const told = (k) => {
    const otherwise = members[k].filter(wrong).length / members[k].length;
    return `<b>${escaped(className(labels[k]))}</b><br>${counted(members[k].length)}<br>mean norm ${number(meanOf(members[k], norms))}<br>mean loss ${number(meanOf(members[k], losses))}<br>predicted otherwise: ${percent(otherwise)}`;
  };
  const room = (widthOf("classes") - 82) / labels.length - 6;
  return base({
    tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, formatter: ([{ dataIndex: k }]) => told(k) },
    legend: { show: false },
    xAxis: axis("category", "label", {
      data: labels.map(className),
      splitLine: { show: false },
      // If there is room for some letters of each name, none is left out.
      axisLabel: { overflow: "truncate", width: Math.max(40, room), ...(room >= 40 ? { interval: 0 } : {}) },
    }),
    yAxis: axis("value", "mean gradient norm", { nameGap: 46 }),
    series: [{ type: "bar", itemStyle: { color: colour("main") }, data: members.map((own) => meanOf(own, norms)) }],
  });
}

/** Parameters in a chart, at most: the ones with the largest shares. */
const maxLayers = 40;

function layersShown() {
  if (data.layers.length <= maxLayers) return data.layers;
  const order = [...data.layers].sort((a, b) => b.share - a.share).slice(0, maxLayers);
  return data.layers.filter((layer) => order.includes(layer));
}

function layers() {
  const shown = layersShown();
  const all = data.layers.reduce((sum, { elements }) => sum + elements, 0);
  const series = [
    ["share of the squared norm", "main", ({ share }) => share],
    ["share of all numbers", "muted", ({ elements }) => elements / all],
  ];
  const narrow = widthOf("layers") < 500;
  const top = underLegend(
    series.map(([name]) => ({ name })),
    widthOf("layers"),
  );
  return base({
    grid: { left: narrow ? 116 : 190, right: 20, top, bottom: 40 },
    tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, valueFormatter: percent },
    xAxis: axis("value", "share", { nameGap: 26, axisLabel: { formatter: (value) => `${Math.round(100 * value)} %` } }),
    yAxis: axis("category", "", {
      inverse: true,
      data: shown.map(({ name }) => name),
      axisLabel: { width: narrow ? 106 : 180, overflow: "truncate" },
    }),
    series: series.map(([name, paint, of]) => ({
      type: "bar",
      name,
      barMaxWidth: 16,
      itemStyle: { color: colour(paint) },
      data: shown.map(of),
    })),
  });
}

const charts = {
  norms: histogram,
  against,
  classes: byClass,
  layers,
  ...Object.fromEntries(Object.entries(data.charts).map(([id, chart]) => [id, () => given(chart)])),
};

redrawn(charts, (place) => {
  if (place.id === "layers") place.style.height = `${90 + 42 * layersShown().length}px`;
  return { click: place.id === "against" ? ({ value }) => list.choose(value[2]) : undefined };
});
