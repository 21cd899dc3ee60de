/** Reads dropped files. */
import { messageOf } from "../src/errors.js";
import type { FileContent } from "../src/index.js";
import { decodeNpy } from "../src/io/npy.js";
import { decodeNpz } from "../src/io/npz.js";
import { decodeSafetensors } from "../src/io/safetensors.js";
import type { Tensor } from "../src/tensor/tensor.js";
import { tableOf } from "./tables.js";
import { bytesIn, requireReadable, textIn } from "./whole-files.js";

export interface Dropped {
  readonly model?: File;
  /** By name: files with weights that a model may store outside its own file. */
  readonly others: Readonly<Record<string, FileContent>>;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly images: readonly File[];
  /** What is shown for each sample. */
  readonly rows?: readonly string[];
  /** Whether these are texts. */
  readonly isText: boolean;
  /** The classes' names. */
  readonly classes?: readonly string[];
}

const isImage = (name: string) => /\.(png|jpe?g|webp|bmp|gif)$/i.test(name);

/** Names of files that hold class names, one per line. */
const classFile = /^(class|classes|class_names|labels|label_names|names)\.txt$/;

/** Throws PergradError, or an Error with a sentence for the page. */
export async function readDropped(files: readonly File[]): Promise<Dropped> {
  let model: File | undefined;
  let [rows, isText]: [readonly string[] | undefined, boolean] = [undefined, false];
  let classes: readonly string[] | undefined;
  const others: Record<string, FileContent> = {};
  const [tensors, ofTables] = [new Map<string, Tensor>(), new Map<string, Tensor>()];
  const images: File[] = [];
  for (const file of files) {
    const name = file.name.toLowerCase();
    if (name.endsWith(".onnx")) {
      requireReadable(file);
      model = file;
    } else if (isImage(name)) images.push(file);
    else if (classFile.test(name)) classes = linesOf(await textIn(file));
    else if (name.endsWith(".txt")) [rows, isText] = [linesOf(await textIn(file)), true];
    else if (/\.[ct]sv$/.test(name)) {
      const table = tableOf(await textIn(file), file.name);
      ({ rows, isText } = table);
      if (table.classes.length > 0) classes = table.classes;
      for (const [key, each] of table.tensors) ofTables.set(key, each);
    } else {
      const found = await tensorsIn(file);
      if (!found) others[file.name] = file;
      for (const [key, each] of found ?? []) tensors.set(key, each);
    }
  }
  // A file of tensors holds the model's inputs; a table beside it is only displayed.
  const all = new Map([...ofTables, ...tensors]);
  const more = { ...(model ? { model } : {}), ...(rows ? { rows } : {}), ...(classes ? { classes } : {}) };
  return { others, tensors: all, images, isText, ...more };
}

/** One text in each line. */
function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}

/** Undefined if the file's name is not that of any data format. */
async function tensorsIn(file: File): Promise<ReadonlyMap<string, Tensor> | undefined> {
  const extension = /\.(safetensors|npz|npy)$/i.exec(file.name)?.[1]?.toLowerCase();
  if (extension === undefined) return undefined;
  const bytes = await bytesIn(file);
  if (extension === "safetensors") return decodeSafetensors(bytes, file.name).tensors;
  if (extension === "npz") return decodeNpz(bytes, file.name);
  try {
    return new Map([[file.name.slice(0, -".npy".length), decodeNpy(bytes)]]);
  } catch (error) {
    throw new Error(`"${file.name}" is not a readable .npy file: ${messageOf(error)}.`);
  }
}

/**
 * Images as `[N, channels, height, width]` with values from 0 to 1, scaled to that size; the class of an image is the
 * number at the start of its name.
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
    const image = await createImageBitmap(file).catch(() => {
      throw new Error(`"${file.name}" is not an image that this browser reads; drop another, or leave it out.`);
    });
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
