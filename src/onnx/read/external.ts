/**
 * Weights that a model stores in files next to it. A model may come from anyone, so it may only name files in its own
 * folder: no absolute path, no "..", and no symbolic link out of it.
 */
import type { ModelProto } from "onnx-buf";
import { PergradError } from "../../errors.js";
import { storedBytesOf } from "../../io/bytes.js";
import { sizeOf } from "../../tensor/tensor.js";
import { Place } from "../enumerations.js";
import { invalidModel, storedTypeOf } from "../proto.js";
import { dimsOf } from "../tensors.js";
import { type External, storedElsewhere } from "./stored-elsewhere.js";

export interface Range extends External {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * The parts of other files that the model reads. All places are checked before the first byte is read. Throws
 * INVALID_MODEL.
 */
export function rangesElsewhere(model: ModelProto): Range[] {
  return storedElsewhere(model).map(rangeOf);
}

/** From here on the tensor holds its bytes itself, in a buffer of their own. */
export function fill({ proto }: Range, bytes: Uint8Array<ArrayBuffer>): void {
  proto.rawData = bytes;
  proto.dataLocation = Place.DEFAULT;
  proto.externalData = [];
}

function rangeOf({ proto, what }: External): Range {
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

/** Refuses, by its text alone, a location that any platform would read as a path out of the model's folder. */
function checkLocation(location: string, what: string): void {
  if (location === "" || location.includes("\0")) {
    throw invalidModel(`${what} is stored outside the model, which does not say in what file`);
  }
  if (/^([a-z]:|[\\/])/i.test(location) || climbs(location)) throw leaves(what, location);
}

/** Whether a path ends outside the folder it starts from, as "a/../.." does. */
function climbs(location: string): boolean {
  let depth = 0;
  for (const part of location.split(/[\\/]/)) {
    if (part === "..") depth -= 1;
    else if (part !== "" && part !== ".") depth += 1;
    if (depth < 0) return true;
  }
  return false;
}

function leaves(what: string, location: string): PergradError {
  return invalidModel(
    `${what} is stored in "${location}", outside the model's folder, where pergrad does not read`,
    "put that file beside the model and save the model with its bare name",
  );
}

export function fileError(problem: string, cause?: unknown): PergradError {
  return new PergradError("FILE_UNREADABLE", `${problem}.`, cause === undefined ? {} : { cause });
}

export function checkSize(file: string, size: number, ranges: readonly Range[]): void {
  const beyond = ranges.find(({ offset, length }) => offset + length > size);
  if (!beyond) return;
  const { what, offset, length } = beyond;
  throw fileError(
    `${what} lies at bytes ${offset}..${offset + length} of "${file}", which has ${size}, ` +
      "so that file is truncated or another model's; copy it again",
  );
}

/** Tied weights share a range, and small constants may; anything more was made to fill memory from one small file. */
export function checkTotal(file: string, size: number, ranges: readonly Range[]): void {
  const total = ranges.reduce((sum, { length }) => sum + length, 0);
  if (total <= 4 * size + 2 ** 24) return;
  throw new PergradError(
    "TOO_LARGE",
    `The model's weights take ${total} bytes of "${file}", which has ${size}, since many of them share the same; ` +
      "export the model again, each weight with a place of its own.",
  );
}
