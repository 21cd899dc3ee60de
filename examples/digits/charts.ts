/** The report's charts. */
import {
  type AxisStyle,
  axis,
  type Colour,
  draw,
  font,
  paint,
  percent,
  plain,
  power,
  width,
  withLegend,
} from "./drawing.js";
import { clamp, type LogRange, logBins, logRange } from "./logs.js";
import type { Layer } from "./norms.js";
import type { Time } from "./timing.js";
import type { Epoch } from "./training.js";

interface Curve {
  readonly name: string;
  readonly colour: Colour;
  readonly of: (epoch: Epoch) => number;
}

function curves(
  epochs: readonly Epoch[],
  title: string,
  format: (value: number) => string,
  lines: readonly Curve[],
): string {
  const drawn = lines.map(({ name, colour, of }) => ({
    type: "line",
    name,
    silent: true,
    symbol: "circle",
    symbolSize: 6,
    itemStyle: { color: colour },
    lineStyle: { color: colour, width: 2 },
    data: epochs.map((epoch, k) => [k + 1, of(epoch)]),
  }));
  const value = axis({ name: title, horizontal: false, gap: 50 });
  const option = {
    grid: { left: 66, right: 16, top: 12, bottom: 48 },
    xAxis: {
      type: "value",
      min: 1,
      max: Math.max(2, epochs.length),
      minInterval: 1,
      ...axis({ name: "epoch", horizontal: true, grid: false }),
    },
    yAxis: { type: "value", scale: true, ...value, axisLabel: { ...value.axisLabel, formatter: format } },
    series: drawn,
  };
  const chart = draw(option, { width: width / 2 - 10, height: 260 }, `${title} by epoch`);
  return withLegend(
    chart,
    lines.map(({ name, colour }) => [name, colour]),
  );
}

/** Loss and accuracy by epoch, as two charts. */
export function trainingCharts(epochs: readonly Epoch[]): string[] {
  const train = { name: "training digits, while training", colour: paint.muted };
  const test = { name: "test digits", colour: paint.main };
  return [
    curves(epochs, "mean loss", plain, [
      { ...train, of: (epoch) => epoch.trainLoss },
      { ...test, of: (epoch) => epoch.testLoss },
    ]),
    curves(epochs, "accuracy", percent, [
      { ...train, of: (epoch) => epoch.trainAccuracy },
      { ...test, of: (epoch) => epoch.testAccuracy },
    ]),
  ];
}

export interface Groups {
  readonly norms: readonly number[];
  readonly losses: readonly number[];
  readonly misread: readonly boolean[];
}

const kinds = [
  { misread: false, name: "read as labelled", colour: paint.main },
  { misread: true, name: "read as another digit", colour: paint.alert },
] as const;

const kindsLegend = kinds.map(({ name, colour }) => [name, colour] as const);

/** An axis over powers of ten, each of them labelled: left alone, ECharts skips some or finds others. */
function logAxis({ from, to }: LogRange, style: AxisStyle) {
  const base = axis(style);
  const powers = Array.from({ length: Math.floor(to) - Math.ceil(from) + 1 }, (_, k) => 10 ** (Math.ceil(from) + k));
  return {
    type: "log",
    min: 10 ** from,
    max: 10 ** to,
    ...base,
    axisLabel: { ...base.axisLabel, customValues: powers, formatter: power },
    axisTick: { show: false, customValues: powers },
  };
}

export function histogram({ norms, misread }: Groups): string {
  const perDecade = 8;
  const range = logRange(norms, perDecade);
  const series = kinds.map((kind) => ({
    type: "bar",
    stack: "digits",
    silent: true,
    barCategoryGap: "8%",
    itemStyle: { color: kind.colour },
    data: logBins(
      norms.filter((_, n) => misread[n] === kind.misread),
      range,
      perDecade,
    ),
  }));
  const option = {
    grid: { left: 66, right: 20, top: 12, bottom: 52 },
    // The bars stand along a hidden axis of categories; the axis that is shown runs through powers of ten.
    xAxis: [
      { type: "category", show: false, data: series[0]?.data.map((_, k) => k) },
      { position: "bottom", ...logAxis(range, { name: "gradient norm (log scale)", horizontal: true, grid: false }) },
    ],
    yAxis: { type: "value", minInterval: 1, ...axis({ name: "number of digits", horizontal: false }) },
    series: [...series, { type: "scatter", xAxisIndex: 1, data: [] }],
  };
  return withLegend(draw(option, { width, height: 320 }, "Histogram of gradient norms"), kindsLegend);
}

