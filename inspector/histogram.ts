/** A histogram of the samples' gradient norms, over a logarithmic scale. */
import { BarChart } from "echarts/charts";
import { AriaComponent, GridComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([BarChart, AriaComponent, GridComponent, TooltipComponent, SVGRenderer]);

const bins = 40;

export function histogram(element: HTMLElement, values: Float32Array, what: string): void {
  const positive = values.filter((each) => each > 0 && Number.isFinite(each)).sort();
  const [least = 0, most = 0] = [positive[0], positive.at(-1)];
  const step = Math.log(most / least) / bins || 1;
  const counts = new Array<number>(bins).fill(0);
  for (const each of positive) {
    const bin = Math.min(bins - 1, Math.floor(Math.log(each / least) / step));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  const names = counts.map((_, k) => Number((least * Math.exp((k + 0.5) * step)).toPrecision(3)).toString());
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => resolved(style.getPropertyValue(name));
  const chart = init(element, null, { renderer: "svg" });
  chart.setOption({
    animation: false,
    aria: {
      enabled: true,
      label: { description: `${what} of ${values.length} samples, a histogram from ${names[0]} to ${names.at(-1)}.` },
    },
    textStyle: { fontFamily: "system-ui, sans-serif" },
    grid: { left: 8, right: 8, top: 28, bottom: 28, containLabel: true },
    tooltip: {},
    xAxis: {
      type: "category",
      data: names,
      name: what,
      nameLocation: "middle",
      nameGap: 30,
      axisLabel: { color: colour("--muted") },
      nameTextStyle: { color: colour("--muted") },
    },
    yAxis: {
      type: "value",
      name: "samples",
      axisLabel: { color: colour("--muted") },
      nameTextStyle: { color: colour("--muted") },
      splitLine: { lineStyle: { color: colour("--line") } },
    },
    series: [{ type: "bar", data: counts, barCategoryGap: "10%", itemStyle: { color: colour("--main") } }],
  });
}

/** `light-dark(#fff, #000)` as the page displays it. */
function resolved(value: string): string {
  const [, light, dark] = /light-dark\(([^,]+),\s*([^)]+)\)/.exec(value) ?? [];
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  return (isDark ? dark : light) ?? value;
}
