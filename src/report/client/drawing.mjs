// What all charts share: fonts, axes, how numbers are written, and when they are drawn.
import { init } from "echarts/core";

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Labels of axes stay at least 11 pixels high, however narrow the page is.
const fontSize = 12;

function font(name) {
  return { color: colour(name), fontFamily: "system-ui, sans-serif", fontSize };
}

export function axis(type, name, more = {}) {
  return {
    type,
    name,
    nameLocation: "middle",
    nameGap: 30,
    nameTextStyle: font("muted"),
    axisLabel: { ...font("muted"), hideOverlap: true, ...more.axisLabel },
    axisLine: { lineStyle: { color: colour("line") } },
    splitLine: { lineStyle: { color: colour("line") } },
    axisTick: { show: false },
    ...Object.fromEntries(Object.entries(more).filter(([key]) => key !== "axisLabel")),
  };
}

export function base(more) {
  return {
    animation: false,
    textStyle: font("text"),
    grid: { left: 64, right: 18, top: 34, bottom: 48, ...more.grid },
    tooltip: {
      confine: true,
      backgroundColor: colour("card"),
      borderColor: colour("line"),
      textStyle: { ...font("text"), fontSize: 13 },
      ...more.tooltip,
    },
    legend: { top: 0, textStyle: font("text"), itemWidth: 12, itemHeight: 12, ...more.legend },
    ...Object.fromEntries(Object.entries(more).filter(([key]) => !["grid", "tooltip", "legend"].includes(key))),
  };
}

/** Where a chart may begin, in pixels: its legend needs another line where the page is narrow. */
export function underLegend(series, width) {
  let [lines, used] = [1, 0];
  for (const { name } of series) {
    const own = 30 + (fontSize / 2) * name.length;
    if (used > 0 && used + own > width - 10) [lines, used] = [lines + 1, 0];
    used += own;
  }
  return 16 + 18 * lines;
}

/** As it is where that is short, else with an exponent. */
function short(value, digits, least) {
  const size = Math.abs(value);
  return size === 0 || (size >= least && size < 1e4)
    ? String(Number(value.toPrecision(digits)))
    : value.toExponential(0);
}
export const power = (value) => short(value, 1, 1e-3);
export const plain = (value) => short(value, 2, 0.01);
export const percent = (value) => `${(100 * value).toFixed(1)} %`;

/**
 * Draws charts, and again where the page's width or colours change. Returns what draws them.
 * @param options of each chart, as functions, by the ids of their places
 * @param prepare is called with each place, and says what is done where a point is clicked
 */
export function redrawn(options, prepare = () => ({})) {
  const drawn = [];
  const draw = () => {
    for (const chart of drawn.splice(0)) chart.dispose();
    for (const [id, make] of Object.entries(options)) {
      const place = document.getElementById(id);
      if (!place) continue;
      const { click } = prepare(place);
      const chart = init(place, null, { renderer: "canvas" });
      chart.setOption(make());
      if (click) chart.on("click", click);
      drawn.push(chart);
    }
  };
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
  return draw;
}
