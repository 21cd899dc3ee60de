/** Images of text in the form that the OCR models take: [3, 48, width] from -1 (black) to 1 (white), 0 beyond the text. */
import type { Tensor } from "../../src/tensor/tensor.js";
import { glyphs } from "./glyphs.js";

const height = 48;
/** Pixels of the image per pixel of a glyph. */
const scale = 4.5;
const margin = 8;
/** The size of a glyph and the gap after it, in the glyph's pixels. */
const advance = 6.5;
const samplesAcross = 4;

export interface TextOptions {
  /** Rotates by half a turn. */
  readonly upsideDown?: boolean;
}

/** Whether the glyphs are black at a point, in pixels of the image. */
function inked(text: string, x: number, y: number): boolean {
  const at = (x - margin) / scale;
  const index = Math.floor(at / advance);
  const [column, row] = [Math.floor(at - index * advance), Math.floor((y - (height - 7 * scale) / 2) / scale)];
  return glyphs[text[index] ?? ""]?.split(" ")[row]?.[column] === "#";
}

/** The share of a pixel that is black. */
function coverage(text: string, x: number, y: number): number {
  let covered = 0;
  for (let i = 0; i < samplesAcross; i++) {
    for (let j = 0; j < samplesAcross; j++) {
      if (inked(text, x + (i + 0.5) / samplesAcross, y + (j + 0.5) / samplesAcross)) covered++;
    }
  }
  return covered / samplesAcross ** 2;
}

export function textImages(texts: readonly string[], width: number, options: readonly TextOptions[] = []): Tensor {
  const size = 3 * height * width;
  const data = new Float32Array(texts.length * size);
  texts.forEach((text, n) => {
    const written = Math.min(width, Math.ceil(2 * margin + (text.length * advance - 1) * scale));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < written; x++) {
        const turned = options[n]?.upsideDown ? [written - 1 - x, height - 1 - y] : [x, y];
        const value = 1 - 2 * coverage(text, turned[0] ?? 0, turned[1] ?? 0);
        for (let channel = 0; channel < 3; channel++) data[n * size + (channel * height + y) * width + x] = value;
      }
    }
  });
  return { dtype: "float32", dims: [texts.length, 3, height, width], data };
}

/** The text that a recogniser's output [N, T, classes] spells: class 0 stands between characters, the last is a space. */
export function spell({ dims, data }: Tensor, dictionary: readonly string[]): string[] {
  const [samples = 0, positions = 0, classes = 0] = dims;
  return Array.from({ length: samples }, (_, n) => {
    const labels = Array.from({ length: positions }, (_, t) => {
      const start = (n * positions + t) * classes;
      const row = (data as Float32Array).subarray(start, start + classes);
      return row.indexOf(Math.max(...row));
    });
    const kept = labels.filter((label, t) => label !== 0 && label !== labels[t - 1]);
    return kept.map((label) => dictionary[label - 1] ?? " ").join("");
  });
}
