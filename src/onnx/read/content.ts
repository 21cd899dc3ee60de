/** Files that are given by their contents. */
import { messageOf, PergradError } from "../../errors.js";
import type { FileContent } from "./load-options.js";

/** Contents whose parts are read on demand. */
export interface Content {
  readonly size: number;
  /** Bytes from `from` (included) to `to` (not included), in a buffer of their own. */
  read(from: number, to: number): Promise<Uint8Array<ArrayBuffer>>;
}

export function isContent(given: unknown): given is FileContent {
  return (
    given instanceof Uint8Array || given instanceof ArrayBuffer || given instanceof Blob || given instanceof Response
  );
}

/** The name for messages: a file's own name, a response's address, else `otherwise`. */
export function nameOf(content: FileContent, otherwise: string): string {
  if (content instanceof Blob && "name" in content && content.name !== "") return String(content.name);
  return content instanceof Response && content.url !== "" ? content.url : otherwise;
}

/** Throws FILE_UNREADABLE. */
export async function opened(content: FileContent, name: string): Promise<Content> {
  if (content instanceof Blob) {
    return { size: content.size, read: (from, to) => reading(name, () => content.slice(from, to).arrayBuffer()) };
  }
  const bytes = content instanceof Response ? await bodyOf(content, name) : asBytes(content);
  return { size: bytes.length, read: async (from, to) => new Uint8Array(bytes.subarray(from, to)) };
}

/** All bytes, without a copy if they are already in memory. Throws FILE_UNREADABLE. */
export async function bytesIn(content: FileContent, name: string): Promise<Uint8Array> {
  if (content instanceof Blob) return reading(name, () => content.arrayBuffer());
  return content instanceof Response ? bodyOf(content, name) : asBytes(content);
}

function asBytes(content: Uint8Array | ArrayBuffer): Uint8Array {
  return content instanceof Uint8Array ? content : new Uint8Array(content);
}

function bodyOf(response: Response, name: string): Promise<Uint8Array> {
  if (response.ok) return reading(name, () => response.arrayBuffer());
  const problem = `the server answered ${response.status}${response.statusText && ` (${response.statusText})`}`;
  throw new PergradError("FILE_UNREADABLE", `Cannot read "${name}": ${problem}; correct its address.`);
}

async function reading(name: string, read: () => Promise<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await read());
  } catch (error) {
    const reason = messageOf(error);
    throw new PergradError("FILE_UNREADABLE", `Cannot read "${name}": ${reason.replace(/\.$/, "")}.`, { cause: error });
  }
}
