/** Finds the members of a zip archive in its file (APPNOTE.TXT of PKWARE, 4.3). */
import type { FileHandle } from "./file-system.js";
import { readAt } from "./rows.js";

/** A file in an archive. */
export interface Member {
  readonly name: string;
  /** 0: stored; 8: deflated. */
  readonly method: number;
  /** Its bytes in the archive, and unpacked. */
  readonly packed: number;
  readonly size: number;
  /** The CRC-32 of its unpacked bytes. */
  readonly checksum: number;
  /** The position of its first byte in the archive. */
  readonly position: number;
}

const signatures = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator: 0x07064b50 };
/** Marks a number that is in the zip64 part instead. */
const elsewhere = 0xffffffff;
/** A larger directory is an attack, or does not belong to an archive of arrays. */
const largest = 2 ** 26;

/** The members in the directory's order; null if anything is unusual, which readers of whole archives then judge. */
export async function membersOf(file: FileHandle): Promise<readonly Member[] | null> {
  const size = Number((await file.stat()).size);
  const directory = await directoryOf(file, size);
  if (!directory) return null;
  const view = viewOf(directory.bytes);
  const found: Member[] = [];
  let at = 0;
  for (let k = 0; k < directory.count; k++) {
    const entry = entryAt(view, directory.bytes, at);
    const member = entry && (await placed(file, size, entry));
    if (!entry || !member) return null;
    found.push(member);
    at = entry.next;
  }
  return new Set(found.map(({ name }) => name)).size === found.length ? found : null;
}

interface Directory {
  readonly bytes: Uint8Array;
  readonly count: number;
}

async function directoryOf(file: FileHandle, size: number): Promise<Directory | null> {
  // The record at the end has 22 bytes, plus a comment of at most 65,535.
  const tail = await readAt(file, Math.max(0, size - 22 - 65535), Math.min(size, 22 + 65535));
  const view = viewOf(tail);
  let at = tail.length - 22;
  while (at >= 0 && view.getUint32(at, true) !== signatures.end) at--;
  if (at < 0) return null;
  let count = view.getUint16(at + 10, true);
  let [length, start] = [view.getUint32(at + 12, true), view.getUint32(at + 16, true)];
  if (count === 0xffff || length === elsewhere || start === elsewhere) {
    if (at < 20 || view.getUint32(at - 20, true) !== signatures.locator) return null;
    const record = await within(file, size, Number(view.getBigUint64(at - 12, true)), 56);
    if (!record || viewOf(record).getUint32(0, true) !== signatures.end64) return null;
    const number = (k: number) => Number(viewOf(record).getBigUint64(k, true));
    [count, length, start] = [number(32), number(40), number(48)];
  }
  if (length > largest || count > length / 46) return null;
  const bytes = await within(file, size, start, length);
  return bytes && { bytes, count };
}

/** Null if the file has no such bytes. */
async function within(file: FileHandle, size: number, start: number, length: number): Promise<Uint8Array | null> {
  return start >= 0 && length >= 0 && start + length <= size ? readAt(file, start, length) : null;
}

interface Entry extends Omit<Member, "position"> {
  /** The position of its own header in the archive. */
  readonly header: number;
  readonly next: number;
}

function entryAt(view: DataView, bytes: Uint8Array, at: number): Entry | null {
  if (at + 46 > bytes.length || view.getUint32(at, true) !== signatures.central) return null;
  const [flags, method] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
  const lengths = [28, 30, 32].map((k) => view.getUint16(at + k, true));
  const [name = 0, extra = 0, comment = 0] = lengths;
  const next = at + 46 + name + extra + comment;
  // Encrypted, or compressed by another method.
  if (next > bytes.length || (flags & 1) !== 0 || (method !== 0 && method !== 8)) return null;
  const numbers = [24, 20, 42].map((k) => view.getUint32(at + k, true));
  const whole = widened(numbers, bytes.subarray(at + 46 + name, at + 46 + name + extra));
  if (!whole) return null;
  const [size = 0, packed = 0, header = 0] = whole;
  return {
    name: new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name)),
    method,
    checksum: view.getUint32(at + 16, true),
    size,
    packed,
    header,
    next,
  };
}

/** The zip64 part holds numbers of more than 32 bits, in this order, and only those that need it. */
function widened(numbers: readonly number[], extra: Uint8Array): readonly number[] | null {
  if (!numbers.includes(elsewhere)) return numbers;
  const view = viewOf(extra);
  for (let at = 0; at + 4 <= extra.length; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 1) continue;
    let from = at + 4;
    const found = numbers.map((number) => {
      if (number !== elsewhere) return number;
      from += 8;
      return from <= extra.length ? Number(view.getBigUint64(from - 8, true)) : Number.NaN;
    });
    return found.every(Number.isSafeInteger) ? found : null;
  }
  return null;
}

/** Adds the position of the data, which follows the member's own header. */
async function placed(file: FileHandle, size: number, { header, next: _, ...member }: Entry): Promise<Member | null> {
  const own = await within(file, size, header, 30);
  if (!own || viewOf(own).getUint32(0, true) !== signatures.local) return null;
  const position = header + 30 + viewOf(own).getUint16(26, true) + viewOf(own).getUint16(28, true);
  const fits = position + member.packed <= size && (member.method !== 0 || member.packed === member.size);
  return fits ? { ...member, position } : null;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
