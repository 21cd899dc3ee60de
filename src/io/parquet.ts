/** Tables as Parquet files, written by a package that users install. */
import type { Cell, Column } from "./column.js";
import { library } from "./library.js";

/** Throws FILE_UNWRITABLE if the package is not installed. */
export async function requireParquet(): Promise<void> {
  await writer();
}

/** Throws FILE_UNWRITABLE if the package is not installed. */
export async function parquetOf(columns: readonly Column[]): Promise<Uint8Array> {
  const { parquetWriteBuffer } = await writer();
  const columnData = columns.map(({ name, values }) => ({ name, data: plainOf(values), type: typeOf(values) }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}

function writer() {
  return library("hyparquet-writer", "write Parquet", () => import("hyparquet-writer"), { code: "FILE_UNWRITABLE" });
}

function typeOf(values: Column["values"]): "FLOAT" | "INT32" | "DOUBLE" | "INT64" | "BOOLEAN" | "STRING" {
  if (values instanceof Float32Array) return "FLOAT";
  if (values instanceof Int32Array) return "INT32";
  const all = (is: (cell: Cell) => boolean) => values.every((cell) => cell === null || is(cell));
  if (all((cell) => typeof cell === "number")) return "DOUBLE";
  if (all((cell) => typeof cell === "bigint")) return "INT64";
  return all((cell) => typeof cell === "boolean") ? "BOOLEAN" : "STRING";
}

/** Converts cells of mixed types to texts. */
function plainOf(values: Column["values"]) {
  if (values instanceof Float32Array || values instanceof Int32Array) return values;
  return typeOf(values) === "STRING" ? values.map((cell) => (cell === null ? null : String(cell))) : [...values];
}
