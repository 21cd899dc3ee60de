/** Folders of pictures as bytes, one folder for each class. */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { PergradError } from "../errors.js";
import { unreadable } from "../io/failure.js";
import { library } from "../io/library.js";
import type { ScaledTensor } from "../tensor/scaled.js";
import type { Packed } from "./pack-rows.js";

/** Options of `packImages`. */
export interface PackImagesOptions {
  /** The name of the model's input. Default "x". */
  readonly input?: string;
  /** The size to which pictures are resized. Default: that of the first; pictures of other sizes are then refused. */
  readonly size?: { readonly width: number; readonly height: number };
  /** One grey channel instead of red, green and blue. Default false. */
  readonly grey?: boolean;
}

const pictures = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i;

/**
 * The pictures in FOLDER/CLASS/FILE: uint8 `[N, channels, height, width]` with a scale of 1 / 255, and the classes in
 * alphabetical order. Requires the package sharp.
 * @throws PergradError FILE_UNREADABLE: there is no such folder, it has no pictures, one is damaged, or sharp is not
 *   installed.
 * @throws PergradError SHAPE_MISMATCH: pictures have different sizes, and no size is given.
 */
export async function packImages(folder: string, options: PackImagesOptions = {}): Promise<Packed> {
  const { input = "x", grey = false } = options;
  const files = await filesOf(folder);
  const { default: sharp } = await library("sharp", "read pictures", () => import("sharp"));
  const channels = grey ? 1 : 3;
  let size = options.size;
  let data = new Uint8Array();
  for (const [n, { path }] of files.entries()) {
    // Upright, as a camera's note in the file (EXIF) says.
    const picture = sharp(path)
      .rotate()
      .removeAlpha()
      .toColourspace(grey ? "b-w" : "srgb");
    const own = options.size ? picture.resize({ ...options.size, fit: "fill" }) : picture;
    const { data: pixels, info } = await own
      .raw()
      .toBuffer({ resolveWithObject: true })
      .catch((error: unknown) => {
        throw new PergradError("FILE_UNREADABLE", `"${path}" is no readable picture; remove it.`, { cause: error });
      });
    size ??= { width: info.width, height: info.height };
    const plane = size.width * size.height;
    if (info.width !== size.width || info.height !== size.height)
      throw new PergradError(
        "SHAPE_MISMATCH",
        `"${path}" has ${info.width} x ${info.height} pixels, but the pictures before have ${size.width} x ${size.height}; give a size that all are brought to.`,
      );
    if (n === 0) data = new Uint8Array(files.length * plane * channels);
    for (let i = 0; i < plane; i++)
      for (let c = 0; c < channels; c++)
        data[(n * channels + c) * plane + i] = pixels[i * info.channels + Math.min(c, info.channels - 1)] ?? 0;
  }
  const classNames = [...new Set(files.map(({ className }) => className))].sort();
  const x: ScaledTensor = {
    dtype: "uint8",
    dims: [files.length, channels, size?.height ?? 0, size?.width ?? 0],
    data,
    scale: 1 / 255,
  };
  const target = BigInt64Array.from(files, ({ className }) => BigInt(classNames.indexOf(className)));
  return {
    tensors: { [input]: x, target: { dtype: "int64", dims: [files.length], data: target } },
    classNames,
    ids: files.map(({ className, name }) => `${className}/${name}`),
  };
}

async function filesOf(folder: string) {
  const classes = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw unreadable(folder, error);
  });
  const found: { readonly className: string; readonly name: string; readonly path: string }[] = [];
  const folders: Dirent[] = [];
  for (const entry of classes) if (await isFolder(folder, entry)) folders.push(entry);
  for (const { name: className } of folders.sort(byName))
    for (const { name } of (await readdir(join(folder, className), { withFileTypes: true })).sort(byName))
      if (pictures.test(name)) found.push({ className, name, path: join(folder, className, name) });
  if (found.length > 0) return found;
  throw new PergradError(
    "FILE_UNREADABLE",
    `"${folder}" holds no pictures in folders of their classes, as in FOLDER/CLASS/1.png; arrange them so.`,
  );
}

/** Links count as what they lead to. */
async function isFolder(folder: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  const found = await stat(join(folder, entry.name)).catch(() => null);
  return found?.isDirectory() ?? false;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
