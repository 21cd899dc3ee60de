/** Shapes as users write them, and axes as users count them. */
import { PergradError } from "../errors.js";
import { type Dim, type DimSpec, divide, elementsOf, parseDim, type Shape, showDim, showShape } from "../graph/dim.js";
import { sentence, type Words } from "../sentence.js";

export function invalid(message: Words): PergradError {
  return new PergradError("INVALID_ARGUMENT", message);
}

/** One dimension. Throws INVALID_ARGUMENT if it is neither a size nor a multiple of N. */
export function dimOf(spec: DimSpec, what: string): Dim {
  const whole = typeof spec === "number" && Number.isSafeInteger(spec) && spec >= 0;
  if (whole || (typeof spec === "string" && /^N(\*[1-9]\d*)?$/.test(spec))) return parseDim(spec);
  throw invalid(`${what}: a dimension must be a whole number, "N" or "N*3", not ${JSON.stringify(spec)}.`);
}

export function shapeOf(specs: readonly DimSpec[], what: string): Dim[] {
  if (!Array.isArray(specs))
    throw invalid(`${what}: a shape must be an array of dimensions, not ${JSON.stringify(specs)}.`);
  return specs.map((spec) => dimOf(spec, what));
}

/** A dimension as users write it. */
export function specOf(dim: Dim): DimSpec {
  return typeof dim === "number" ? dim : (showDim(dim) as DimSpec);
}

/** An axis counted from the front; negative ones count from the back. */
export function axisOf(axis: number, rank: number, what: Words): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(normal) || normal < 0 || normal >= rank) {
    throw invalid(sentence`${what}: axis ${axis} is outside a tensor of rank ${rank}; give one within it.`);
  }
  return normal;
}

/** Distinct axes counted from the front: one, several, or all if undefined. */
export function axesOf(axes: number | readonly number[] | undefined, rank: number, what: string): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, axis) => axis);
  const normal = (typeof axes === "number" ? [axes] : axes).map((axis) => axisOf(axis, rank, what));
  if (new Set(normal).size < normal.length)
    throw invalid(`${what}: an axis is named twice in [${axes}]; name it once.`);
  return normal;
}

/** The target shape of a reshape. One dimension may be -1: it takes the remaining elements. */
export function reshapeTarget(from: Shape, specs: readonly DimSpec[]): Dim[] {
  if (!Array.isArray(specs))
    throw invalid(`reshape: a shape must be an array of dimensions, not ${JSON.stringify(specs)}.`);
  const free = specs.indexOf(-1);
  if (free < 0) return shapeOf(specs, "reshape");
  const others = shapeOf(
    specs.filter((_, axis) => axis !== free),
    "reshape",
  );
  const [total, known] = [elementsOf(from), elementsOf(others)];
  const rest = total === undefined || known === undefined ? undefined : divide(total, known);
  if (rest === undefined) {
    throw new PergradError(
      "SHAPE_MISMATCH",
      `reshape: ${showShape(from)} cannot become [${specs.join(", ")}]; give a shape of as many elements.`,
    );
  }
  return [...others.slice(0, free), rest, ...others.slice(free)];
}
