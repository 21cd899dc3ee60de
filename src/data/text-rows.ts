/** Rows of tables that are texts: CSV and JSON lines. */
import { Readable } from "node:stream";
import { PergradError } from "../errors.js";
import { library } from "../io/library.js";
import { textPiecesIn } from "../io/text-file.js";
import { distinct, type Row } from "./columns.js";

export async function* csvRows(path: string, delimiter: string): AsyncGenerator<Row> {
  const { parse } = await library("csv-parse", "read CSV", () => import("csv-parse"));
  const parser = parse({
    delimiter,
    skip_empty_lines: true,
    // Before rows of other lengths: they would be reported as a fault of their own.
    on_record: (record: string[], { records }) => {
      if (records === 1) requireSeparated(path, record, delimiter);
      return record;
    },
  });
  const texts = Readable.from(textPiecesIn(path));
  texts.on("error", (error) => parser.destroy(error));
  let names: readonly string[] | undefined;
  try {
    for await (const record of texts.pipe(parser)) {
      const values: readonly string[] = record;
      if (names) yield new Map(names.map((name, k) => [name, values[k]]));
      else names = distinct(path, values);
    }
  } finally {
    // Closes the file also where the reader of the rows stops early.
    texts.destroy();
  }
}

const separators: Readonly<Record<string, string>> = { ",": "commas", ";": "semicolons", "\t": "tabs" };

/** Throws FILE_UNREADABLE if the only name of a column shows that something else separates the columns. */
function requireSeparated(path: string, [name = "", ...others]: readonly string[], delimiter: string): void {
  const separator = Object.keys(separators).find((each) => name.includes(each));
  if (others.length > 0 || separator === undefined) return;
  throw new PergradError(
    "FILE_UNREADABLE",
    `The columns of "${path}" are separated by ${separators[separator]}; separate them by ${separators[delimiter]}, and write numbers with a decimal point.`,
  );
}

export async function* jsonRows(path: string): AsyncGenerator<Row> {
  let line = 0;
  for await (const text of linesOf(textPiecesIn(path))) {
    line++;
    if (text.trim() === "") continue;
    const found = parsed(text);
    if (!found) throw new PergradError("FILE_UNREADABLE", `Line ${line} of "${path}" is no JSON object; correct it.`);
    yield new Map(distinct(path, namesIn(text)).map((name) => [name, found.get(name)]));
  }
}

/** Without line ends. Node's readline would also divide at U+2028, which JSON's texts may hold. */
async function* linesOf(texts: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of texts) {
    const [first = "", ...others] = text.split("\n");
    const lines = [rest + first, ...others];
    rest = lines.pop() ?? "";
    yield* lines;
  }
  yield rest;
}

function parsed(text: string): Row | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === "object" && found !== null && !Array.isArray(found)
      ? new Map(Object.entries(found))
      : undefined;
  } catch {
    return undefined;
  }
}

/** The names in a JSON object, in the order of the text: `JSON.parse` puts whole numbers first, and drops repeated names. */
function namesIn(text: string): string[] {
  const names: string[] = [];
  let depth = 0;
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"\s*:?|[{}[\]]/g)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (depth === 1 && token.endsWith(":")) names.push(String(JSON.parse(token.slice(0, -1))));
  }
  return names;
}
