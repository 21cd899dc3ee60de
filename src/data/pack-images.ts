/** Folders of pictures as bytes, one folder for each class. */
import { readdir, realpath, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import type sharpPackage from "sharp";
import type { Sharp } from "sharp";
import { checkOptions, invalidArgument } from "../arguments.js";
import { PergradError } from "../errors.js";
import { unreadable } from "../io/failure.js";
import { library } from "../io/library.js";
import { present } from "../present.js";
import { option, sentence } from "../sentence.js";
import type { ScaledTensor } from "../tensor/scaled.js";
import { checkClasses, unknownClass } from "./classes.js";
import type { Packed } from "./pack-rows.js";

/** Options of `packImages`. */
export interface PackImagesOptions {
  /** The name of the model's input. Default "x". */
  readonly input?: string;
  /** The size to which pictures are resized (Lanczos). Default: that of the first; pictures of other sizes are then refused. */
  readonly size?: { readonly width: number; readonly height: number };
  /** One grey channel, by the weights of ITU-R 601-2 (0.299, 0.587, 0.114), instead of red, green and blue. Default false. */
  readonly grey?: boolean;
  /** The names of all classes, in the order of their numbers. Default: the folders with pictures, in alphabetical order. */
  readonly classes?: readonly string[];
}

const optionNames = { input: true, size: true, grey: true, classes: true } as const;

const pictures = /^\.(png|jpe?g|jpe|jfif|webp|gif|tiff?|avif)$/i;
/** Pictures that sharp does not read. Other files are no pictures, and are passed over. */
const otherPictures = /^\.(bmp|dib|heic|heif|jp2|jxl|p[bgnp]m|tga|ico|icns|psd|svg|dcm|dng|cr2|nef|arw|exr|hdr)$/i;

/**
 * The pictures in FOLDER/CLASS, and in its folders: uint8 `[N, channels, height, width]` with a scale of 1 / 255, sRGB,
 * and the classes in alphabetical order. Files and folders whose names begin with a dot are passed over; of an animation
 * or of several pages, the first counts. Requires the package sharp.
 * @throws PergradError FILE_UNREADABLE: there is no such folder, it has no pictures, one is damaged or of another format,
 *   or sharp is not installed.
 * @throws PergradError SHAPE_MISMATCH: pictures have different sizes, and no size is given.
 * @throws PergradError LABEL_OUT_OF_RANGE: a folder is not among `classes`.
 */
export async function packImages(folder: string, options: PackImagesOptions = {}): Promise<Packed> {
  check(options);
  const { input = "x", grey = false } = options;
  const files = await filesOf(folder);
  const classNames = options.classes ?? [...new Set(files.map(({ className }) => className))];
  const numbers = new Map(classNames.map((name, k) => [name, BigInt(k)]));
  const target = BigInt64Array.from(files, ({ className }) => {
    const number = numbers.get(className);
    if (number !== undefined) return number;
    throw unknownClass(`The folder "${folder}" has a folder "${className}"`, classNames);
  });
  const { default: sharp } = await library("sharp", "read pictures", () => import("sharp"));
  const channels = grey ? 1 : 3;
  let size = options.size;
  let data = new Uint8Array();
  for (const [n, { path }] of files.entries()) {
    const picture = await decoded(sharp, path, options.size);
    size ??= { width: picture.width, height: picture.height };
    if (picture.width !== size.width || picture.height !== size.height)
      throw new PergradError(
        "SHAPE_MISMATCH",
        sentence`"${path}" has ${picture.width} x ${picture.height} pixels, but the pictures before have ${size.width} x ${size.height}; give a size that all are brought to (${option("size")}).`,
      );
    const length = channels * size.width * size.height;
    if (n === 0) data = new Uint8Array(files.length * length);
    (grey ? writeGrey : writeColours)(picture, data.subarray(n * length, (n + 1) * length));
  }
  const { width, height } = present(size);
  const x: ScaledTensor = { dtype: "uint8", dims: [files.length, channels, height, width], data, scale: 1 / 255 };
  return {
    tensors: { [input]: x, target: { dtype: "int64", dims: [files.length], data: target } },
    classNames,
    ids: files.map(({ className, name }) => `${className}/${name}`),
  };
}

/** Throws INVALID_ARGUMENT. */
function check(options: PackImagesOptions): void {
  checkOptions("packImages(folder, options)", options, optionNames);
  const { input, size, classes } = options;
  checkClasses(classes);
  if (input === "target") throw invalidArgument('No input can be called "target"; give it another name.');
  const sides: readonly unknown[] = size ? [size.width, size.height] : [];
  if (sides.some((side) => !Number.isInteger(side) || Number(side) < 1))
    throw invalidArgument(sentence`${option("size")} must be { width, height }, whole numbers above 0.`);
}

/** Pixels, with the channels of each side by side. */
interface Picture {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 2 | 3 | 4;
}

/** Upright, without alpha, in sRGB, of the given size. Throws FILE_UNREADABLE. */
async function decoded(sharp: typeof sharpPackage, path: string, size: PackImagesOptions["size"]): Promise<Picture> {
  try {
    const file = sharp(path);
    const { depth } = await file.metadata();
    if (depth !== "uchar" && depth !== "ushort")
      throw new PergradError(
        "FILE_UNREADABLE",
        `"${path}" holds numbers of the kind ${depth}, which have no common scale; convert it to 8 or 16 bits.`,
      );
    const picture = await pixelsOf(file.autoOrient().removeAlpha().toColourspace("srgb"));
    if (!size) return picture;
    const { pixels, ...raw } = picture;
    // In a second step: resized together, pixels that are transparent would lose their colours.
    return await pixelsOf(sharp(pixels, { raw }).resize({ ...size, fit: "fill" }));
  } catch (error) {
    if (error instanceof PergradError) throw error;
    throw new PergradError("FILE_UNREADABLE", `"${path}" is no readable picture; remove it.`, { cause: error });
  }
}

async function pixelsOf(picture: Sharp): Promise<Picture> {
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  return { pixels: data, width, height, channels };
}

function writeColours({ pixels, width, height, channels }: Picture, into: Uint8Array): void {
  const plane = width * height;
  for (let i = 0; i < plane; i++)
    for (let c = 0; c < 3; c++) into[c * plane + i] = pixels[i * channels + Math.min(c, channels - 1)] ?? 0;
}

/** As PIL's `convert("L")`: ITU-R 601-2, in sixteen bits behind the point, rounded. */
function writeGrey({ pixels, width, height, channels }: Picture, into: Uint8Array): void {
  const at = (i: number, c: number) => pixels[i * channels + Math.min(c, channels - 1)] ?? 0;
  for (let i = 0; i < width * height; i++)
    into[i] = (19595 * at(i, 0) + 38470 * at(i, 1) + 7471 * at(i, 2) + 32768) >> 16;
}

interface PictureFile {
  readonly className: string;
  /** Within the folder of the class. */
  readonly name: string;
  readonly path: string;
}

/** In alphabetical order. Throws FILE_UNREADABLE. */
async function filesOf(folder: string): Promise<readonly PictureFile[]> {
  const found: PictureFile[] = [];
  for (const { name: className, path, isFolder } of await entriesOf(folder))
    if (isFolder)
      for await (const name of picturesIn(path, [await realpath(folder)]))
        found.push({ className, name, path: join(path, name) });
    else if (isPicture(path))
      throw new PergradError("FILE_UNREADABLE", `"${path}" is in no folder of a class; move it into one.`);
  if (found.length > 0) return found;
  throw new PergradError(
    "FILE_UNREADABLE",
    `"${folder}" holds no pictures in folders of their classes, as in FOLDER/CLASS/1.png; arrange them so.`,
  );
}

/**
 * Names, relative to the folder, of the pictures in it and in its folders.
 * @param around the real paths of the folders that it lies in
 */
async function* picturesIn(folder: string, around: readonly string[]): AsyncGenerator<string> {
  const real = await realpath(folder);
  if (around.includes(real))
    throw new PergradError("FILE_UNREADABLE", `"${folder}" leads back to a folder that it lies in; remove it.`);
  for (const { name, path, isFolder } of await entriesOf(folder))
    if (isFolder) for await (const inner of picturesIn(path, [...around, real])) yield `${name}/${inner}`;
    else if (isPicture(path)) yield name;
}

/** Throws FILE_UNREADABLE for a picture of another format. */
function isPicture(path: string): boolean {
  const ending = extname(path);
  if (otherPictures.test(ending))
    throw new PergradError(
      "FILE_UNREADABLE",
      `"${path}" is a picture of a format that sharp does not read; convert it to PNG, or remove it.`,
    );
  return pictures.test(ending);
}

interface Entry {
  readonly name: string;
  readonly path: string;
  readonly isFolder: boolean;
}

/** What is in a folder, in alphabetical order, links as what they lead to; without hidden and missing files. */
async function entriesOf(folder: string): Promise<readonly Entry[]> {
  const names = await readdir(folder).catch(async (error: unknown) => {
    const found = await stat(folder).catch(() => undefined);
    if (found && !found.isDirectory())
      throw new PergradError("FILE_UNREADABLE", `"${folder}" is no folder; give the one that holds the classes.`, {
        cause: error,
      });
    throw unreadable(folder, error);
  });
  const found: Entry[] = [];
  for (const name of names.filter((each) => !each.startsWith(".")).sort()) {
    const path = join(folder, name);
    const own = await stat(path).catch(() => undefined);
    if (own) found.push({ name, path, isFolder: own.isDirectory() });
  }
  return found;
}
