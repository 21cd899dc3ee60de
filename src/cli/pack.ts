/** pack: turns tables and folders of pictures into a file for the other commands. */
import { stat } from "node:fs/promises";
import { type Packed, packImages, packRows, readRows } from "../data/index.js";
import { writeFileSafely } from "../io/atomic.js";
import { unreadable } from "../io/failure.js";
import { writeTensors } from "../io/files.js";
import { idsName } from "../io/table.js";
import { unboundScales } from "../tensor/scaled.js";
import type { Tensor } from "../tensor/tensor.js";
import { tensorOfTexts } from "../tensor/texts.js";
import type { Io } from "./io.js";
import type { Progress } from "./progress.js";
import { checkOut } from "./task.js";
import { UsageError } from "./usage.js";

export interface PackCommandOptions {
  readonly out: string;
  readonly target?: string;
  readonly input?: ReadonlyMap<string, readonly string[]>;
  readonly ids?: string;
  readonly texts?: string;
  readonly integers?: readonly string[];
  readonly size?: { readonly width: number; readonly height: number };
  readonly grey?: boolean;
}

export async function pack(source: string, options: PackCommandOptions, io: Io, progress: Progress): Promise<void> {
  const found = await stat(source).catch((error: unknown) => {
    throw unreadable(source, error);
  });
  await checkOut(options.out, found.isDirectory() ? [] : [source]);
  progress.stage("reading");
  const packed = found.isDirectory() ? await ofFolder(source, options) : await ofRows(source, options);
  // An input of that name takes precedence.
  const named = packed.ids && !(idsName in packed.tensors) ? { [idsName]: tensorOfTexts(packed.ids) } : {};
  await writeTensors(options.out, unboundScales(new Map(Object.entries({ ...packed.tensors, ...named }))));
  const written = [options.out];
  const stem = options.out.replace(/\.[a-z]+$/i, "");
  for (const [name, list] of [
    ["ids", packed.ids],
    ["texts", packed.texts],
    ["classes", packed.classNames],
  ] as const) {
    if (!list) continue;
    await writeFileSafely(`${stem}.${name}.json`, new TextEncoder().encode(`${JSON.stringify(list)}\n`));
    written.push(`${stem}.${name}.json`);
  }
  progress.stop();
  for (const [name, tensor] of Object.entries(packed.tensors)) {
    const missing = floatsNotFinite(tensor);
    if (missing > 0)
      progress.note(
        `${missing} of the ${tensor.data.length} numbers of "${name}" are NaN or infinite; most models cannot be given them.`,
      );
  }
  const shapes = Object.entries(packed.tensors).map(
    ([name, { dtype, dims }]) => `${name} ${dtype} [${dims.join(", ")}]`,
  );
  io.stdout.write(`wrote ${written.join(", ")}: ${shapes.join(", ")}\n`);
}

function ofRows(source: string, { target, input, ids, texts, integers }: PackCommandOptions): Promise<Packed> {
  if (target === undefined) throw new UsageError("--target must be given: the column that holds the target.");
  return packRows(readRows(source), {
    target,
    ...(input ? { inputs: Object.fromEntries(input) } : {}),
    ...(ids === undefined ? {} : { ids }),
    ...(texts === undefined ? {} : { texts }),
    ...(integers ? { integers } : {}),
  });
}

function ofFolder(source: string, { size, grey, input, target }: PackCommandOptions): Promise<Packed> {
  if (input || target !== undefined)
    throw new UsageError("--input and --target are for tables; of pictures, folders are the classes.");
  return packImages(source, { ...(size ? { size } : {}), ...(grey ? { grey } : {}) });
}

function floatsNotFinite({ data }: Tensor): number {
  let found = 0;
  for (const each of data) if (typeof each === "number" && !Number.isFinite(each)) found += 1;
  return found;
}
