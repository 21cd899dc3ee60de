import { fixedSize, type Shape, sameShape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { Along, ViewStep } from "../ops/definition.js";
import { nth } from "../present.js";
import { type Separation, separate, sizeOfPieces } from "./separate.js";

/** A map along an axis of the viewed shape, expressed along a raw axis. */
export interface AlongRaw {
  readonly raw: number;
  readonly view: View;
  /** Maps a factor whose last axis is the raw one. */
  apply(build: Build, factor: Value): Value;
}

/**
 * How a factored gradient's natural shape becomes the parameter's: by reshapes and transpositions, none of which
 * changes a norm or an inner product. Steps that cancel are dropped, so that equal views compare equal.
 */
export class View {
  #separation: Separation | null | undefined;

  private constructor(
    readonly raw: Shape,
    readonly steps: readonly ViewStep[],
    readonly shape: Shape,
  ) {}

  static of(raw: Shape): View {
    return new View(raw, [], raw);
  }

  /** This view, then `step`. */
  andThen(step: ViewStep): View {
    const last = this.steps[this.steps.length - 1];
    const before = this.steps.slice(0, -1);
    if (step.kind === "reshape") {
      if (last?.kind === "reshape") return View.replay(this.raw, [...before, step]);
      return sameShape(step.shape, this.shape) ? this : new View(this.raw, [...this.steps, step], step.shape);
    }
    const { permutation } = step;
    if (permutation.every((from, to) => from === to)) return this;
    if (last?.kind === "transpose") {
      const composed = permutation.map((axis) => nth(last.permutation, axis));
      return View.replay(this.raw, [...before, { kind: "transpose", permutation: composed }]);
    }
    return new View(
      this.raw,
      [...this.steps, step],
      permutation.map((axis) => fixedSize(this.shape, axis)),
    );
  }

  private static replay(raw: Shape, steps: readonly ViewStep[]): View {
    return steps.reduce((view, step) => view.andThen(step), View.of(raw));
  }

  /** The view whose axes are made of these pieces of raw axes. */
  static joined({ raw, axes }: Separation, rawShape: Shape, shape: Shape): View {
    const from = raw.flat();
    const to = axes.flat();
    return View.of(rawShape)
      .andThen({ kind: "reshape", shape: from.map(({ size }) => size) })
      .andThen({ kind: "transpose", permutation: to.map((piece) => from.indexOf(piece)) })
      .andThen({ kind: "reshape", shape });
  }

  /** The same view, for a raw shape that was transposed by `permutation` first. */
  after(permutation: readonly number[]): View {
    const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
    const raw = permutation.map((axis) => fixedSize(this.raw, axis));
    return View.replay(raw, [{ kind: "transpose", permutation: inverse }, ...this.steps]);
  }

  equals(other: View): boolean {
    return JSON.stringify([this.raw, this.steps]) === JSON.stringify([other.raw, other.steps]);
  }

  /** Whether applying the view moves elements. */
  get moves(): boolean {
    return this.steps.some(({ kind }) => kind === "transpose");
  }

  /** `[...leading, ...raw]` to `[...leading, ...shape]`. */
  apply(build: Build, value: Value): Value {
    const leading = value.shape.slice(0, value.shape.length - this.raw.length);
    return this.steps.reduce((result, step) => takeStep(build, result, step, leading), value);
  }

  /** `[...leading, ...shape]` back to `[...leading, ...raw]`. */
  undo(build: Build, value: Value): Value {
    const leading = value.shape.slice(0, value.shape.length - this.shape.length);
    const shapes = this.steps.map((_, k) => View.replay(this.raw, this.steps.slice(0, k)).shape);
    return this.steps.reduceRight<Value>((result, step, k) => {
      const back: ViewStep =
        step.kind === "reshape"
          ? { kind: "reshape", shape: nth(shapes, k) }
          : { kind: "transpose", permutation: step.permutation.map((_, axis) => step.permutation.indexOf(axis)) };
      return takeStep(build, result, back, leading);
    }, value);
  }

  get separation(): Separation | null {
    if (this.#separation === undefined) this.#separation = separate(this.raw, this.steps);
    return this.#separation;
  }

  /**
   * A map along one axis, if that axis lies within one raw axis; null if it is made of several. An axis of size 1 may
   * count as part of the raw axis `free`.
   */
  along(step: Along, free: number): AlongRaw | null {
    const parts = this.separation;
    const pieces = parts?.axes[step.axis];
    if (!parts || !pieces) return null;
    // Zeros are inserted between elements, because the axis is about to be joined with the one before it.
    const before = step.shift === undefined ? [] : parts.axes.slice(0, step.axis).flat();
    const lead = pieces[0] ?? before[before.length - 1];
    const raw = lead === undefined ? free : parts.raw.findIndex((own) => own.includes(lead));
    const own = nth(parts.raw, raw);
    if (!pieces.every((piece) => own.includes(piece))) return null;
    const others = own.filter((piece) => !pieces.includes(piece));
    const rest = sizeOfPieces(others);
    const fresh = step.size === 1 ? [] : [{ size: step.size }];
    const next: Separation = {
      raw: parts.raw.map((list, k) => (k === raw ? [...others, ...fresh] : list)),
      axes: parts.axes.map((list, k) => (k === step.axis ? fresh : list)),
    };
    const rawShape = this.raw.map((size, k) => (k === raw ? rest * step.size : size));
    const shape = this.shape.map((size, k) => (k === step.axis ? step.size : size));
    return {
      raw,
      view: View.joined(next, rawShape, shape),
      apply: (build, factor) => {
        const front = factor.shape.slice(0, -1);
        const last = front.length;
        if (others.length === 0) return step.apply(build, factor, last);
        const split = build.reshape(factor, [...front, ...own.map(({ size }) => size)]);
        const order = [...others, ...pieces].map((piece) => last + own.indexOf(piece));
        const moved = build.transpose(split, [...front.keys(), ...order]);
        const mapped = step.apply(build, build.reshape(moved, [...front, rest, sizeOfPieces(pieces)]), last + 1);
        return build.reshape(mapped, [...front, rest * step.size]);
      },
    };
  }

  /** For each axis, the raw axis it lies within: -1 for an axis of size 1. Null if an axis is made of several. */
  get sides(): readonly number[] | null {
    const parts = this.separation;
    if (!parts) return null;
    const sides = parts.axes.map((pieces) => {
      if (pieces.length === 0) return -1;
      const raw = parts.raw.findIndex((own) => own.includes(nth(pieces, 0)));
      return pieces.every((piece) => parts.raw[raw]?.includes(piece)) ? raw : null;
    });
    return sides.every((side) => side !== null) ? sides : null;
  }

  /** A factor whose last axis is a raw one, with that axis in the order of the viewed shape's elements. */
  ordered(build: Build, factor: Value, raw: number): Value {
    const parts = this.separation;
    const own = parts?.raw[raw];
    if (!parts || !own) return factor;
    const front = factor.shape.slice(0, -1);
    const order = parts.axes.flat().filter((piece) => own.includes(piece));
    const split = build.reshape(factor, [...front, ...own.map(({ size }) => size)]);
    const places = order.map((piece) => front.length + own.indexOf(piece));
    return build.reshape(build.transpose(split, [...front.keys(), ...places]), factor.shape);
  }

  /** Whether `ordered` would leave a factor unchanged. */
  inOrder(raw: number): boolean {
    const own = this.separation?.raw[raw] ?? [];
    const order = this.separation?.axes.flat().filter((piece) => own.includes(piece)) ?? [];
    return order.every((piece, k) => piece === own[k]);
  }
}

function takeStep(build: Build, value: Value, step: ViewStep, leading: Shape): Value {
  if (step.kind === "reshape") return build.reshape(value, [...leading, ...step.shape]);
  return build.transpose(value, [...leading.keys(), ...step.permutation.map((axis) => axis + leading.length)]);
}
