/** What the readers of tables share: rows, names of columns, and times as texts. */
import { PergradError } from "../errors.js";

/** A row: the value of each column by its name, in the table's order (an object would put whole numbers first). */
export type Row = ReadonlyMap<string, unknown>;

/** The names. Throws FILE_UNREADABLE if two are equal. */
export function distinct(path: string, names: readonly string[]): readonly string[] {
  const known = new Set<string>();
  for (const name of names) {
    if (known.has(name))
      throw new PergradError("FILE_UNREADABLE", `"${path}" has two columns "${name}"; rename one of them.`);
    known.add(name);
  }
  return names;
}

/** A time of day, given in milliseconds since midnight: `12:30:00.000`. */
export function timeOfDay(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(11, -1);
}
