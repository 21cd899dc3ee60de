/** Texts as bytes, since tensor files hold no texts. */
import type { Tensor } from "./tensor.js";

/** uint8 `[N, longest]`: texts in UTF-8, padded with zeros. */
export function tensorOfTexts(texts: readonly string[]): Tensor<"uint8"> {
  const encoder = new TextEncoder();
  const rows = texts.map((text) => encoder.encode(text));
  const longest = rows.reduce((most, { length }) => Math.max(most, length), 1);
  const data = new Uint8Array(texts.length * longest);
  rows.forEach((row, n) => {
    data.set(row, n * longest);
  });
  return { dtype: "uint8", dims: [texts.length, longest], data };
}

/** The texts in bytes `[N, length]`, or numbers `[N]` written out; undefined for any other tensor. */
export function textsOf({ dtype, dims, data }: Tensor): string[] | undefined {
  if (dims.length === 1) return Array.from<number | bigint, string>(data, String);
  if (dims.length !== 2 || dtype !== "uint8" || !(data instanceof Uint8Array)) return undefined;
  const [samples = 0, length = 0] = dims;
  const decoder = new TextDecoder();
  return Array.from({ length: samples }, (_, n) => {
    const row = data.subarray(n * length, (n + 1) * length);
    const end = row.findLastIndex((byte) => byte !== 0) + 1;
    return decoder.decode(row.subarray(0, end));
  });
}
