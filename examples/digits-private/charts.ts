/** The report's charts. */
import { axis, type Colour, draw, percent, plain, width, withLegend } from "./drawing.js";

export interface Line {
  readonly colour: Colour;
  readonly dashed?: boolean;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Plot {
  readonly x: string;
  readonly y: string;
  readonly label: string;
  readonly format?: "percent" | "plain";
  readonly lines: readonly Line[];
  readonly legend: readonly (readonly [name: string, colour: Colour])[];
  /** The range of the vertical axis. */
  readonly from?: number;
  readonly to?: number;
  readonly wide?: boolean;
}

export function lineChart({ x, y, label, format = "plain", lines, legend, from, to, wide = false }: Plot): string {
  const series = lines.map(({ colour, dashed, points }) => ({
    type: "line",
    silent: true,
    showSymbol: false,
    itemStyle: { color: colour },
    lineStyle: { color: colour, width: 2, type: dashed ? "dashed" : "solid" },
    data: points,
  }));
  const last = Math.max(1, ...lines.flatMap(({ points }) => points.map(([at]) => at)));
  const value = axis({ name: y, horizontal: false, gap: 50 });
  const option = {
    grid: { left: 66, right: 16, top: 12, bottom: 48 },
    xAxis: { type: "value", min: 0, max: Math.ceil(last), ...axis({ name: x, horizontal: true, grid: false }) },
    yAxis: {
      type: "value",
      ...(from === undefined ? { scale: true } : { min: from }),
      ...(to === undefined ? {} : { max: to }),
      ...value,
      axisLabel: { ...value.axisLabel, formatter: format === "percent" ? percent : plain },
    },
    series,
  };
  const size = wide ? { width, height: 340 } : { width: width / 2 - 10, height: 260 };
  const chart = draw(option, size, label);
  return legend.length > 0 ? withLegend(chart, legend) : `<div>${chart}</div>`;
}
