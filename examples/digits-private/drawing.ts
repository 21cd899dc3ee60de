/** Draws Apache ECharts to SVG without a browser, in the colours of the page's own variables. */
import { LineChart } from "echarts/charts";
import { GridComponent } from "echarts/components";
import { type EChartsCoreOption, init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([LineChart, GridComponent, SVGRenderer]);

/** ECharts needs colours; each of these stands for a variable of the page, so that charts follow light and dark mode. */
export const paint = { text: "#000001", muted: "#000002", line: "#000003", main: "#000004", alert: "#000005" } as const;

/** The size of a chart as wide as the page, in pixels. */
export const width = 960;
export const font = { color: paint.text, fontFamily: "system-ui, sans-serif", fontSize: 13 };

/** Drawn once, and readable on paper too: nothing moves or reacts to the mouse. */
export function draw(
  option: EChartsCoreOption,
  size: { readonly width: number; readonly height: number },
  label: string,
): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, ...size });
  try {
    chart.setOption({ animation: false, textStyle: font, ...option });
    return themed(chart.renderToSVGString(), label);
  } finally {
    // Otherwise the process would never end.
    chart.dispose();
  }
}

function themed(svg: string, label: string): string {
  const bare = svg
    .replace(/ xmlns(:xlink)?="[^"]*"/g, "")
    .replace(/<style\s*>[\s\S]*?<\/style>/g, "")
    .replace(/ class="zr[^"]*"| ecmeta_[a-z_]+="[^"]*"| pointer-events="[^"]*"/g, "")
    .replace("<svg ", `<svg role="img" aria-label="${label}" `);
  return Object.values(paint).reduce((all, colour) => all.replaceAll(colour, variable(colour)), bare);
}

export interface AxisStyle {
  readonly name: string;
  readonly horizontal: boolean;
  readonly gap?: number;
  readonly grid?: boolean;
}

export function axis({ name, horizontal, gap, grid = true }: AxisStyle) {
  return {
    name,
    nameLocation: "middle",
    nameGap: gap ?? (horizontal ? 32 : 46),
    nameTextStyle: { ...font, color: paint.muted },
    axisLabel: { ...font, color: paint.muted },
    axisLine: { lineStyle: { color: paint.line } },
    axisTick: { show: false },
    splitLine: { show: grid, lineStyle: { color: paint.line } },
  };
}

export type Colour = (typeof paint)[keyof typeof paint];

/** The legend is text of the page: without a browser, ECharts can only guess the width of its own. */
export function withLegend(chart: string, entries: readonly (readonly [name: string, colour: Colour])[]): string {
  const items = entries.map(([name, colour]) => `<li><i style="background:${variable(colour)}"></i>${name}</li>`);
  return `<div><ul class="legend">${items.join("")}</ul>${chart}</div>`;
}

function variable(colour: Colour): string {
  return `var(--${Object.keys(paint)[Object.values(paint).indexOf(colour)]})`;
}

/** At most two decimals. */
export const percent = (part: number) => `${Number((100 * part).toFixed(2))} %`;

export const plain = (value: number) => String(Number(value.toPrecision(6)));
