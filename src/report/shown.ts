/** What a page shows of each sample. */
import { invalidArgument } from "../arguments.js";
import type { Objective } from "../compile/objective.js";
import { isScaled, unscaled } from "../tensor/scaled.js";
import { takeSamples } from "../tensor/take-samples.js";
import { elementsIn, isFloat, sizeOf, type Tensor } from "../tensor/tensor.js";
import { png } from "./png.js";
import type { ReportColumn, Show } from "./types.js";

type Feeds = Readonly<Record<string, Tensor>>;

interface Frame {
  readonly name: string;
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
}

/** The first input that looks like pictures: three or four axes, or as many numbers as a square has pixels. */
function frameOf({ expected }: Pick<Objective, "expected">, feeds: Feeds): Frame | undefined {
  for (const [name, { sampleAxis }] of expected) {
    const tensor = feeds[name];
    if (name === "target" || sampleAxis !== 0 || !tensor || !(isFloat(tensor.dtype) || isScaled(tensor))) continue;
    const own = tensor.dims.slice(1);
    const [first = 0, second = 0, third = 0] = own;
    if (own.length === 3 && (first === 1 || first === 3))
      return { name, channels: first, height: second, width: third };
    if (own.length === 2 && Math.min(first, second) >= 8) return { name, channels: 1, height: first, width: second };
    const side = Math.round(Math.sqrt(first));
    if (own.length === 1 && side >= 8 && side * side === first) return { name, channels: 1, height: side, width: side };
  }
  return undefined;
}

/** Throws INVALID_ARGUMENT. */
export function showOf(
  objective: Pick<Objective, "expected">,
  feeds: Feeds,
  requested: Show | undefined,
  texts: readonly string[] | undefined,
): Show {
  const frame = frameOf(objective, feeds);
  if (requested === "text" && !texts)
    throw invalidArgument("Samples can be shown as texts only where there are some; give a text for each.");
  if (requested === "image" && !frame)
    throw invalidArgument(
      "No input looks like pictures, [N, H, W], [N, 1, H, W] or [N, 3, H, W]; show the samples in another way.",
    );
  return requested ?? (texts ? "text" : frame ? "image" : "table");
}

/** Samples that a page shows more of than their numbers, at most. */
const mostShown = 1500;

/** Of many, those with the highest numbers: the first of each column, then the second of each, and so on. */
export function chosenSamples(samples: number, columns: readonly ReportColumn[], most = mostShown): number[] {
  const all = Array.from({ length: samples }, (_, n) => n);
  if (samples <= most) return all;
  const orders = columns.map(({ values }) => {
    // What is no number is the strangest.
    const height = (n: number) => (Number.isNaN(values[n]) ? Number.POSITIVE_INFINITY : (values[n] ?? 0));
    return [...all].sort((a, b) => height(b) - height(a) || a - b);
  });
  const chosen = new Set<number>();
  for (const rank of all)
    for (const order of orders) {
      const next = order[rank];
      if (next !== undefined && chosen.size < most) chosen.add(next);
    }
  return [...chosen].sort((a, b) => a - b);
}

export function shownSamples(
  objective: Pick<Objective, "expected">,
  feeds: Feeds,
  show: Show,
  texts: readonly string[] | undefined,
  chosen: readonly number[],
): Map<number, string> {
  if (show === "none") return new Map();
  if (show === "text") return new Map(chosen.map((n) => [n, shortened(texts?.[n] ?? "")]));
  const frame = show === "image" ? frameOf(objective, feeds) : undefined;
  if (frame) return pictures(frame, feeds, chosen);
  return new Map(chosen.map((n) => [n, rowOf(objective, feeds, n)]));
}

const longestText = 1000;

function shortened(text: string): string {
  return text.length <= longestText ? text : `${text.slice(0, longestText)}…`;
}

function pictures({ name, channels, height, width }: Frame, feeds: Feeds, chosen: readonly number[]) {
  const tensor = feeds[name];
  if (!tensor) return new Map<number, string>();
  const rows = chosen.map((n) => {
    const own = takeSamples(tensor, 0, n, n + 1);
    return Float32Array.from(elementsIn(isScaled(own) ? unscaled("A picture", own) : own), Number);
  });
  // One scale for all, so that pictures can be compared.
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const row of rows)
    for (const value of row) if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const scale = high > low ? 255 / (high - low) : 0;
  return new Map(
    rows.map((row, k) => {
      const pixels = new Uint8Array(row.length);
      const plane = height * width;
      for (let i = 0; i < row.length; i++) {
        const at = channels === 1 ? i : (i % plane) * 3 + Math.floor(i / plane);
        pixels[at] = Math.max(0, Math.min(255, ((row[i] ?? 0) - low) * scale));
      }
      const file = Buffer.from(png(pixels, width, height, channels)).toString("base64");
      return [chosen[k] ?? 0, `data:image/png;base64,${file}`] as const;
    }),
  );
}

/** Numbers of each input that a row shows, at most. */
const mostNumbers = 24;

function rowOf({ expected }: Pick<Objective, "expected">, feeds: Feeds, n: number): string {
  return [...expected]
    .flatMap(([name, { sampleAxis }]) => {
      const tensor = feeds[name];
      if (name === "target" || sampleAxis === null || !tensor) return [];
      const own = takeSamples(tensor, sampleAxis, n, n + 1);
      const elements = elementsIn(own);
      const size = sizeOf(own.dims);
      const numbers = Array.from({ length: Math.min(size, mostNumbers) }, (_, k) => {
        const value = Number(elements[k]);
        return Number.isInteger(value) ? String(value) : value.toPrecision(3);
      });
      return [`${name}: ${numbers.join(", ")}${size > mostNumbers ? ", …" : ""}`];
    })
    .join("; ");
}
