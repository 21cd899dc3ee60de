/**
 * Weights that a model stores in files beside it. A model may come from anyone, so it may only name files of
 * its own folder: not by an absolute path, not through "..", not through a symbolic link.
 */
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, posix, relative, sep, win32 } from "node:path";
import { TensorProto_DataLocation as Location, type ModelProto, type NodeProto, type TensorProto } from "onnx-buf";
import { PergradError } from "../../errors.js";
import { storedBytesOf } from "../../io/bytes.js";
import { unreadable } from "../../io/failure.js";
import { readAt } from "../../io/safetensors.js";
import { sizeOf } from "../../tensor/tensor.js";
import { describeProto, invalidModel, storedTypeOf } from "../proto.js";
import { dimsOf } from "../tensors.js";

/** A tensor stored elsewhere; `what` names it in messages. */
interface Stored {
  readonly proto: TensorProto;
  readonly what: string;
}

interface Range extends Stored {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * Reads what the model at `path` stores in other files into its tensors, which then hold their bytes
 * themselves, each in a buffer of its own. Initializers that nothing reads stay where they are.
 * @throws PergradError INVALID_MODEL, FILE_UNREADABLE, TOO_LARGE.
 */
export async function readExternalData(model: ModelProto, path: string): Promise<void> {
  // All places are checked before the first byte is read.
  const ranges = storedElsewhere(model).map(rangeOf);
  if (ranges.length === 0) return;
  const folders = await foldersOf(path);
  const files = new Map<string, Range[]>();
  const found = new Map<string, string>();
  for (const range of ranges) {
    const file = found.get(range.location) ?? (await locate(range, folders));
    found.set(range.location, file);
    const inFile = files.get(file);
    if (inFile) inFile.push(range);
    else files.set(file, [range]);
  }
  for (const [file, inFile] of files) {
    const { size } = await stat(file);
    checkSize(file, size, inFile);
    checkTotal(file, size, inFile);
  }
  for (const [file, inFile] of files) await readRanges(file, inFile);
}

/** The tensors stored elsewhere that are read, in graphs inside nodes too, in an order of the model's. */
function storedElsewhere(model: ModelProto): Stored[] {
  const graphs = model.graph ? [model.graph] : [];
  const read = new Set<string>();
  const initializers: Stored[] = [];
  const attributes: Stored[] = [];
  const visit = (nodes: readonly NodeProto[]) => {
    for (const node of nodes) {
      for (const name of node.input) read.add(name);
      for (const { name, t, tensors, g, graphs: inner } of node.attribute) {
        const what = () => `attribute "${name}" of ${describeProto(node)}`;
        for (const proto of t ? [t, ...tensors] : tensors)
          if (isElsewhere(proto)) attributes.push({ proto, what: what() });
        graphs.push(...(g ? [g] : []), ...inner);
      }
    }
  };
  for (const { node } of model.functions) visit(node);
  // A list of what is left to do, since graphs may be nested deeply; it grows while it is worked through.
  for (const graph of graphs) {
    visit(graph.node);
    for (const { name } of graph.output) read.add(name);
    for (const proto of graph.initializer) {
      if (isElsewhere(proto)) initializers.push({ proto, what: `The initializer "${proto.name}"` });
    }
  }
  return [...initializers.filter(({ proto }) => read.has(proto.name)), ...attributes];
}

/** Types that pergrad does not read are left to the decoder, which says so. */
function isElsewhere(proto: TensorProto): boolean {
  return proto.dataLocation === Location.EXTERNAL && storedTypeOf(proto.dataType) !== undefined;
}

function rangeOf({ proto, what }: Stored): Range {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get("location") ?? "";
  checkLocation(location, what);
  const dims = dimsOf(proto, what);
  const stored = storedTypeOf(proto.dataType) ?? "uint8";
  const needed = sizeOf(dims) * storedBytesOf(stored);
  const offset = numberOf(entries, "offset", 0, what);
  const length = numberOf(entries, "length", needed, what);
  if (length !== needed) {
    throw invalidModel(
      `${what} needs ${needed} bytes for its shape [${dims.join(", ")}] of ${stored}, ` +
        `but the model says that it has ${length} in "${location}"`,
    );
  }
  return { proto, what, location, offset, length };
}

function numberOf(entries: ReadonlyMap<string, string>, key: string, otherwise: number, what: string): number {
  const text = entries.get(key);
  if (text === undefined) return otherwise;
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number)) return number;
  throw invalidModel(`${what} is stored outside the model at the impossible ${key} "${text}"`);
}

