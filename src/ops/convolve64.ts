/** The products of a convolution, in the float64 reference. */
import { sizeOf } from "../tensor.js";
import type { Window } from "./definition.js";
import { kernelSize, windowOffsets } from "./window.js";

export interface Planes {
  readonly images: number;
  readonly groups: number;
  /** Channels of a group on the side that the kernel slides over, and on the other. */
  readonly big: number;
  readonly small: number;
}

/** The products of two planes and a kernel: number j is of elements `big[j]`, `small[j]` and `weight[j]`. */
interface Products {
  readonly big: Int32Array;
  readonly small: Int32Array;
  readonly weight: Int32Array;
}

function productsOf(spatial: readonly number[], positions: readonly number[], window: Window): Products {
  const offsets = windowOffsets(spatial, window, positions);
  const size = kernelSize(window);
  // Beyond the border there is nothing.
  const inside = Int32Array.from(offsets.keys()).filter((at) => (offsets[at] as number) >= 0);
  return {
    big: inside.map((at) => offsets[at] as number),
    small: inside.map((at) => Math.floor(at / size)),
    weight: inside.map((at) => at % size),
  };
}

/** Adds the products of two of the three sides to the third: Conv's result is the small side, ConvTranspose's the big one. */
export function addProducts(
  sides: { readonly big: Float64Array; readonly small: Float64Array; readonly weight: Float64Array },
  to: "big" | "small",
  { images, groups, big, small }: Planes,
  spatial: readonly number[],
  positions: readonly number[],
  window: Window,
): void {
  const products = productsOf(spatial, positions, window);
  const [plane, count, size] = [sizeOf(spatial), sizeOf(positions), kernelSize(window)];
  const from = to === "big" ? "small" : "big";
  const [result, data] = [sides[to], sides[from]];
  const [at, of] = [products[to], products[from]];
  for (let image = 0; image < images * groups; image++) {
    for (let o = 0; o < small; o++) {
      for (let i = 0; i < big; i++) {
        const start = { big: (image * big + i) * plane, small: (image * small + o) * count };
        const weight = (((image % groups) * small + o) * big + i) * size;
        const [begin, first] = [start[to], start[from]];
        for (let j = 0; j < at.length; j++) {
          const place = begin + (at[j] as number);
          const factor = sides.weight[weight + (products.weight[j] as number)] as number;
          result[place] = (result[place] as number) + factor * (data[first + (of[j] as number)] as number);
        }
      }
    }
  }
}
