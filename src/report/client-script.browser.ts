/** A browser writes no files, and no reports. */
import { PergradError } from "../errors.js";

export async function clientScript(): Promise<string> {
  throw new PergradError("FILE_UNWRITABLE", "A report cannot be written in a browser; write it in Node.");
}
