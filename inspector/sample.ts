/** Displays one sample: as a picture, a row of a table, or numbers. */
import type { Model, Tensor } from "../src/index.js";
import { floatsIn } from "../src/tensor/tensor.js";
import type { Feeds } from "./study.js";

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** 1 or 3. */
  readonly channels: number;
  /** `[channels, height, width]` */
  readonly values: ArrayLike<number>;
}

const inputIn = (model: Model, feeds: Feeds): Tensor | undefined =>
  model.graph.inputs
    .filter(({ name }) => model.sampleAxes[name] === 0)
    .flatMap(({ name }) => feeds[name] ?? [])
    .at(0);

/** Null if the first input holds no images: `[N, 1 or 3, H, W]`, `[N, H, W]`, or `[N, pixels of a square]`. */
export function pictureOf(model: Model, feeds: Feeds, sample: number): Picture | null {
  const input = inputIn(model, feeds);
  if (input?.dtype !== "float32") return null;
  const size = input.data.length / (input.dims[0] ?? 1);
  const form = formOf(input.dims, size);
  return form && { ...form, values: floatsIn(input).subarray(sample * size, (sample + 1) * size) };
}

function formOf([, ...dims]: readonly number[], size: number): Omit<Picture, "values"> | null {
  const side = Math.sqrt(size);
  if (dims.length === 1 && size >= 64 && Number.isInteger(side)) return { channels: 1, height: side, width: side };
  const [channels = 0, height = 0, width = 0] = dims.length === 2 ? [1, ...dims] : dims;
  if (dims.length > 3 || (channels !== 1 && channels !== 3) || height < 4 || width < 4) return null;
  return { channels, height, width };
}

/** Black for the smallest number, white for the largest. */
export function paint(canvas: HTMLCanvasElement, { width, height, channels, values }: Picture): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  canvas.width = width;
  canvas.height = height;
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let k = 0; k < values.length; k++) {
    least = Math.min(least, values[k] ?? 0);
    most = Math.max(most, values[k] ?? 0);
  }
  const scale = most > least ? 255 / (most - least) : 0;
  const pixels = context.createImageData(width, height);
  const plane = width * height;
  for (let k = 0; k < plane; k++) {
    for (let c = 0; c < 3; c++)
      pixels.data[4 * k + c] = ((values[(channels === 1 ? 0 : c) * plane + k] ?? 0) - least) * scale;
    pixels.data[4 * k + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

/** The row of its table, or else the first numbers of its first input. */
export function textOf(model: Model, feeds: Feeds, rows: readonly string[] | undefined, sample: number): string {
  const row = rows?.[sample];
  if (row !== undefined) return row;
  const input = inputIn(model, feeds);
  if (!input) return "";
  const size = input.data.length / (input.dims[0] ?? 1);
  const shown = Array.from(input.data.slice(sample * size, sample * size + Math.min(size, 24)), Number);
  return `${shown.map((each) => Number(each.toPrecision(3))).join(" ")}${size > 24 ? " …" : ""}`;
}
