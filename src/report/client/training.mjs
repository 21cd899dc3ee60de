// What runs in the page of a training: charts of its diagnostics, drawn anew as the file grows. Packed into
// dist/report/training.js.
import { LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { axis, base, colour, plain, power, redrawn } from "./drawing.mjs";

use([LineChart, ScatterChart, GridComponent, LegendComponent, MarkLineComponent, TooltipComponent, CanvasRenderer]);

/** How often the page looks whether there is more, in milliseconds. */
const interval = 2000;

let data = JSON.parse(document.getElementById("data").textContent);

const paints = ["main", "alert", "muted"];
const told = (value) => (typeof value === "number" ? Number(value.toPrecision(4)).toString() : "none");

/** Of each step the value, where it is a number that the axis has a place for. */
function pointsOf(key, logarithmic) {
  return data.steps.flatMap((each) => {
    const value = each[key];
    return typeof value === "number" && (!logarithmic || value > 0) ? [[each.step, value]] : [];
  });
}

function chart({ name, series, logarithmic = false, mark, points = false }) {
  return () =>
    base({
      grid: { left: 66, right: 18, top: 44, bottom: 48 },
      tooltip: { trigger: "axis", valueFormatter: told },
      legend: { show: series.length > 1 },
      xAxis: axis("value", "step", { minInterval: 1, splitLine: { show: false }, min: "dataMin", max: "dataMax" }),
      yAxis: axis(logarithmic ? "log" : "value", name, {
        nameGap: 48,
        scale: true,
        axisLabel: { formatter: logarithmic ? power : plain },
      }),
      series: series.map(([key, label], k) => ({
        type: points ? "scatter" : "line",
        name: label,
        symbolSize: points ? 5 : 4,
        showSymbol: data.steps.length < 60,
        itemStyle: { color: colour(paints[k]) },
        lineStyle: { width: 1.5, type: ["solid", "dashed", "dotted"][k] },
        data: pointsOf(key, logarithmic),
        ...(k === 0 && mark !== undefined
          ? {
              markLine: {
                silent: true,
                symbol: "none",
                label: { show: false },
                lineStyle: { color: colour("muted"), type: "dashed" },
                data: [{ yAxis: mark }],
              },
            }
          : {}),
      })),
    });
}

const draw = redrawn(Object.fromEntries(data.charts.map((each) => [each.id, chart(each)])));

function tell() {
  for (const [id, value] of Object.entries(data.facts)) document.getElementById(`fact-${id}`).textContent = value;
}

/**
 * Asks the file for its newest numbers. A page opened from a disk cannot fetch itself, but it can show itself in a frame,
 * where it does nothing but tell its numbers (see the first script of the page).
 */
function look() {
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.title = "newer numbers";
  frame.src = `${location.href.replace(/[?#].*$/s, "")}?newer=${Date.now()}`;
  const heard = ({ source, data: newer }) => {
    if (source !== frame.contentWindow || newer === null || !Array.isArray(newer.steps)) return;
    // There is no place for a chart that the page did not begin with.
    if (newer.charts.length !== data.charts.length) return location.reload();
    const grown = newer.run !== data.run || newer.version !== data.version;
    data = newer;
    if (grown) {
      draw();
      tell();
    }
    done();
  };
  const done = () => {
    window.removeEventListener("message", heard);
    clearTimeout(late);
    frame.remove();
    if (!data.ended) setTimeout(look, interval);
  };
  const late = setTimeout(done, 10 * interval);
  window.addEventListener("message", heard);
  document.body.append(frame);
}

tell();
if (!data.ended) setTimeout(look, interval);
