/** Small pictures as PNG files (https://www.w3.org/TR/png-3/): the parts that a grey or coloured picture needs. */
import { zlibSync } from "fflate";
import { crc32 } from "../io/crc32.js";

const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** @param pixels rows of one (grey) or three (red, green, blue) bytes for each pixel */
export function png(pixels: Uint8Array, width: number, height: number, channels: 1 | 3): Uint8Array {
  const row = width * channels;
  const filtered = new Uint8Array((row + 1) * height);
  // Each row begins with its filter: 0, none.
  for (let y = 0; y < height; y++) filtered.set(pixels.subarray(y * row, (y + 1) * row), y * (row + 1) + 1);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  return joined([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", zlibSync(filtered, { level: 9 })),
    chunk("IEND", new Uint8Array()),
  ]);
}

/** Its length, its name, its content, and the CRC-32 of both. */
function chunk(name: string, content: Uint8Array): Uint8Array {
  const named = joined([new TextEncoder().encode(name), content]);
  const bytes = new Uint8Array(named.length + 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(named, 4);
  view.setUint32(bytes.length - 4, crc32(named));
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
