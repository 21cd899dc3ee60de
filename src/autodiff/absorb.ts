/**
 * Values that were not selected contribute nothing. Where a Where, a mask or a maximum did not select a value, its
 * cotangent is exactly 0; times a derivative that is infinite or NaN, that would give NaN. Here the 0 absorbs the
 * derivative. Only exact zeros do: everywhere else NaN passes through. A guard costs nodes, so one is emitted only if
 * the cotangent may be 0 and, for all that is known about the graph, the derivative may not be finite.
 *
 * In a matrix product or a convolution, the factor that may not be finite is an activation. At a place where every
 * product it enters has the cotangent 0, it is replaced by 0.
 */

import type { Ranges } from "../analysis/ranges.js";
import { isBatch, type Shape, sameDim } from "../graph/dim.js";
import { inputOf } from "../graph/operands.js";
import { type Node, nodeOf, type Value } from "../graph/value.js";
import { presentInputs } from "../graph/walk.js";
import type { Build } from "../ops/build.js";
import type { Contraction, Convolution, Cotangent } from "../ops/cotangent.js";
import { isValue } from "../ops/cotangent.js";
import { alwaysFinite, unbounded } from "../ops/range.js";
import { definitionOf } from "../ops/registry.js";
import { keptShape } from "../ops/rules/reductions.js";

/** The cotangents of a node's inputs, as its rule states them, with guards where necessary. */
export function absorbZeros(
  node: Node,
  cotangents: readonly (Value | null)[],
  results: readonly (Cotangent | null)[],
  build: Build,
  ranges: Ranges,
): readonly (Cotangent | null)[] {
  const given = cotangents.filter((cotangent) => cotangent !== null);
  const [dy] = given;
  if (!dy || given.length > 1 || !ranges.of(dy).zero) return results;
  const known = [...presentInputs(node), ...node.outputs].map((value) => alwaysFinite(ranges.of(value)));
  if (definitionOf(node)?.finiteSlope && known.every((finite) => finite)) return results;
  const taken = new Map([...behindViews(dy)].map((value) => [value, unbounded]));
  const guard = new Guard(node, dy, build, ranges.given(taken));
  return results.map((result) => (result ? guard.apply(result) : null));
}

/** The cotangent and the values that it is a view of: a rule may build on any of them. */
function behindViews(dy: Value): Set<Value> {
  const found = new Set([dy]);
  for (const value of found) {
    const node = nodeOf(value);
    if (node && definitionOf(node)?.view) found.add(inputOf(node, 0));
  }
  return found;
}

class Guard {
  constructor(
    private readonly node: Node,
    private readonly dy: Value,
    private readonly build: Build,
    /** Ranges that assume a finite cotangent, to find what the rule adds. */
    private readonly ranges: Ranges,
  ) {}

  apply(result: Cotangent): Cotangent {
    if (isValue(result)) return this.#absorbed(result);
    switch (result.kind) {
      case "reduction":
        return { ...result, value: this.#absorbed(result.value) };
      case "contraction":
        return this.#contraction(result);
      case "convolution":
        return this.#convolution(result);
      case "rows":
        return result;
    }
  }

  #isFinite(value: Value): boolean {
    return alwaysFinite(this.ranges.of(value));
  }

  /** Whether the value is an activation that may not be finite. Activations differ from sample to sample. */
  #isOpen(value: Value): boolean {
    return !this.#isFinite(value) && this.ranges.originOf(value) === "data";
  }

  #masked(test: Value, value: Value): Value {
    const zero = this.build.scalar(0, test);
    return this.build.where(this.build.equal(test, zero), this.build.scalar(0, value), value);
  }

  /** The value, replaced by 0 where all cotangents of its place are 0. */
  #absorbed(value: Value): Value {
    if (this.#isFinite(value)) return value;
    const test = this.#places();
    return test && broadcastsTo(test.shape, value.shape) ? this.#masked(test, value) : value;
  }

  /** 0 exactly where all cotangents of a place are 0; null if places are not known. */
  #places(): Value | null {
    const definition = definitionOf(this.node);
    const mixed = definition?.mixes?.(this.node);
    if (definition?.elementwise || mixed?.length === 0) return this.dy;
    const x = this.node.inputs[0];
    if (!mixed || !x) return null;
    if (this.dy.shape.length < x.shape.length) return this.build.reshape(this.dy, keptShape(x.shape, mixed));
    return this.#sizes(this.dy, mixed, true);
  }

  /** Sums of absolute values: 0 only if all are zeros, and NaN if one is NaN, which a maximum might lose. */
  #sizes(value: Value, axes: readonly number[], keepDims = false): Value {
    return this.build.reduce(
      "ReduceL1",
      value,
      axes.filter((axis) => !keepDims || value.shape[axis] !== 1),
      keepDims,
    );
  }

  #contraction(contraction: Contraction): Contraction {
    const { left, right, subscripts } = contraction;
    const [open, other] = [this.#isOpen(left), this.#isOpen(right)];
    if (open === other) return contraction;
    const [leftLetters, rightLetters] = subscripts;
    return open
      ? { ...contraction, left: this.#factor(left, leftLetters, right, rightLetters) }
      : { ...contraction, right: this.#factor(right, rightLetters, left, leftLetters) };
  }

  /** A factor of a contraction, replaced by 0 where everything that it is multiplied by is 0. */
  #factor(factor: Value, letters: string, cotangent: Value, others: string): Value {
    const summed = [...others].flatMap((letter, axis) => (letters.includes(letter) ? [] : [axis]));
    if (summed.some((axis) => isBatch(cotangent.shape[axis]))) return factor;
    const sizes = this.#sizes(cotangent, summed);
    const left = [...others].filter((letter) => letters.includes(letter));
    const order = [...letters].filter((letter) => left.includes(letter));
    const turned = this.build.transpose(
      sizes,
      order.map((letter) => left.indexOf(letter)),
    );
    const shape = [...letters].map((letter) => {
      const axis = order.indexOf(letter);
      return axis < 0 ? 1 : (turned.shape[axis] ?? 1);
    });
    return this.#masked(this.build.reshape(turned, shape), factor);
  }

  #convolution(convolution: Convolution): Convolution {
    const [open, other] = [this.#isOpen(convolution.data), this.#isOpen(convolution.cotangent)];
    if (open === other) return convolution;
    return open
      ? { ...convolution, data: this.#image(convolution, "data") }
      : { ...convolution, cotangent: this.#image(convolution, "cotangent") };
  }

  /** An image, replaced by 0 where everything that the kernel joins it with is 0. */
  #image(convolution: Convolution, of: "data" | "cotangent"): Value {
    const { build } = this;
    const { groups, data, cotangent, rules } = convolution;
    const [image, other] = of === "data" ? [data, cotangent] : [cotangent, data];
    const grouped = (value: Value): Shape => {
      const [samples, channels, ...spatial] = value.shape;
      return [samples ?? 1, groups, (channels as number) / groups, ...spatial];
    };
    // Sums over the channels of each group.
    const sizes = this.#sizes(build.reshape(other, grouped(other)), [2]);
    const [samples, , , ...places] = grouped(image);
    const test = build.reshape(rules.joined(build, convolution, sizes, of), [samples ?? 1, groups, 1, ...places]);
    return build.reshape(this.#masked(test, build.reshape(image, grouped(image))), image.shape);
  }
}

function broadcastsTo(from: Shape, to: Shape): boolean {
  const offset = to.length - from.length;
  return offset >= 0 && from.every((dim, axis) => dim === 1 || sameDim(dim, to[axis + offset] ?? 1));
}
