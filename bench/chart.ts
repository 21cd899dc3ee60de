/** docs/benchmarks.svg: milliseconds by workload on a log scale, ours and the peers'. */
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

/** The two that the benchmark is about are filled; peers are outlines. */
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
 * With a title for who cannot see it; without the rules for a pointer over it, of which a picture knows nothing, and
 * without the classes that these go by, which count the charts of a process.
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
      // One each: without a browser, ECharts can only guess how wide a name is.
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
    // Without this the process would never end.
    drawn.dispose();
  }
}
