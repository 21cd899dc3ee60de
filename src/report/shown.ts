/** What a page shows for each sample. */
import { invalidArgument } from "../arguments.js";
import { targetKind } from "../cleaning/targets.js";
import type { Objective } from "../compile/objective.js";
import type { PergradError } from "../errors.js";
import { counted } from "../meant.js";
import { option, sentence } from "../sentence.js";
import { isScaled, unscaled } from "../tensor/scaled.js";
import { takeSamples } from "../tensor/take-samples.js";
import { elementsIn, isFloat, sizeOf, type Tensor } from "../tensor/tensor.js";
import { png } from "./png.js";
import { wav } from "./sound.js";
import type { ReportContent, ReportOptions, Show } from "./types.js";

type Feeds = Readonly<Record<string, Tensor>>;

interface Frame {
  readonly name: string;
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
  /** Whether the channels are the last axis instead of the first. */
  readonly channelsLast?: boolean;
}

/** The least height and width of what looks like a picture without saying so. */
const leastSide = 8;

/** The first input that looks like pictures: three or four axes, or as many numbers as a square has pixels. */
function frameOf({ expected }: Pick<Objective, "expected">, feeds: Feeds): Frame | undefined {
  for (const [name, { sampleAxis }] of expected) {
    const tensor = feeds[name];
    if (name === "target" || sampleAxis !== 0 || !tensor || !(isFloat(tensor.dtype) || isScaled(tensor))) continue;
    const found = pictureIn(tensor.dims.slice(1));
    if (found) return { name, ...found };
  }
  return undefined;
}

/** @param dims the dimensions of one sample */
function pictureIn(dims: readonly number[]): Omit<Frame, "name"> | undefined {
  const [first = 0, second = 0, third = 0] = dims;
  if (dims.length === 3 && isChannels(first)) return { channels: first, height: second, width: third };
  const large = Math.min(first, second) >= leastSide;
  if (dims.length === 3 && isChannels(third) && large)
    return { channels: third, height: first, width: second, channelsLast: true };
  if (dims.length === 2 && large) return { channels: 1, height: first, width: second };
  const side = Math.round(Math.sqrt(first));
  if (dims.length === 1 && side >= leastSide && side * side === first)
    return { channels: 1, height: side, width: side };
  return undefined;
}

function isChannels(dim: number): dim is 1 | 3 {
  return dim === 1 || dim === 3;
}

/** The first input that may hold sounds: a row of numbers for each sample. */
function soundsOf({ expected }: Pick<Objective, "expected">, feeds: Feeds): Tensor | undefined {
  for (const [name, { sampleAxis }] of expected) {
    const tensor = feeds[name];
    if (name === "target" || sampleAxis !== 0 || !tensor) continue;
    const [first = 0, ...others] = tensor.dims.slice(1);
    const row = others.length === 0 || (first === 1 && others.length === 1);
    if (row && sizeOf(tensor.dims.slice(1)) > 1) return tensor;
  }
  return undefined;
}

type Showing = Pick<ReportOptions, "show" | "texts" | "rate">;

/** Throws INVALID_ARGUMENT. */
export function showOf(
  objective: Pick<Objective, "expected">,
  feeds: Feeds,
  { show: requested, texts, rate }: Showing,
): Show {
  const frame = frameOf(objective, feeds);
  if (requested === "text" && !texts)
    throw invalidArgument(sentence`Samples have no texts to show; give a text for each (${option("texts")}).`);
  if (requested === "image" && !frame)
    throw invalidArgument(
      sentence`No input looks like images, [N, H, W], or [N, C, H, W] or [N, H, W, C] with 1 or 3 channels; give another ${option("show")}.`,
    );
  if (rate !== undefined && !(Number.isSafeInteger(rate) && rate >= 1 && rate <= 384_000))
    throw invalidArgument(
      sentence`${option("rate")} is ${rate}; give the sampling rate of the sounds in Hz, a whole number from 1 to 384000.`,
    );
  const show = requested ?? (rate !== undefined ? "sound" : texts ? "text" : frame ? "image" : "table");
  if (texts && show !== "text") throw unused("texts", "text", show);
  if (rate !== undefined && show !== "sound") throw unused("rate", "sound", show);
  if (show !== "sound") return show;
  if (rate === undefined)
    throw invalidArgument(sentence`Sounds need their sampling rate in Hz; give it, such as ${option("rate", 16000)}.`);
  if (!soundsOf(objective, feeds))
    throw invalidArgument(sentence`No input looks like sounds, [N, T] or [N, 1, T]; give another ${option("show")}.`);
  return show;
}

function unused(name: string, taken: Show, show: Show): PergradError {
  return invalidArgument(
    sentence`The page shows each sample as ${shownAs[show]}, so it does not use ${option(name)}; leave that out, or give ${option("show", taken)}.`,
  );
}

const shownAs: Readonly<Record<Show, string>> = {
  image: "an image",
  text: "a text",
  sound: "a sound",
  table: "a row of numbers",
  none: "its number and name only",
};

