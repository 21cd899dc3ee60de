/** What dropped files hold. */
import type { FileContent } from "../src/index.js";
import { decodeNpy } from "../src/io/npy.js";
import { decodeNpz } from "../src/io/npz.js";
import { decodeSafetensors } from "../src/io/safetensors.js";
import type { Tensor } from "../src/tensor/tensor.js";

export interface Dropped {
  readonly model?: File;
  /** By name: weights that a model may store outside its own file. */
  readonly others: Readonly<Record<string, FileContent>>;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly images: readonly File[];
  /** Texts of each row of a table, for display. */
  readonly rows?: readonly string[];
}

const isImage = (name: string) => /\.(png|jpe?g|webp|bmp|gif)$/i.test(name);

/** Throws PergradError, or an Error with a sentence for the page. */
export async function readDropped(files: readonly File[]): Promise<Dropped> {
  let model: File | undefined;
  let rows: readonly string[] | undefined;
  const others: Record<string, FileContent> = {};
  const tensors = new Map<string, Tensor>();
  const images: File[] = [];
  for (const file of files) {
    const name = file.name.toLowerCase();
    if (name.endsWith(".onnx")) model = file;
    else if (isImage(name)) images.push(file);
    else if (name.endsWith(".csv")) {
      const table = tableOf(await file.text(), file.name);
      rows = table.rows;
      for (const [key, each] of table.tensors) tensors.set(key, each);
    } else {
      const found = await tensorsIn(file);
      if (!found) others[file.name] = file;
      for (const [key, each] of found ?? []) tensors.set(key, each);
    }
  }
  return { ...(model ? { model } : {}), others, tensors, images, ...(rows ? { rows } : {}) };
}

/** Undefined where the file's name is that of no format of data. */
async function tensorsIn(file: File): Promise<ReadonlyMap<string, Tensor> | undefined> {
  const extension = /\.(safetensors|npz|npy)$/i.exec(file.name)?.[1]?.toLowerCase();
  if (extension === undefined) return undefined;
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (extension === "safetensors") return decodeSafetensors(bytes, file.name).tensors;
  if (extension === "npz") return decodeNpz(bytes, file.name);
  try {
    return new Map([[file.name.slice(0, -".npy".length), decodeNpy(bytes)]]);
  } catch (error) {
    throw new Error(`"${file.name}" is not a readable .npy file: ${error instanceof Error ? error.message : error}.`);
  }
}

const targetNames = /^(target|targets|label|labels|class|y)$/i;

/** Numbers in columns; a column that is named like a target, else the last one, is it; the others are `x`, `[N, columns]`. */
function tableOf(
  text: string,
  name: string,
): { readonly tensors: ReadonlyMap<string, Tensor>; readonly rows: string[] } {
  const [header = [], ...lines] = text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "")
    .map((line) => line.split(",").map((cell) => cell.trim().replace(/^"(.*)"$/, "$1")));
  const named = header.findIndex((column) => targetNames.test(column));
  const target = named >= 0 ? named : header.length - 1;
  const columns = header.map((_, k) => k).filter((k) => k !== target);
  const x = new Float32Array(lines.length * columns.length);
  const targets = new Float64Array(lines.length);
  for (const [n, line] of lines.entries()) {
    for (const [k, column] of header.entries()) {
      const number = Number(line[k] || Number.NaN);
      if (Number.isNaN(number))
        throw new Error(
          `"${name}" has ${JSON.stringify(line[k] ?? "")} in line ${n + 2}, column "${column}": columns hold numbers.`,
        );
      if (k === target) targets[n] = number;
      else x[n * columns.length + columns.indexOf(k)] = number;
    }
  }
  const isWhole = targets.every(Number.isInteger);
  const tensors = new Map<string, Tensor>([
    ["x", { dtype: "float32", dims: [lines.length, columns.length], data: x }],
    [
      "target",
      isWhole
        ? { dtype: "int64", dims: [lines.length], data: BigInt64Array.from(targets, BigInt) }
        : { dtype: "float32", dims: [lines.length], data: Float32Array.from(targets) },
    ],
  ]);
  return { tensors, rows: lines.map((line) => columns.map((k) => `${header[k]}: ${line[k]}`).join(", ")) };
}

/**
 * Images as `[N, channels, height, width]` from 0 to 1, scaled to that size; their classes are the digits that their
 * names begin with.
 */
export async function imagesAs(
  files: readonly File[],
  [channels, height, width]: readonly [number, number, number],
): Promise<ReadonlyMap<string, Tensor>> {
  const size = channels * height * width;
  const data = new Float32Array(files.length * size);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("This browser cannot read images.");
  for (const [n, file] of files.entries()) {
    const image = await createImageBitmap(file);
    context.clearRect(0, 0, width, height);
    context.drawImage(image, 0, 0, width, height);
    image.close();
    const pixels = context.getImageData(0, 0, width, height).data;
    for (let k = 0; k < height * width; k++) {
      const [r = 0, g = 0, b = 0] = pixels.subarray(4 * k, 4 * k + 3);
      if (channels === 1) data[n * size + k] = (0.299 * r + 0.587 * g + 0.114 * b) / 255;
      else for (const [c, value] of [r, g, b].entries()) data[n * size + c * height * width + k] = value / 255;
    }
  }
  const tensors = new Map<string, Tensor>([
    ["x", { dtype: "float32", dims: [files.length, channels, height, width], data }],
  ]);
  const classes = files.map(({ name }) => /^\d+/.exec(name)?.[0]);
  if (classes.every((each) => each !== undefined))
    tensors.set("target", { dtype: "int64", dims: [files.length], data: BigInt64Array.from(classes, BigInt) });
  return tensors;
}
