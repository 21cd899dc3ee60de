import type { ExplainedParameter } from "../plan/planner.js";
import { table } from "../table.js";

const headings = ["parameter", "shape", "kind", "positions", "norm by", "sum by", "operations", "floats"] as const;

/** What a program does for each parameter. `rows` is the data; as text it is a table. */
export class Explanation {
  constructor(
    readonly rows: readonly ExplainedParameter[],
    readonly notes: readonly string[],
  ) {}

  /** Multiply-adds and floats moved, per sample, on top of the forward pass and the data's backward pass. */
  get total(): { readonly elements: number; readonly operations: number; readonly floats: number } {
    const sum = (key: "elements" | "operations" | "floats") => this.rows.reduce((total, row) => total + row[key], 0);
    return { elements: sum("elements"), operations: sum("operations"), floats: sum("floats") };
  }

  toString(): string {
    const { total } = this;
    const cells = [
      [...headings],
      ...this.rows.map((row) => [
        row.parameter,
        row.shape,
        row.kind,
        String(row.positions),
        row.norm ?? "-",
        row.sum ?? "-",
        count(row.operations),
        count(row.floats),
      ]),
      ["total", `${count(total.elements)} elements`, "", "", "", "", count(total.operations), count(total.floats)],
    ];
    const legend =
      "Operations are multiply-adds and floats are numbers moved, per sample, beyond the forward pass and the data's backward pass.";
    return [table(cells, 3), legend, ...this.notes.map((note) => `Note: ${note}`)].join("\n");
  }
}

/** 1234567 as "1,234,567". */
function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
