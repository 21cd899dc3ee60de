/** pack: turns tables and folders of pictures into a file for the other commands. */
import { rm, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type Packed, packImages, packRows, readRows } from "../data/index.js";
import { writeFileSafely } from "../io/atomic.js";
import { requireOwnBeside } from "../io/beside.js";
import { unreadable } from "../io/failure.js";
import { writeTensors } from "../io/files.js";
import { idsName } from "../io/table.js";
import { counted, listed } from "../meant.js";
import { unboundScales } from "../tensor/scaled.js";
import type { Tensor } from "../tensor/tensor.js";
import { tensorOfTexts } from "../tensor/texts.js";
import type { Io } from "./io.js";
import { classesOf } from "./lists.js";
import type { Progress } from "./progress.js";
import { checkOut } from "./task.js";
import { flagOf, UsageError } from "./usage.js";

export interface PackCommandOptions {
  readonly out: string;
  readonly target?: string;
  readonly classes?: string;
  readonly targetType?: "float32" | "int64";
  readonly input?: ReadonlyMap<string, readonly string[]>;
  readonly ids?: string;
  readonly texts?: string;
  readonly integers?: readonly string[];
  readonly allowNotFinite?: boolean;
  readonly size?: { readonly width: number; readonly height: number };
  readonly grey?: boolean;
}

export async function pack(source: string, options: PackCommandOptions, io: Io, progress: Progress): Promise<void> {
  const found = await stat(source).catch((error: unknown) => {
    throw unreadable(source, error);
  });
  await checkOut(options.out, found.isDirectory() ? [] : [source]);
  const own = Object.values(besideOf(options.out)).filter((path) => resolve(path) !== resolve(options.classes ?? ""));
  await requireOwnBeside("data file", options.out, own);
  progress.stage("reading");
  const packed = found.isDirectory() ? await ofFolder(source, options) : await ofRows(source, options);
  // An input of that name takes precedence.
  const named = packed.ids && !(idsName in packed.tensors) ? { [idsName]: tensorOfTexts(packed.ids) } : {};
  await writeTensors(options.out, unboundScales(new Map(Object.entries({ ...packed.tensors, ...named }))));
  const { written, removed } = await writeBeside(options.out, packed);
  progress.stop();
  for (const [name, tensor] of Object.entries(packed.tensors)) {
    const missing = floatsNotFinite(tensor);
    if (missing > 0)
      progress.note(
        `${missing} of the ${tensor.data.length} numbers of "${name}" are NaN or infinite; give --allow-not-finite to what reads them too.`,
      );
  }
  const shapes = Object.entries(packed.tensors).map(
    ([name, { dtype, dims }]) => `${name} ${dtype} [${dims.join(", ")}]`,
  );
  const { classNames } = packed;
  if (classNames) shapes.push(`${counted(classNames.length, "class", "classes")}: ${listed(classNames, 5)}`);
  io.stdout.write(`wrote ${[options.out, ...written].join(", ")}: ${shapes.join(", ")}\n`);
  if (removed.length > 0) io.stdout.write(`removed ${removed.join(", ")}, which an earlier file had\n`);
}

/** The files of texts beside a data file. */
function besideOf(out: string) {
  const stem = out.replace(/\.[a-z]+$/i, "");
  return { ids: `${stem}.ids.json`, texts: `${stem}.texts.json`, classes: `${stem}.classes.json` };
}

/** The texts that tensors cannot hold, in files beside the data. Removes what is there of earlier data. */
async function writeBeside(out: string, { ids, texts, classNames }: Packed) {
  const [written, removed]: [string[], string[]] = [[], []];
  const paths = besideOf(out);
  for (const [path, list] of [
    [paths.ids, ids],
    [paths.texts, texts],
    [paths.classes, classNames],
  ] as const) {
    if (list) {
      await writeFileSafely(path, new TextEncoder().encode(`${JSON.stringify(list)}\n`));
      written.push(path);
    } else if (await stat(path).catch(() => undefined)) {
      await rm(path);
      removed.push(path);
    }
  }
  return { written, removed };
}

/** Throws UsageError for an option that has no meaning for this kind of source. */
function refuse(options: PackCommandOptions, names: readonly (keyof PackCommandOptions)[], why: string): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given !== undefined) throw new UsageError(`${flagOf(given)} is ${why}; leave it out.`);
}

async function ofRows(source: string, options: PackCommandOptions): Promise<Packed> {
  refuse(options, ["size", "grey"], "for folders of pictures, not for tables");
  const { target, targetType, classes, input, ids, texts, integers, allowNotFinite } = options;
  if (target === undefined) throw new UsageError("--target must be given: the column that holds the target.");
  return packRows(readRows(source), {
    target,
    ...(classes === undefined ? {} : { classes: await classesOf(classes) }),
    ...(targetType === undefined ? {} : { targetType }),
    ...(input ? { inputs: Object.fromEntries(input) } : {}),
    ...(ids === undefined ? {} : { ids }),
    ...(texts === undefined ? {} : { texts }),
    ...(integers ? { integers } : {}),
    ...(allowNotFinite ? { allowNotFinite } : {}),
  });
}

async function ofFolder(source: string, options: PackCommandOptions): Promise<Packed> {
  refuse(
    options,
    ["target", "targetType", "input", "ids", "texts", "integers", "allowNotFinite"],
    "for tables; of pictures, the folders are the classes, and the files are the names",
  );
  const { size, grey, classes } = options;
  return packImages(source, {
    ...(size ? { size } : {}),
    ...(grey ? { grey } : {}),
    ...(classes === undefined ? {} : { classes: await classesOf(classes) }),
  });
}

function floatsNotFinite({ data }: Tensor): number {
  let found = 0;
  for (const each of data) if (typeof each === "number" && !Number.isFinite(each)) found += 1;
  return found;
}
