/**
 * Forward mode, by transposition: a vector-Jacobian product is linear in its cotangent, so its derivative with respect
 * to the cotangent is the Jacobian-vector product. Nodes that only the vector-Jacobian product needs have no part in
 * that derivative and are never emitted: for y = x W, it is x v, a product as large as the forward one.
 */
import { type RangeOptions, Ranges } from "../analysis/ranges.js";
import { substitute } from "../graph/body.js";
import { isBatch, type Shape } from "../graph/dim.js";
import { leaf, type Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import type { Build } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { plainWith, reverse } from "./reverse.js";

/** A Jacobian-vector product, in the shape of the output. */
export interface Pushed {
  readonly tangent: Value;
  /**
   * Whether derivatives that may not be finite have guards. A guard looks at sums over everything that reads a value.
   */
  readonly guarded: boolean;
}

/**
 * The Jacobian-vector product: the rate at which `output` changes when the values in `tangents` change at these rates,
 * in the output's shape. Zeros if it depends on none of them. Throws UNSUPPORTED_OP.
 */
export function pushForward(
  output: Value,
  tangents: ReadonlyMap<Value, Value>,
  chosen: Build = build,
  given: RangeOptions = {},
): Value {
  return pushed(output, tangents, chosen, given).tangent;
}

/** The same, with a flag that says whether there are guards. */
export function pushed(output: Value, tangents: ReadonlyMap<Value, Value>, chosen: Build, given: RangeOptions): Pushed {
  const mode = plainWith(chosen);
  const cotangent = leaf("", output, { kind: "input" });
  const seeds = new Map([[output, cotangent]]);
  const found = reverse(seeds, new Set(tangents.keys()), mode, Ranges.before([output, cotangent], given));
  const products = [...found].map(([value, gradient]) =>
    chosen.sum(chosen.mul(gradient, present(tangents.get(value)))),
  );
  const none = (): Pushed => ({ tangent: chosen.zeros(output.shape, output.dtype), guarded: false });
  const [first, ...others] = products;
  if (!first) return none();
  const total = others.reduce((sum, product) => chosen.add(sum, product), first);
  const tangent = reverse(new Map([[total, chosen.scalar(1, total)]]), new Set([cotangent]), mode).get(cotangent);
  if (!tangent) return none();
  const guarded = leavesOf([tangent]).includes(cotangent);
  return { tangent: guarded ? withoutCotangent(chosen, tangent, cotangent) : tangent, guarded };
}

/**
 * The tangent without the cotangent that is left in it. That only tests for 0, where a mask selected otherwise, so any
 * numbers may take its place as long as no sum of them is 0 by chance.
 */
function withoutCotangent(build: Build, tangent: Value, cotangent: Value): Value {
  const any = build.expand(irregular(build, cotangent), cotangent.shape);
  return nth(substitute([tangent], new Map([[cotangent, any]])), 0);
}

/** Numbers between 1/2 and 3/2 without a pattern, the same for all samples. */
function irregular(build: Build, like: Value): Value {
  const dims = ofOneSample(like.shape);
  const size = dims.reduce((product, dim) => product * dim, 1);
  const golden = (Math.sqrt(5) - 1) / 2;
  const data = Float64Array.from({ length: size }, (_, k) => 0.5 + (((k + 1) ** 1.5 * golden) % 1));
  return build.floats(data, dims, like);
}

/** The shape with size 1 for axes that hold samples. */
function ofOneSample(shape: Shape): number[] {
  return shape.map((dim) => (isBatch(dim) ? 1 : dim));
}