/** Refuses by its text alone what is no path into the model's folder, as any platform would read it. */
function checkLocation(location: string, what: string): void {
  if (location === "" || location.includes("\0")) {
    throw invalidModel(`${what} is stored outside the model, which does not say in what file`);
  }
  const normal = posix.normalize(location.replaceAll("\\", "/"));
  const absolute = posix.isAbsolute(location) || win32.isAbsolute(location) || /^[a-z]:/i.test(location);
  if (absolute || normal === ".." || normal.startsWith("../")) throw leaves(what, location);
}

function leaves(what: string, location: string): PergradError {
  return invalidModel(
    `${what} is stored in "${location}", outside the model's folder, where pergrad does not read`,
    "put that file beside the model and save the model with its bare name",
  );
}

/** The folder that the model is in, and, where `path` is a symbolic link, the one it really is in. */
async function foldersOf(path: string): Promise<string[]> {
  try {
    return [...new Set([await realpath(dirname(path)), dirname(await realpath(path))])];
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** The real path of a file. Both folders may hold it: caches link models and their data into one store. */
async function locate({ location, what }: Range, folders: readonly string[]): Promise<string> {
  const problems: unknown[] = [];
  for (const folder of folders) {
    const file = await realpath(join(folder, location)).catch((error: unknown) => void problems.push(error));
    if (file === undefined) continue;
    if (!folders.some((allowed) => isInside(file, allowed))) {
      const problem = `${what} is stored in "${location}", a link to "${file}" outside the model's folder`;
      throw fileError(`${problem}, where pergrad does not read; put the file itself beside the model`);
    }
    if ((await stat(file)).isFile()) return file;
    throw fileError(`${what} is stored in "${location}", but "${file}" is not a file; put the model's data there`);
  }
  const [cause] = problems;
  const { message } = unreadable(join(folders[0] ?? "", location), cause);
  throw fileError(
    `${what} is stored outside the model: ${message.slice(0, -1)}; put that file beside the model`,
    cause,
  );
}

function isInside(file: string, folder: string): boolean {
  const path = relative(folder, file);
  return path !== ".." && !path.startsWith(`..${sep}`) && !isAbsolute(path);
}

function fileError(problem: string, cause?: unknown): PergradError {
  return new PergradError("FILE_UNREADABLE", `${problem}.`, cause === undefined ? {} : { cause });
}

function checkSize(file: string, size: number, ranges: readonly Range[]): void {
  const beyond = ranges.find(({ offset, length }) => offset + length > size);
  if (!beyond) return;
  const { what, offset, length } = beyond;
  throw fileError(
    `${what} lies at bytes ${offset}..${offset + length} of "${file}", which has ${size}, ` +
      "so that file is truncated or another model's; copy it again",
  );
}

/** Tied weights share a range, and small constants may; more than that was made to fill memory from one small file. */
function checkTotal(file: string, size: number, ranges: readonly Range[]): void {
  const total = ranges.reduce((sum, { length }) => sum + length, 0);
  if (total <= 4 * size + 2 ** 24) return;
  throw new PergradError(
    "TOO_LARGE",
    `The model's weights take ${total} bytes of "${file}", which has ${size}, since many of them share the same; ` +
      "export the model again, each weight with a place of its own.",
  );
}

/** Tensors may share bytes of the file (tied weights); in memory each has its own. */
async function readRanges(path: string, ranges: readonly Range[]): Promise<void> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    for (const { proto, offset, length } of [...ranges].sort((a, b) => a.offset - b.offset)) {
      proto.rawData = await readAt(file, offset, length);
      proto.dataLocation = Location.DEFAULT;
      proto.externalData = [];
    }
  } catch (error) {
    throw unreadable(path, error);
  } finally {
    await file?.close();
  }
}
