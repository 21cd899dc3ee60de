// Charts of the caller's own numbers: lines over numbers, or bars of names.
import { axis, base, colour, percent, plain } from "./drawing.mjs";

const paints = ["main", "muted", "alert"];

export function given(chart) {
  return chart.kind === "lines" ? lines(chart) : bars(chart);
}

function lines({ axes, at, series, format }) {
  const write = format === "percent" ? percent : plain;
  return base({
    tooltip: { trigger: "axis", valueFormatter: write },
    legend: { show: series.length > 1 },
    xAxis: axis("value", axes[0], { min: "dataMin", max: "dataMax", minInterval: 1, splitLine: { show: false } }),
    yAxis: axis("value", axes[1], { nameGap: 46, scale: true, axisLabel: { formatter: write } }),
    series: series.map(({ name, values }, k) => {
      const paint = colour(paints[k % paints.length]);
      return {
        type: "line",
        name,
        itemStyle: { color: paint },
        lineStyle: { color: paint, width: 2 },
        data: values.map((value, n) => [at[n], value]),
      };
    }),
  });
}

function bars({ axes, at, series, format }) {
  const write = format === "percent" ? percent : plain;
  return base({
    grid: { left: 8, right: 44, top: series.length > 1 ? 34 : 8, bottom: 44, containLabel: true },
    tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, valueFormatter: write },
    legend: { show: series.length > 1 },
    xAxis: axis("value", axes[1], { nameGap: 28, min: 0, axisLabel: { formatter: write } }),
    yAxis: axis("category", axes[0], {
      inverse: true,
      data: at,
      axisLabel: { width: 130, overflow: "break", lineHeight: 16 },
    }),
    series: series.map(({ name, values }, k) => ({
      type: "bar",
      name,
      barMaxWidth: 18,
      itemStyle: { color: colour(paints[k % paints.length]) },
      label: {
        show: true,
        position: "right",
        color: colour("text"),
        fontSize: 12,
        formatter: ({ value }) => write(value),
      },
      data: values,
    })),
  });
}
