/** Tables of values separated by commas, semicolons or tabs: numbers for the model, texts for display. */

import { parse } from "csv-parse/browser/esm/sync";
import { messageOf } from "../src/errors.js";
import type { Tensor } from "../src/tensor/tensor.js";

export interface Table {
  /** `x`, `[N, columns of numbers]`, and `target`, `[N]`. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** For each row, what is displayed: its texts; if it has none, its numbers by column. */
  readonly rows: readonly string[];
  /** Whether these are texts. */
  readonly isText: boolean;
  /** If the target is a text: its values in alphabetical order, numbered from 0. */
  readonly classes: readonly string[];
}

const targetNames = /^(target|targets|label|labels|class|y)$/i;

/**
 * The target is the column named like a target, or else the last one. Columns of numbers are for the model; the others
 * are texts. Throws an Error with a sentence for the page.
 */
export function tableOf(text: string, name: string): Table {
  const [header, ...lines] = recordsOf(text, name);
  if (!header) throw new Error(`"${name}" is empty; drop a table with a header and a row for each sample.`);
  const short = lines.findIndex((line) => line.length !== header.length);
  if (short >= 0)
    throw new Error(
      `"${name}" has ${lines[short]?.length} cells in record ${short + 2}, and ${header.length} columns; correct it.`,
    );
  const columns = header.map(
    (column, k) =>
      new Column(
        column,
        lines.map((line) => line[k] ?? ""),
      ),
  );
  const target = columns.find((column) => targetNames.test(column.name)) ?? columns.at(-1);
  const others = columns.filter((column) => column !== target);
  const numeric = others.filter(({ isNumeric }) => isNumeric);
  const texts = others.filter(({ isNumeric }) => !isNumeric);
  const empty = texts.find(({ isNearlyNumeric }) => isNearlyNumeric);
  if (empty)
    throw new Error(
      `"${name}" has ${empty.firstProblem}, column "${empty.name}": the others hold numbers; correct it.`,
    );
  const classes = target && !target.isNumeric ? [...new Set(target.cells)].sort() : [];
  const x = new Float32Array(lines.length * numeric.length);
  for (const [k, { cells }] of numeric.entries())
    for (const [n, cell] of cells.entries()) x[n * numeric.length + k] = Number(cell);
  const tensors = new Map<string, Tensor>();
  if (numeric.length > 0) tensors.set("x", { dtype: "float32", dims: [lines.length, numeric.length], data: x });
  if (target) tensors.set("target", target.asTarget(classes));
  const shown = texts.length > 0 ? texts : numeric;
  const rows = lines.map((_, n) =>
    shown.map(({ name: column, cells }) => (shown.length === 1 ? "" : `${column}: `) + (cells[n] ?? "")).join(", "),
  );
  return { tensors, rows, isText: texts.length > 0, classes };
}

/** Throws an Error with a sentence for the page. */
function recordsOf(text: string, name: string): string[][] {
  const options = { bom: true, trim: true, skip_empty_lines: true, relax_column_count: true };
  try {
    return parse(text, { ...options, delimiter: separatorIn(text) });
  } catch (error) {
    throw new Error(`"${name}" is not a readable table: ${messageOf(error)}; correct it.`);
  }
}

/** What separates the cells: a comma, a semicolon or a tab, whichever the header has most of. */
function separatorIn(text: string): string {
  const [header = ""] = /^[^\r\n]*/.exec(text) ?? [];
  const count = (separator: string) => header.split(separator).length;
  return [";", "\t"].reduce((most, other) => (count(other) > count(most) ? other : most), ",");
}

class Column {
  constructor(
    readonly name: string,
    readonly cells: readonly string[],
  ) {}

  get isNumeric(): boolean {
    return this.cells.every(isNumber);
  }

  /** Whether most cells are numbers: the others are then mistakes or missing. */
  get isNearlyNumeric(): boolean {
    return this.cells.filter(isNumber).length > this.cells.length / 2;
  }

  get firstProblem(): string {
    const at = this.cells.findIndex((cell) => !isNumber(cell));
    return `${JSON.stringify(this.cells[at] ?? "")} in record ${at + 2}`;
  }

  asTarget(classes: readonly string[]): Tensor {
    const dims = [this.cells.length];
    if (classes.length > 0)
      return { dtype: "int64", dims, data: BigInt64Array.from(this.cells, (cell) => BigInt(classes.indexOf(cell))) };
    const numbers = this.cells.map(Number);
    return numbers.every(Number.isInteger)
      ? { dtype: "int64", dims, data: BigInt64Array.from(numbers, BigInt) }
      : { dtype: "float32", dims, data: Float32Array.from(numbers) };
  }
}

const isNumber = (cell: string) => cell.trim() !== "" && !Number.isNaN(Number(cell));
