/** Damages the bytes of a file, regardless of their meaning. */
import type { Draw } from "./draw.js";

function spliced(bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array {
  const tail = bytes.subarray(Math.min(bytes.length, at + removed));
  const result = new Uint8Array(at + added.length + tail.length);
  result.set(bytes.subarray(0, at));
  result.set(added, at);
  result.set(tail, at + added.length);
  return result;
}

const noise = (draw: Draw, length: number) => Uint8Array.from({ length }, () => draw.below(256));

/** Lengths and numbers that no valid file has: up to 2^64, or without an end. */
const varints: readonly [readonly number[], ...(readonly number[])[]] = [
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0x80, 0x80, 0x80, 0x80, 0x10],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
];

type Damage = (bytes: Uint8Array, draw: Draw, at: number) => Uint8Array;

const damages: readonly [Damage, ...Damage[]] = [
  (bytes, _, at) => bytes.subarray(0, at),
  (bytes, draw, at) => spliced(bytes, at, 1, noise(draw, 1)),
  (bytes, draw, at) => spliced(bytes, at, 1, Uint8Array.of((bytes[at] ?? 0) ^ (1 << draw.below(8)))),
  (bytes, draw, at) => spliced(bytes, at, 0, noise(draw, 1 + draw.below(40))),
  (bytes, draw, at) => spliced(bytes, at, 1 + draw.below(40), new Uint8Array(0)),
  (bytes, draw, at) => spliced(bytes, at, 1, Uint8Array.from(draw.of(varints))),
  (bytes, draw, at) => spliced(bytes, at, 0, bytes.subarray(at, at + draw.below(400))),
  (bytes, draw, at) => spliced(bytes, at, 8, new Uint8Array(8).fill(draw.of([0, 0xff, 0x80]))),
];

export function damaged(bytes: Uint8Array, draw: Draw): Uint8Array {
  let result = bytes;
  for (let left = 1 + draw.below(3); left > 0; left--) {
    result = draw.of(damages)(result, draw, draw.below(Math.max(1, result.length)));
  }
  return result;
}
