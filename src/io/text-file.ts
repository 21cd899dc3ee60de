/** Files of text, in UTF-8 or, as a byte order mark says, in UTF-16. In Node only. */
import { createReadStream } from "node:fs";
import { PergradError } from "../errors.js";
import { unreadable } from "./failure.js";

/** The text of a file. Throws FILE_UNREADABLE. */
export async function textIn(path: string): Promise<string> {
  let text = "";
  for await (const piece of textPiecesIn(path)) text += piece;
  return text;
}

/** The text of a file, piece by piece, without a byte order mark. Throws FILE_UNREADABLE, also where bytes are no text. */
export async function* textPiecesIn(path: string): AsyncGenerator<string> {
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  const decoded = (bytes?: Uint8Array) => {
    try {
      return decoder?.decode(bytes, { stream: bytes !== undefined }) ?? "";
    } catch (error) {
      const encoding = decoder?.encoding.toUpperCase();
      const problem = `"${path}" is not in ${encoding}, so its texts would not survive; write it in UTF-8.`;
      throw new PergradError("FILE_UNREADABLE", problem, { cause: error });
    }
  };
  for await (const bytes of bytesIn(path)) {
    decoder ??= new TextDecoder(encodingOf(bytes), { fatal: true });
    yield decoded(bytes);
  }
  yield decoded();
}

async function* bytesIn(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** As a byte order mark at the beginning says. */
function encodingOf([first, second]: Uint8Array): string {
  if (first === 0xff && second === 0xfe) return "utf-16le";
  return first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
}
