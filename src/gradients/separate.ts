/** Takes a view apart into pieces of raw axes: finds which pieces make up each axis of the viewed shape. */
import type { Shape } from "../graph/dim.js";
import type { ViewStep } from "../ops/definition.js";

/** A piece of an axis, larger than 1; pieces are compared by identity. */
export interface AxisPiece {
  readonly size: number;
}

export interface Separation {
  /** The pieces of each raw axis, outermost first. */
  readonly raw: readonly (readonly AxisPiece[])[];
  /** The pieces of each axis of the viewed shape. */
  readonly axes: readonly (readonly AxisPiece[])[];
}

export function sizeOfPieces(pieces: readonly AxisPiece[]): number {
  return pieces.reduce((product, { size }) => product * size, 1);
}

/** Null if a reshape cuts across axes (`[4, 3]` to `[6, 2]`), or if there are no elements. */
export function separate(raw: Shape, steps: readonly ViewStep[]): Separation | null {
  if (raw.includes(0)) return null;
  const whole = raw.map((size) => (size === 1 ? [] : [{ size: size as number }]));
  let state: Separation = { raw: whole, axes: whole };
  for (const step of steps) {
    const next = step.kind === "transpose" ? transposed(state, step.permutation) : regrouped(state, step.shape);
    if (!next) return null;
    state = next;
  }
  return state;
}

function transposed({ raw, axes }: Separation, permutation: readonly number[]): Separation {
  return { raw, axes: permutation.map((axis) => axes[axis] as AxisPiece[]) };
}

/** Cuts a piece in two if an axis of `shape` ends inside it. */
function regrouped({ raw, axes }: Separation, shape: Shape): Separation | null {
  const queue = [...axes.flat()];
  const cuts = new Map<AxisPiece, readonly AxisPiece[]>();
  const grouped: AxisPiece[][] = [];
  for (const dim of shape) {
    const group: AxisPiece[] = [];
    let left = dim as number;
    while (left > 1) {
      const piece = queue.shift();
      if (!piece) return null;
      if (left % piece.size === 0) {
        group.push(piece);
        left /= piece.size;
        continue;
      }
      if (piece.size % left !== 0) return null;
      const [outer, inner] = [{ size: left }, { size: piece.size / left }];
      cuts.set(piece, [outer, inner]);
      group.push(outer);
      queue.unshift(inner);
      left = 1;
    }
    grouped.push(group);
  }
  // A piece that came from a cut may have been cut again.
  const cut = (piece: AxisPiece): readonly AxisPiece[] => cuts.get(piece)?.flatMap(cut) ?? [piece];
  return { raw: raw.map((pieces) => pieces.flatMap(cut)), axes: grouped };
}
