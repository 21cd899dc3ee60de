import { grouped } from "../grouped.js";
import type { ExplainedParameter, Total, Totals } from "../plan/explain.js";
import { questionNames, questions } from "../plan/questions.js";
import { table } from "./table.js";

/** A column of the table, which is left out if it is empty. */
interface Column {
  readonly heading: string;
  readonly optional?: boolean;
  of(row: ExplainedParameter): string;
}

const columns: readonly Column[] = [
  { heading: "parameter", of: (row) => row.parameter },
  { heading: "shape", of: (row) => row.shape },
  { heading: "kind", of: (row) => row.kind },
  { heading: "unfold by", optional: true, of: (row) => row.unfold ?? "-" },
  ...questionNames.map((name) => ({
    heading: questions[name].heading,
    optional: true,
    of: (row: ExplainedParameter) => row[name] ?? "-",
  })),
  { heading: "holds for N", of: ({ holds }) => range(holds) },
];

const numbers: readonly Column[] = [
  { heading: "positions", of: (row) => count(row.positions) },
  { heading: "operations", of: (row) => count(row.operations) },
  { heading: "bytes", of: (row) => count(4 * row.floats) },
];

function range([from, to]: readonly [number, number]): string {
  if (to >= 2 ** 20) return from === 1 ? "any" : `${count(from)} up`;
  return `${count(from)} to ${count(to)}`;
}

/** What a program does for each parameter: `rows` and `totals` as data, and a table as text. */
export class Explanation {
  constructor(
    readonly rows: readonly ExplainedParameter[],
    readonly notes: readonly string[],
    readonly totals: Totals,
    /** Initializers of the model's file that are not parameters, each with the reason. */
    readonly constants: Readonly<Record<string, string>> = {},
  ) {}

  /** Multiply-adds and floats moved, per sample, on top of the forward pass and the data's backward pass. */
  get total(): { readonly elements: number; readonly operations: number; readonly floats: number } {
    const sum = (key: "elements" | "operations" | "floats") => this.rows.reduce((total, row) => total + row[key], 0);
    return { elements: sum("elements"), operations: sum("operations"), floats: sum("floats") };
  }

  toString(): string {
    const { total, totals } = this;
    const shown = columns.filter(({ optional, of }) => !optional || this.rows.some((row) => of(row) !== "-"));
    const all = [...shown, ...numbers];
    const footer = all.map(({ heading }) => {
      if (heading === "parameter") return "total";
      if (heading === "shape") return `${count(total.elements)} elements`;
      if (heading === "operations") return count(total.operations);
      return heading === "bytes" ? count(4 * total.floats) : "";
    });
    const cells = [all.map(({ heading }) => heading), ...this.rows.map((row) => all.map(({ of }) => of(row))), footer];
    const legend =
      "Operations are multiply-adds and bytes are moved, per sample, beyond the forward pass and the data's backward pass.";
    const compared = [
      ["In all, for N = ".concat(count(totals.samples)), "operations", "MB moved", "ms on one thread"],
      summary("the plain mean gradient", totals.mean),
      summary("this program", totals.program),
      summary("all gradients materialised", totals.materialised),
    ];
    const notes = this.notes.map((note) => `Note: ${note}`);
    return [table(cells, shown.length), legend, "", table(compared, 1), ...notes, ...leftOut(this.constants)].join(
      "\n",
    );
  }
}

/** By reason. */
function leftOut(constants: Readonly<Record<string, string>>): string[] {
  const names = grouped(Object.entries(constants).map(([name, why]) => [why, name]));
  if (names.size === 0) return [];
  const lines = [...names].map(([why, all]) => `  ${all.join(", ")}: ${why}`);
  return [
    "Initializers that are no parameters (to make one a parameter: loadModel's parameters, or --parameters NAME):",
    ...lines,
  ];
}

function summary(what: string, { operations, bytes, milliseconds }: Total): string[] {
  return [what, count(operations), (bytes / 1e6).toFixed(1), milliseconds.toFixed(2)];
}

/** 1234567 as "1,234,567". */
function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