/** Refuses names of classes if there are no classes, or not as many. Throws INVALID_ARGUMENT. */
export function checkClassNames(objective: Objective, names: readonly string[] | undefined): void {
  if (!names) return;
  if (targetKind(objective) !== "classes")
    throw invalidArgument(
      sentence`The targets of this loss are not one class label per sample, so no class can be named; leave out ${option("classNames")}.`,
    );
  const empty = names.indexOf("");
  if (empty !== -1)
    throw invalidArgument(sentence`The name ${empty} of ${option("classNames")} is empty; give each class a name.`);
  const classes = Number(objective.output.shape[1]);
  if (names.length === classes) return;
  throw invalidArgument(
    sentence`${option("classNames")} has ${counted(names.length, "name")}, but the model has ${classes} classes; give one name for each class.`,
  );
}

/** The most samples for which a page shows more than numbers. */
const mostShown = 1500;

/** If there are more, those with the highest numbers: the first of each column, then the second of each, and so on. */
function chosenSamples({ samples, columns }: Pick<ReportContent, "samples" | "columns">, most = mostShown): number[] {
  const all = Array.from({ length: samples }, (_, n) => n);
  if (samples <= most) return all;
  const orders = columns.map(({ values }) => {
    // NaN counts as the strangest.
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
  { texts, rate = 1 }: Showing,
  content: Pick<ReportContent, "samples" | "columns">,
): Map<number, string> {
  if (show === "none") return new Map();
  const sounds = show === "sound" ? soundsOf(objective, feeds) : undefined;
  if (sounds) return played(sounds, rate, content);
  const chosen = chosenSamples(content);
  if (show === "text") return new Map(chosen.map((n) => [n, shortened(texts?.[n] ?? "")]));
  const frame = show === "image" ? frameOf(objective, feeds) : undefined;
  if (frame) return pictures(frame, feeds, chosen);
  return new Map(chosen.map((n) => [n, rowOf(objective, feeds, n)]));
}

/** The most that is kept of a sound. */
const [longestSeconds, longestNumbers] = [5, 80_000];
/** Browsers refuse lower rates, so the numbers of slower sounds are repeated (seen in Chromium 156: 3,000 Hz). */
const lowestRate = 3000;
/** The most bytes of all sounds in a page. */
const soundBytes = 16e6;

function played(tensor: Tensor, rate: number, content: Pick<ReportContent, "samples" | "columns">) {
  const length = Math.min(sizeOf(tensor.dims.slice(1)), longestSeconds * rate, longestNumbers);
  const times = Math.ceil(lowestRate / rate);
  const most = Math.max(1, Math.min(mostShown, Math.floor(soundBytes / (2 * length * times))));
  const sounds = chosenSamples(content, most).map(
    (n) => [n, numbersOf("A sound", tensor, n).slice(0, length)] as const,
  );
  // One scale for all, so that sounds can be compared; numbers between -1 and 1 stay as they are.
  let peak = 1;
  for (const [, numbers] of sounds)
    for (const value of numbers) if (Number.isFinite(value)) peak = Math.max(peak, Math.abs(value));
  return new Map(
    sounds.map(([n, numbers]) => {
      const repeated = Float32Array.from(
        { length: times * numbers.length },
        (_, i) => (numbers[Math.floor(i / times)] ?? 0) / peak,
      );
      const file = wav(repeated, times * rate);
      return [n, `data:audio/wav;base64,${Buffer.from(file).toString("base64")}`] as const;
    }),
  );
}

/** The numbers of one sample; bytes with their scale. */
function numbersOf(what: string, tensor: Tensor, n: number): Float32Array {
  return Float32Array.from(elementsOf(what, tensor, 0, n), Number);
}

/** The same along any sample axis, as they are held: int64 stays exact. */
function elementsOf(what: string, tensor: Tensor, axis: number, n: number) {
  const own = takeSamples(tensor, axis, n, n + 1);
  return elementsIn(isScaled(own) ? unscaled(what, own) : own);
}

const longestText = 1000;

function shortened(text: string): string {
  return text.length <= longestText ? text : `${text.slice(0, longestText)}…`;
}

function pictures(
  { name, channels, height, width, channelsLast = false }: Frame,
  feeds: Feeds,
  chosen: readonly number[],
) {
  const tensor = feeds[name];
  if (!tensor) return new Map<number, string>();
  const rows = chosen.map((n) => numbersOf("A picture", tensor, n));
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
        const at = channels === 1 || channelsLast ? i : (i % plane) * 3 + Math.floor(i / plane);
        pixels[at] = Math.max(0, Math.min(255, ((row[i] ?? 0) - low) * scale));
      }
      const file = Buffer.from(png(pixels, width, height, channels)).toString("base64");
      return [chosen[k] ?? 0, `data:image/png;base64,${file}`] as const;
    }),
  );
}

/** The most numbers of each input that a row shows. */
const mostNumbers = 24;

function rowOf({ expected }: Pick<Objective, "expected">, feeds: Feeds, n: number): string {
  return [...expected]
    .flatMap(([name, { sampleAxis }]) => {
      const tensor = feeds[name];
      if (name === "target" || sampleAxis === null || !tensor) return [];
      const elements = elementsOf("A row", tensor, sampleAxis, n);
      const size = elements.length;
      const numbers = Array.from({ length: Math.min(size, mostNumbers) }, (_, k) => {
        const value = Number(elements[k]);
        return Number.isInteger(value) ? String(value) : value.toPrecision(3);
      });
      return [`${name}: ${numbers.join(", ")}${size > mostNumbers ? ", …" : ""}`];
    })
    .join("; ");
}
