/** Pictures for models that look at photographs. They are drawn, so that they are the same everywhere. */
import type { Tensor } from "../../src/tensor/tensor.js";

type Colour = readonly [number, number, number];
/** The colour at a point of the unit square, with y pointing down. */
export type Scene = (x: number, y: number) => Colour;

function within(x: number, y: number, [cx, cy, rx, ry]: readonly [number, number, number, number]): boolean {
  return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1;
}

/** A drawn face around (cx, cy). */
export function face(cx: number, cy: number, size: number): Scene {
  const parts: readonly (readonly [readonly [number, number, number, number], Colour])[] = [
    [
      [-0.17, -0.1, 0.035, 0.035],
      [0.05, 0.03, 0.02],
    ],
    [
      [0.17, -0.1, 0.035, 0.035],
      [0.05, 0.03, 0.02],
    ],
    [
      [-0.17, -0.1, 0.08, 0.045],
      [0.95, 0.95, 0.95],
    ],
    [
      [0.17, -0.1, 0.08, 0.045],
      [0.95, 0.95, 0.95],
    ],
    [
      [-0.17, -0.2, 0.1, 0.02],
      [0.2, 0.12, 0.08],
    ],
    [
      [0.17, -0.2, 0.1, 0.02],
      [0.2, 0.12, 0.08],
    ],
    [
      [0, 0.1, 0.05, 0.03],
      [0.6, 0.4, 0.32],
    ],
    [
      [0, 0.03, 0.03, 0.1],
      [0.8, 0.6, 0.48],
    ],
    [
      [0, 0.27, 0.14, 0.035],
      [0.65, 0.25, 0.25],
    ],
    [
      [0, 0.02, 0.36, 0.48],
      [0.87, 0.68, 0.56],
    ],
    [
      [0, -0.08, 0.42, 0.52],
      [0.2, 0.13, 0.08],
    ],
  ];
  return (x, y) => {
    const [u, v] = [(x - cx) / size, (y - cy) / size];
    const part = parts.find(([ellipse]) => within(u, v, ellipse));
    // Light from the left gives the flat colours some depth.
    const light = 1 - 0.25 * u;
    const [r, g, b] = part?.[1] ?? [0.45, 0.55, 0.6 - 0.1 * y];
    return part ? [r * light, g * light, b * light] : [r, g, b];
  };
}

export type Segment = readonly [number, number, number, number];

/** Dark line segments on a bright ground. */
export function lines(segments: readonly Segment[]): Scene {
  return (x, y) => {
    const near = segments.some(([ax, ay, bx, by]) => {
      const [dx, dy] = [bx - ax, by - ay];
      const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)));
      return Math.hypot(x - ax - along * dx, y - ay - along * dy) < 0.008;
    });
    return near ? [0.1, 0.1, 0.15] : [0.9, 0.88, 0.85];
  };
}

/** [N, size, size, 3 or 4], colours from `low` to `high`; a fourth channel is 1. */
export function picture(
  scenes: readonly Scene[],
  size: number,
  { low, high, channels = 3 }: { readonly low: number; readonly high: number; readonly channels?: 3 | 4 },
): Tensor<"float32"> {
  const data = new Float32Array(scenes.length * size * size * channels).fill(1);
  scenes.forEach((scene, n) => {
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        const colour = scene((column + 0.5) / size, (row + 0.5) / size);
        const start = ((n * size + row) * size + column) * channels;
        data.set(
          colour.map((part) => low + (high - low) * Math.min(1, part)),
          start,
        );
      }
    }
  });
  return { dtype: "float32", dims: [scenes.length, size, size, channels], data };
}
