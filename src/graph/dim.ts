import { defect } from "../errors.js";
import { nth } from "../present.js";

/**
 * Dimensions: an integer, or an integer multiple of the batch symbol N. That is enough to evaluate, at
 * compile time, the `Shape -> Gather -> Concat -> Reshape` chains that exporters write, so that one
 * compiled program serves every batch size.
 */
export interface BatchMultiple {
  /** The factor k of N*k; at least 1. */
  readonly perSample: number;
}
export type Dim = number | BatchMultiple;
export type Shape = readonly Dim[];

/** The batch symbol itself. */
export const N: BatchMultiple = { perSample: 1 };

export function isBatch(dim: Dim | undefined): dim is BatchMultiple {
  return typeof dim === "object";
}

/** The integer part: k for N*k, the number itself otherwise. */
export function factorOf(dim: Dim): number {
  return isBatch(dim) ? dim.perSample : dim;
}

/** The size of an axis that does not hold the samples. Throws INTERNAL if it does, or if there is no such axis. */
export function fixedSize(shape: Shape, axis: number): number {
  const dim = nth(shape, axis);
  if (isBatch(dim)) throw defect(`axis ${axis} of ${showShape(shape)} holds the samples, but its size is to be fixed`);
  return dim;
}

/** The sizes of all axes, none of which holds the samples. Throws INTERNAL if one does. */
export function fixedSizes(shape: Shape): number[] {
  return shape.map((_, axis) => fixedSize(shape, axis));
}

export function sameDim(a: Dim, b: Dim): boolean {
  return isBatch(a) === isBatch(b) && factorOf(a) === factorOf(b);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => sameDim(dim, nth(b, axis)));
}

/** a*b, or undefined if the result is not a multiple of N (N*N). */
export function multiply(a: Dim, b: Dim): Dim | undefined {
  if (isBatch(a) && isBatch(b)) return undefined;
  const factor = factorOf(a) * factorOf(b);
  if (isBatch(a) || isBatch(b)) return factor === 0 ? 0 : { perSample: factor };
  return factor;
}

/** a/b if it is exact, else undefined. Zero divided by anything but zero is zero. */
export function divide(a: Dim, b: Dim): Dim | undefined {
  if (factorOf(b) === 0) return undefined;
  if (a === 0) return 0;
  const quotient = factorOf(a) / factorOf(b);
  if (!Number.isInteger(quotient)) return undefined;
  if (isBatch(b)) return isBatch(a) ? quotient : undefined;
  return isBatch(a) ? { perSample: quotient } : quotient;
}

/** a+b, or undefined if the result is not a multiple of N (N+1). */
export function add(a: Dim, b: Dim): Dim | undefined {
  if (a === 0) return b;
  if (b === 0) return a;
  if (isBatch(a) !== isBatch(b)) return undefined;
  const sum = factorOf(a) + factorOf(b);
  return isBatch(a) ? (sum > 0 ? { perSample: sum } : sum === 0 ? 0 : undefined) : sum;
}

/** The product of all dimensions (1 for none), or undefined if N would occur twice. */
export function elementsOf(shape: Shape): Dim | undefined {
  let product: Dim | undefined = 1;
  for (const dim of shape) {
    if (product === undefined) return undefined;
    product = multiply(product, dim);
  }
  return product;
}

/** The size of a dimension in a batch of `batch` samples. */
export function bindDim(dim: Dim, batch: number): number {
  return isBatch(dim) ? dim.perSample * batch : dim;
}

export function bindShape(shape: Shape, batch: number): number[] {
  return shape.map((dim) => bindDim(dim, batch));
}

export function showDim(dim: Dim): string {
  if (!isBatch(dim)) return String(dim);
  return dim.perSample === 1 ? "N" : `N*${dim.perSample}`;
}

export function showShape(shape: Shape): string {
  return `[${shape.map(showDim).join(", ")}]`;
}

/** `"N"` and `"N*3"` as users write them, or a number. */
export type DimSpec = number | "N" | `N*${number}`;

export function parseDim(spec: DimSpec): Dim {
  if (typeof spec === "number") return spec;
  return spec === "N" ? N : { perSample: Number(spec.slice(2)) };
}

/** The greatest whole number that divides both sizes. */
export function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
