/** Non-maximum suppression of boxes. */

import type { Array64 } from "../../float64/array64.js";
import { leadingOf, nth } from "../../present.js";

export interface Suppression {
  /** The most boxes kept per class. */
  readonly most: number;
  /** Boxes that overlap a better one by more than this (intersection over union) are dropped. */
  readonly overlap: number;
  /** Only boxes with a higher score count. */
  readonly threshold: number;
  /** Whether boxes are given by centre and size instead of two corners. */
  readonly centred: boolean;
}

interface Box {
  readonly low: readonly [number, number];
  readonly high: readonly [number, number];
}

function boxOf([a = 0, b = 0, c = 0, d = 0]: Iterable<number>, centred: boolean): Box {
  if (centred) return { low: [a - c / 2, b - d / 2], high: [a + c / 2, b + d / 2] };
  return { low: [Math.min(a, c), Math.min(b, d)], high: [Math.max(a, c), Math.max(b, d)] };
}

const areaOf = ({ low, high }: Box) => (high[0] - low[0]) * (high[1] - low[1]);

/** Intersection over union. */
function overlapOf(a: Box, b: Box): number {
  const low = [Math.max(a.low[0], b.low[0]), Math.max(a.low[1], b.low[1])] as const;
  const high = [Math.min(a.high[0], b.high[0]), Math.min(a.high[1], b.high[1])] as const;
  if (high[0] <= low[0] || high[1] <= low[1]) return 0;
  const common = areaOf({ low, high });
  return common / (areaOf(a) + areaOf(b) - common);
}

/** The kept boxes of one class, best first. */
function keptOf(boxes: readonly Box[], scores: Float64Array, how: Suppression): number[] {
  const score = (box: number) => scores[box] as number;
  const order = [...boxes.keys()]
    .filter((box) => score(box) > how.threshold)
    .sort((a, b) => score(b) - score(a) || a - b);
  const kept: number[] = [];
  for (const box of order) {
    if (kept.length >= how.most) break;
    const hidden = kept.some((other) => overlapOf(nth(boxes, box), nth(boxes, other)) > how.overlap);
    if (!hidden) kept.push(box);
  }
  return kept;
}

/** Triples of image, class and box. Boxes `[images, boxes, 4]`, scores `[images, classes, boxes]`. */
export function selectBoxes(boxes: Array64, scores: Array64, how: Suppression): number[][] {
  const [images, classes, count] = leadingOf(scores.dims, 3);
  return Array.from({ length: images }, (_, image) => {
    const own = Array.from({ length: count }, (_, box) => {
      const from = (image * count + box) * 4;
      return boxOf(boxes.data.subarray(from, from + 4), how.centred);
    });
    return Array.from({ length: classes }, (_, kind) => {
      const from = (image * classes + kind) * count;
      return keptOf(own, scores.data.subarray(from, from + count), how).map((box) => [image, kind, box]);
    }).flat();
  }).flat();
}