/** Points of one path cover each other without adding up, so they are spread over a few. */
const layers = 8;

/** No series where there are no points: ECharts fails to draw an empty path. */
function points(data: readonly (readonly number[])[], size: number, opacity: number, color: Colour): object[] {
  // A rectangle is the shortest path there is: thousands of them stay small.
  const square = { symbol: "rect", symbolSize: size, large: true, largeThreshold: 0, progressive: 0 };
  return data.length > 0 ? [{ type: "scatter", silent: true, ...square, itemStyle: { color, opacity }, data }] : [];
}

export function normAgainstLoss({ norms, losses, misread }: Groups): string {
  const x = logRange(losses, 4);
  const y = logRange(norms, 4);
  const all = norms.map((norm, n) => [clamp(losses[n] ?? 0, x), clamp(norm, y)]);
  const [right, wrong] = kinds.map((kind) => all.filter((_, n) => misread[n] === kind.misread));
  const spread = Array.from({ length: layers }, (_, layer) => (right ?? []).filter((_, n) => n % layers === layer));
  const option = {
    grid: { left: 66, right: 20, top: 12, bottom: 52 },
    xAxis: logAxis(x, { name: "loss (nats, log scale)", horizontal: true }),
    yAxis: logAxis(y, { name: "gradient norm (log scale)", horizontal: false }),
    series: [
      ...spread.map((some) => points(some, 2.5, 0.45, paint.main)),
      points(wrong ?? [], 3.5, 0.9, paint.alert),
    ].flat(),
  };
  const label = "Gradient norm against loss, one point per digit";
  return withLegend(draw(option, { width, height: 420 }, label), kindsLegend);
}

interface Bars {
  readonly name: string;
  readonly colour: Colour;
  readonly values: readonly number[];
  readonly label: (value: number, k: number) => string;
}

interface BarChartOptions {
  readonly categories: readonly string[];
  readonly groups: readonly Bars[];
  /** Of the values' axis. */
  readonly unit: string;
  readonly format: (value: number) => string;
  readonly label: string;
}

/** Horizontal bars, the first category on top. */
function bars({ categories, groups, unit, format, label }: BarChartOptions): string {
  const series = groups.map(({ colour, values, label: text }) => ({
    type: "bar",
    silent: true,
    barMaxWidth: 22,
    barGap: "15%",
    itemStyle: { color: colour },
    label: {
      show: true,
      position: "right",
      ...font,
      formatter: ({ dataIndex }: { dataIndex: number }) => text(values[dataIndex] ?? 0, dataIndex),
    },
    data: values,
  }));
  const value = axis({ name: unit, horizontal: true });
  const option = {
    grid: { left: 220, right: 130, top: 8, bottom: 48 },
    xAxis: { type: "value", min: 0, ...value, axisLabel: { ...value.axisLabel, formatter: format } },
    yAxis: {
      type: "category",
      inverse: true,
      data: categories,
      ...axis({ name: "", horizontal: false, grid: false }),
      axisLabel: font,
    },
    series,
  };
  return draw(option, { width, height: 56 + categories.length * (groups.length > 1 ? 56 : 42) }, label);
}

export function layerShares(layers: readonly Layer[]): string {
  const weights = layers.reduce((sum, { elements }) => sum + elements, 0);
  const groups: Bars[] = [
    {
      name: "share of the squared norm, mean over the digits",
      colour: paint.main,
      values: layers.map(({ share }) => share),
      label: (value) => `${(100 * value).toFixed(1)} %`,
    },
    {
      name: "share of the network’s weights",
      colour: paint.muted,
      values: layers.map(({ elements }) => elements / weights),
      label: (value, k) => `${(100 * value).toFixed(1)} % (${layers[k]?.elements.toLocaleString("en-US")})`,
    },
  ];
  const categories = layers.map(({ name }) => name);
  const chart = bars({
    categories,
    groups,
    unit: "share",
    format: percent,
    label: "Share of the squared norm by layer",
  });
  return withLegend(
    chart,
    groups.map(({ name, colour }) => [name, colour]),
  );
}

export function timeBars(times: readonly Time[]): string {
  const group: Bars = {
    name: "time",
    colour: paint.main,
    values: times.map(({ milliseconds }) => milliseconds),
    label: (value, k) => `${value.toFixed(1)} ms (${(times[k]?.ratio ?? 0).toFixed(2)} ×)`,
  };
  return bars({
    categories: times.map(({ name }) => name),
    groups: [group],
    unit: "milliseconds per batch (median)",
    format: plain,
    label: "Time per batch",
  });
}
