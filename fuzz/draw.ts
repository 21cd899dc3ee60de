/** Random choices of a case. */
import { random } from "../src/tensor/random.js";

export interface Draw {
  /** A whole number in 0..count-1. */
  below(count: number): number;
  chance(probability: number): boolean;
  /** Undefined only for an empty list. */
  maybe<T>(list: readonly T[]): T | undefined;
  of<T>(list: readonly [T, ...T[]]): T;
}

/** The same choices for the same case of the same seed. */
export function drawOf(seed: number, index: number): Draw {
  const source = random((Math.imul(seed, 0x9e3779b1) + index) >>> 0);
  const below = (count: number) => Math.min(count - 1, Math.floor(source.uniform(0, count)));
  return {
    below,
    chance: (probability) => source.uniform(0, 1) < probability,
    maybe: (list) => list[below(list.length)],
    of: <T>(list: readonly [T, ...T[]]) => list[below(list.length)] ?? list[0],
  };
}

const ints = [-1n, 0n, 1n, 2n, 3n, -2n, -3n, 7n, 64n, 1000n, 65_536n, 10n ** 7n] as const;
const hugeInts = [2n ** 31n - 1n, 2n ** 31n, 2n ** 32n, 2n ** 40n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 62n] as const;
const extremeInts = [2n ** 63n - 1n, -(2n ** 63n), -(2n ** 31n), -(2n ** 53n)] as const;

export function hostileInt(draw: Draw): bigint {
  return draw.chance(0.6) ? draw.of(ints) : draw.of(draw.chance(0.7) ? hugeInts : extremeInts);
}

export function hostileFloat(draw: Draw): number {
  return draw.of([
    0,
    -0,
    1,
    -1,
    0.5,
    2,
    1e9,
    1e-45,
    3.4e38,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ]);
}

export function hostileName(draw: Draw): string {
  return draw.of(["", "__proto__", "constructor", "toString", "x", "y", "a/b\n\u0000", "n".repeat(100_000)]);
}

export function hostileDims(draw: Draw): bigint[] {
  if (draw.chance(0.05)) return Array<bigint>(draw.of([100, 5000, 200_000])).fill(1n);
  return Array.from({ length: draw.below(6) }, () => hostileInt(draw));
}
