/** Derivatives of traced values, as traced values: they can be differentiated again. */

import { invalidArgument } from "../arguments.js";
import { PergradError } from "../errors.js";
import { isBatch, N, sameDim, sameShape, showShape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { nth } from "../present.js";
import { Traced } from "../trace/traced.js";
import { forEachDirection } from "./directions.js";
import { pushForward } from "./forward.js";
import { grad } from "./grad.js";
import { plain, reverse } from "./reverse.js";

function requireLike(call: string, what: string, given: Traced, like: Traced): void {
  if (!(given instanceof Traced)) throw invalidArgument(`${call}: ${what} is not a traced tensor; give one for each.`);
  if (sameShape(given.value.shape, like.value.shape) && given.dtype === like.dtype) return;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `${call}: ${what} is ${given.dtype} ${showShape(given.value.shape)}, not ${like.dtype} ${showShape(like.value.shape)}; give one of that dtype and shape.`,
  );
}

function pairs(call: string, wrt: readonly Traced[], vectors: readonly Traced[]): (readonly [Traced, Traced])[] {
  if (wrt.length !== vectors.length)
    throw invalidArgument(
      `${call}: ${wrt.length} values, but ${vectors.length} vectors; give one vector for each value.`,
    );
  return wrt.map((value, k) => {
    const vector = nth(vectors, k);
    requireLike(call, `vector ${k}`, vector, value);
    return [value, vector];
  });
}

function gradientsOf(seeds: ReadonlyMap<Value, Value>, wrt: readonly Traced[]): Traced[] {
  const found = reverse(seeds, new Set(wrt.map(({ value }) => value)), plain);
  return wrt.map(({ value }) => new Traced(found.get(value) ?? build.zeros(value.shape, value.dtype)));
}

/**
 * The vector-Jacobian product: the sum over the elements of `output` of `cotangent` times their gradients with respect
 * to `wrt`, in the shape of `wrt`. Zeros if `output` does not depend on `wrt`.
 * @param cotangent of the output's dtype and shape
 * @throws PergradError SHAPE_MISMATCH, UNSUPPORTED_OP.
 */
export function vjp(output: Traced, wrt: Traced, cotangent: Traced): Traced;
export function vjp(output: Traced, wrt: readonly Traced[], cotangent: Traced): Traced[];
export function vjp(output: Traced, wrt: Traced | readonly Traced[], cotangent: Traced): Traced | Traced[] {
  requireLike("vjp", "the cotangent", cotangent, output);
  const targets = wrt instanceof Traced ? [wrt] : wrt;
  const found = gradientsOf(new Map([[output.value, cotangent.value]]), targets);
  return wrt instanceof Traced ? nth(found, 0) : found;
}

/**
 * The Jacobian-vector product (forward mode): the rate at which `output` changes when the values in `wrt` change at the
 * rates in `tangents`, in the output's shape.
 * @param tangents one for each value, of its dtype and shape
 * @throws PergradError SHAPE_MISMATCH, INVALID_ARGUMENT, UNSUPPORTED_OP.
 */
export function jvp(output: Traced, wrt: Traced, tangents: Traced): Traced;
export function jvp(output: Traced, wrt: readonly Traced[], tangents: readonly Traced[]): Traced;
export function jvp(output: Traced, wrt: Traced | readonly Traced[], tangents: Traced | readonly Traced[]): Traced {
  const values = wrt instanceof Traced ? [wrt] : wrt;
  const given = pairs("jvp", values, tangents instanceof Traced ? [tangents] : tangents);
  return new Traced(pushForward(output.value, new Map(given.map(([value, tangent]) => [value.value, tangent.value]))));
}

/**
 * The Hessian of a scalar times a vector, in the shape of `wrt`: the gradient of the inner product of the scalar's
 * gradient and the vector. For several values it is the Hessian in all of them together. With respect to `expand(w,
 * "N")`, for a sum over samples, it is each sample's own Hessian times that sample's vector.
 * @param vectors one for each value, of its dtype and shape
 * @throws PergradError SHAPE_MISMATCH (also if `scalar` is not a scalar), INVALID_ARGUMENT, UNSUPPORTED_OP.
 */
export function hvp(scalar: Traced, wrt: Traced, vectors: Traced): Traced;
export function hvp(scalar: Traced, wrt: readonly Traced[], vectors: readonly Traced[]): Traced[];
export function hvp(
  scalar: Traced,
  wrt: Traced | readonly Traced[],
  vectors: Traced | readonly Traced[],
): Traced | Traced[] {
  const values = wrt instanceof Traced ? [wrt] : wrt;
  const given = pairs("hvp", values, vectors instanceof Traced ? [vectors] : vectors);
  const slopes = grad(scalar, values).map((gradient, k) => gradient.mul(nth(given, k)[1]).sum());
  const [first, ...others] = slopes;
  if (!first) return [];
  const found = grad(
    others.reduce((sum, slope) => sum.add(slope), first),
    values,
  );
  return wrt instanceof Traced ? nth(found, 0) : found;
}

/**
 * The Jacobian of `output` with respect to `wrt`, `[...output, ...wrt]`: entry [o, i] is the derivative of output
 * element o in element i of `wrt`. If both carry samples along axis 0 (`expand(w, "N")`), each sample's own Jacobian:
 * `[N, ...output, ...wrt]`.
 * @throws PergradError SHAPE_MISMATCH if only one of them does, or samples lie along another axis; UNSUPPORTED_OP.
 */
export function jacobian(output: Traced, wrt: Traced): Traced {
  const [own, other] = [output.value, wrt.value];
  const sampled = [own, other].map(({ shape }) => shape.some(isBatch));
  const first = [own, other].every(
    ({ shape: [samples, ...rest] }) => samples !== undefined && sameDim(samples, N) && !rest.some(isBatch),
  );
  if (sampled.includes(true) && !first)
    throw new PergradError(
      "SHAPE_MISMATCH",
      `jacobian: of ${showShape(own.shape)} with respect to ${showShape(other.shape)}; either none has samples, or both along axis 0, as expand(w, "N") does.`,
    );
  const each = first ? [1] : [];
  const rest = first ? own.shape.slice(1) : own.shape;
  const [rows] = forEachDirection({
    size: elementFactor(rest),
    dtype: own.dtype,
    of: (direction) => {
      const seed = build.expand(build.reshape(direction, [...each, ...rest]), own.shape);
      return gradientsOf(new Map([[own, seed]]), [wrt]).map(({ value }) => value);
    },
  });
  const found = nth([rows], 0);
  if (!first) return new Traced(build.reshape(found, [...rest, ...other.shape]));
  return new Traced(build.reshape(build.moveAxis(found, 0, 1), [N, ...rest, ...other.shape.slice(1)]));
}
