/** Weights that a model stores in other files, if these files are given. */
import type { ModelProto } from "onnx-buf";
import { type Content, opened } from "./content.js";
import { checkSize, checkTotal, fileError, fill, type Range, rangesElsewhere } from "./external.js";
import type { FileContent } from "./load-options.js";

/** Throws INVALID_MODEL, FILE_UNREADABLE (also if a file is not given), TOO_LARGE. */
export async function readExternalData(model: ModelProto, given: Readonly<Record<string, FileContent>>): Promise<void> {
  const files = new Map<string, Range[]>();
  for (const range of rangesElsewhere(model)) {
    const ranges = files.get(range.location) ?? [];
    ranges.push(range);
    files.set(range.location, ranges);
  }
  for (const [location, ranges] of files) await readFrom(await find(location, given, ranges), location, ranges);
}

/** By its whole name, or by the last part of it. */
async function find(
  location: string,
  given: Readonly<Record<string, FileContent>>,
  [first]: readonly Range[],
): Promise<Content> {
  const last = location.split(/[\\/]/).at(-1) ?? location;
  const name = [location, last].find((each) => Object.hasOwn(given, each));
  const content = name === undefined ? undefined : given[name];
  if (content !== undefined) return opened(content, location);
  const names = Object.keys(given).map((each) => `"${each}"`);
  const there = names.length > 0 ? `, and externalData has only ${names.join(", ")}` : "";
  const advice = `give that file too, as externalData: { ${JSON.stringify(last)}: file }`;
  throw fileError(`${first?.what} is stored in "${location}"${there}; ${advice}`);
}

async function readFrom(content: Content, location: string, ranges: readonly Range[]): Promise<void> {
  checkSize(location, content.size, ranges);
  checkTotal(location, content.size, ranges);
  for (const range of ranges) fill(range, await content.read(range.offset, range.offset + range.length));
}
