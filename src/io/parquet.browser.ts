/** A browser writes no files. */
import { PergradError } from "../errors.js";

function refused(): never {
  throw new PergradError("FILE_UNWRITABLE", "A Parquet file cannot be written in a browser; write it in Node.");
}

export async function requireParquet(): Promise<void> {
  refused();
}

export async function parquetOf(): Promise<Uint8Array> {
  refused();
}
