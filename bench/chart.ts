/** docs/benchmarks.svg: milliseconds by workload on a log scale, for our programs and the peers'. */
import { ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { clippedSum, plain } from "./programs.js";
import { type BenchmarkResults, type Measured, medianOf, type PeerTiming, timeOf, titleOf } from "./results.js";
import { fastest } from "./targets.js";

use([ScatterChart, GridComponent, LegendComponent, SVGRenderer]);

const font = { fontFamily: "system-ui, sans-serif", fontSize: 12.5, color: "#24292f" };
const width = 960;
const rowHeight = 44;

interface Marks {
  readonly name: string;
  readonly symbol: string;
  readonly colour: string;
  readonly size: number;
  readonly of: (measured: Measured) => number | undefined;
}

/** The two programs that the benchmark is about are filled; peers are outlined. */
export const marks: readonly Marks[] = [
  { name: "ours: mean gradient", symbol: "circle", colour: "#8c959f", size: 13, of: own(plain) },
  { name: "ours: norms + clipped sum", symbol: "diamond", colour: "#0969da", size: 16, of: own(clippedSum) },
  { name: "ours: naive loop", symbol: "rect", colour: "#d4a72c", size: 10, of: own("naive loop") },
  {
    name: "PyTorch: mean gradient",
    symbol: "emptyCircle",
    colour: "#57606a",
    size: 13,
    of: ({ peers }) => timed(peers.find(({ name }) => name === "PyTorch mean gradient")),
  },
  {
    name: "fastest peer: clipped sum",
    symbol: "emptyDiamond",
    colour: "#cf222e",
    size: 16,
    of: (measured) => timed(fastest(measured, "clipped")),
  },
];

function timed(peer: PeerTiming | undefined): number | undefined {
  return peer && timeOf(peer);
}

function own(name: string): Marks["of"] {
  return ({ timings }) => medianOf(timings, name);
}

const title = "Milliseconds of each workload's programs, and of the fastest peers where these were measured";

/**
 * Adds a title for people who cannot see the chart. Removes the rules for a mouse pointer, which mean nothing in a
 * picture, and the classes that these rules use, which depend on the number of charts drawn in the process.
 */
function still(svg: string): string {
  return svg
    .replace(/^(<svg [^>]*>)/, `$1\n<title>${title}</title>`)
    .replace(/<style\b.*?<\/style>\n?/gs, "")
    .replace(/ class="zr[^"]*"/g, "");
}

/** The chart, as a file of its own on white. */
export function chart({ workloads }: BenchmarkResults): string {
  const axisText = { ...font, color: "#57606a" };
  const series = marks.map(({ name, symbol, colour, size, of }) => ({
    type: "scatter",
    name,
    symbol,
    symbolSize: size,
    silent: true,
    itemStyle: { color: colour, borderWidth: 2 },
    data: workloads.flatMap((measured, row) => {
      const value = of(measured);
      return value !== undefined && value > 0 ? [[value, row]] : [];
    }),
  }));
  const drawn = init(null, null, { renderer: "svg", ssr: true, width, height: 88 + rowHeight * workloads.length });
  try {
    drawn.setOption({
      animation: false,
      backgroundColor: "#ffffff",
      textStyle: font,
      // One per name: without a browser, ECharts can only guess how wide a name is.
      legend: marks.map(({ name }, k) => ({
        top: 10,
        left: 12 + k * (width / marks.length),
        itemWidth: 16,
        textStyle: font,
        data: [name],
      })),
      grid: { left: 330, right: 24, top: 44, bottom: 44 },
      xAxis: {
        type: "log",
        name: "milliseconds per batch (log scale)",
        nameLocation: "middle",
        nameGap: 28,
        nameTextStyle: axisText,
        axisLabel: axisText,
        splitLine: { lineStyle: { color: "#d8dee4" } },
      },
      yAxis: {
        type: "category",
        inverse: true,
        data: workloads.map((measured, k) => `${k + 1}. ${titleOf(measured)}`),
        axisLabel: { ...font, width: 316, overflow: "truncate" },
        axisTick: { show: false },
        splitLine: { show: true, lineStyle: { color: "#eaeef2" } },
      },
      series,
    });
    return still(drawn.renderToSVGString());
  } finally {
    // Otherwise the process would never end.
    drawn.dispose();
  }
}
