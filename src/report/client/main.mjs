// What runs in a report's page: charts by Apache ECharts, and the list of samples. Packed into dist/report/client.js.
import { BarChart, LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { axis, base, colour, percent, plain, power, redrawn } from "./drawing.mjs";
import { given } from "./given.mjs";
import { List } from "./list.mjs";

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

const perDecade = 8;

/** What is 0 or far below all others is drawn at the lower end: a logarithm has no place for it. */
function rangeOf(values) {
  const logs = values.flatMap((value) => (value > 0 ? [Math.log10(value)] : []));
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
  norms.forEach((norm, n) => {
    const at = norm > 0 ? Math.floor((Math.log10(norm) - from) * perDecade) : 0;
    const kind = kinds.findIndex(({ has }) => has(n));
    bins[kind][Math.max(0, Math.min(count - 1, at))]++;
  });
  const edges = bins[0].map((_, k) => 10 ** (from + k / perDecade));
  return base({
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
    tooltip: {
      formatter: ({ value: [loss, norm, n] }) =>
        `<b>${escaped(nameOf(n))}</b><br>${data.labels ? `label ${escaped(className(data.labels[n]))}, predicted ${escaped(className(data.predictions[n]))}<br>` : ""}norm ${norm.toPrecision(3)}, loss ${loss.toPrecision(3)}`,
    },
    xAxis: axis("log", "loss", { ...ends(ranges[0]), axisLabel: { formatter: power } }),
    yAxis: axis("log", "gradient norm", { ...ends(ranges[1]), nameGap: 46, axisLabel: { formatter: power } }),
    series: kinds.map((kind) => ({
      type: "scatter",
      name: kind.name,
      symbolSize: 6,
      itemStyle: { color: colour(kind.colour), opacity: 0.6 },
      data: norms.flatMap((norm, n) =>
        kind.has(n) ? [[within(losses[n], ranges[0]), within(norm, ranges[1]), n]] : [],
      ),
    })),
  });
}

function byClass() {
  const labels = [...new Set(data.labels)].filter((label) => label >= 0).sort((a, b) => a - b);
  const members = labels.map((label) => norms.flatMap((_, n) => (data.labels[n] === label ? [n] : [])));
  const mean = (own, of) => own.reduce((sum, n) => sum + of(n), 0) / Math.max(1, own.length);
  return base({
    tooltip: {
      trigger: "axis",
      axisPointer: { type: "shadow" },
      formatter: ([{ dataIndex: k }]) =>
        `<b>${escaped(className(labels[k]))}</b><br>${members[k].length} samples<br>mean norm ${mean(members[k], (n) => norms[n]).toPrecision(3)}<br>mean loss ${mean(members[k], (n) => losses[n]).toPrecision(3)}<br>predicted otherwise: ${percent(mean(members[k], (n) => Number(wrong(n))))}`,
    },
    legend: { show: false },
    xAxis: axis("category", "label", { data: labels.map(className), splitLine: { show: false } }),
    yAxis: axis("value", "mean gradient norm", { nameGap: 46 }),
    series: [
      { type: "bar", itemStyle: { color: colour("main") }, data: members.map((own) => mean(own, (n) => norms[n])) },
    ],
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
  const narrow = document.getElementById("layers").clientWidth < 500;
  return base({
    grid: { left: narrow ? 116 : 190, right: 20, top: 34, bottom: 40 },
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
