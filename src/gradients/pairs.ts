/**
 * Inner products of all pairs of samples, one from each of two gradients of the same parameter: `[N, M]`. The second
 * may be from the same batch (M = N), or from another batch of fixed size.
 */

import { fixedSize, isBatch, multiply } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { leadingOf, present } from "../present.js";
import { usualBatch } from "./cost.js";
import { Dense } from "./dense.js";
import {
  addCosts,
  cheapest,
  type Factored,
  flat,
  type GramMethod,
  type Method,
  sizeOfGradient,
  termByTerm,
} from "./factored.js";
import { alignedFactors, alignedRows } from "./inner.js";
import { firstOf, pair } from "./kinds.js";
import { Outer } from "./outer.js";
import { RowsGradient } from "./rows.js";

/**
 * The methods for the inner products of all pairs in the batch, `[N, N]`.
 * @param samples the batch size for which their cost per sample is stated
 */
export function gramMethods(gradient: Factored, samples = usualBatch): GramMethod[] {
  const { terms } = gradient;
  if (gradient.kind !== "sum") return pairProducts(gradient, gradient, samples);
  const squares = terms.map((term) => cheapest(gramMethods(term, samples), samples));
  const crossed = terms.flatMap((term, k) =>
    terms.slice(0, k).map((other) => cheapest(pairProducts(other, term, samples), samples)),
  );
  const expanded: GramMethod = {
    name: "term by term",
    ...addCosts([...squares, ...crossed, ...crossed.map(() => ({ operations: 0, floats: 2 * samples }))]),
    dense: false,
    emit: (build) =>
      added(build, [
        ...squares.map((method) => method.emit(build)),
        ...crossed.flatMap((method) => {
          const products = method.emit(build);
          return [products, build.transposeLast(products)];
        }),
      ]),
  };
  return [expanded, densePairs(gradient, gradient, samples)];
}

/**
 * The methods for the inner products of the samples of `a`, `[N, ...]`, with those of `b`, `[M, ...]`; at least one.
 * @param others M, at least roughly
 */
export function pairProducts(a: Factored, b: Factored, others: number): Method[] {
  if (a.kind === "sum" || b.kind === "sum") return [pairsOfTerms(a, b, others), densePairs(a, b, others)];
  return [...factoredPairs(a, b, others), densePairs(a, b, others)];
}

function added(build: Build, values: readonly Value[]): Value {
  return values.reduce((sum, value) => build.add(sum, value));
}

function pairsOfTerms(a: Factored, b: Factored, others: number): Method {
  return termByTerm(a.terms.flatMap((one) => b.terms.map((other) => cheapest(pairProducts(one, other, others)))));
}

/** Materialises both, then computes one matrix product. */
function densePairs(a: Factored, b: Factored, others: number): Method {
  const size = sizeOfGradient(a);
  // The batch, assumed to be of the usual size, shares the cost of the other one.
  const share = a === b ? 0 : others / usualBatch;
  const second = { operations: share * b.materialisation.operations, floats: share * b.materialisation.floats };
  return {
    name: "materialise",
    ...addCosts([a.materialisation, second, { operations: others * size, floats: size }]),
    dense: true,
    emit: (build) => build.matmul(flat(build, a), build.transposeLast(flat(build, b))),
  };
}

const factored = firstOf([
  pair(Outer, Outer, outerOuter),
  pair(RowsGradient, Outer, rowsOuter),
  pair(Outer, RowsGradient, (a, b, others: number) => rowsOuter(b, a, others).map(transposed)),
  pair(RowsGradient, RowsGradient, rowsRows),
  pair(Outer, Dense, outerDense),
]);

function factoredPairs(a: Factored, b: Factored, others: number): Method[] {
  // Without positions there is nothing to sum.
  return a.positions === 0 || b.positions === 0 ? [] : (factored(a, b, others) ?? []);
}

function transposed(method: Method): Method {
  return { ...method, emit: (build) => build.transposeLast(method.emit(build)) };
}

/** The most parts into which positions are split: the more there are, the less is held at a time. */
const mostParts = 8;

/**
 * The sum of the results of `part`, which covers the positions from `start` to before `end`; there are only a few
 * parts.
 */
function byParts(build: Build, positions: number, part: (start: number, end: number) => Value): Value {
  const size = Math.ceil(positions / mostParts);
  const starts = Array.from({ length: Math.ceil(positions / size) }, (_, k) => k * size);
  return added(
    build,
    starts.map((start) => part(start, Math.min(start + size, positions))),
  );
}

/** Positions from `start` to before `end` along an axis. */
function cut(build: Build, value: Value, axis: number, start: number, end: number): Value {
  return start === 0 && end === value.shape[axis] ? value : build.slice(value, axis, start, end);
}

/** The sum over all axes but the last two. */
function sumLeading(build: Build, value: Value): Value {
  return build.reduce("ReduceSum", value, [...value.shape.keys()].slice(0, -2));
}

/** `[N, (B,) T, I]` as `[B, T, N, I]`; B is 1 if there are no blocks. */
function positionsFirst(build: Build, value: Value): Value {
  const [samples, ...rest] = leadingOf(value.shape, 1);
  const blocked = rest.length === 3 ? value : build.reshape(value, [samples, 1, ...rest]);
  return build.transpose(blocked, [1, 2, 0, 3]);
}

/** All products of x `[B, T, N, I]` with y `[B, S, M, I]`: `[B, T, S, N, M]`, or `[N, M]` if there is only one. */
function productsOf(build: Build, x: Value, y: Value): Value {
  const [blocks, t, n, i] = leadingOf(x.shape, 4);
  const [, s, m] = leadingOf(y.shape, 4);
  const single = blocks === 1 && t === 1 && s === 1;
  // The reshapes also keep the runtime (1.30) from fusing transposition and product: its fused node ends the process if
  // the batch is empty.
  const left = build.reshape(x, single ? [n, i] : [blocks, t, 1, n, i]);
  const right = build.reshape(build.transposeLast(y), single ? [i, m] : [blocks, 1, s, i, m]);
  return build.matmul(left, right);
}

/** The sum over positions t, s of (rows[n, t] . rows[m, s]) (columns[n, t] . columns[m, s]). */
function outerOuter(a: Outer, b: Outer, others: number): Method[] {
  const factors = alignedFactors(a, b);
  if (!factors) return [];
  const pairs = others * a.positions * b.positions;
  const single = a.positions === 1 && b.positions === 1;
  const blocks = a.blocked ? fixedSize(a.rows.shape, 1) : 1;
  return [
    {
      name: single ? "product of Grams" : "Gram",
      operations: (pairs * a.held) / a.positions,
      floats: 3 * pairs * blocks + (single ? 0 : 2 * a.held),
      dense: false,
      emit: (build) => {
        const moved = factors(build).map(([x, y]) => [positionsFirst(build, x), positionsFirst(build, y)] as const);
        return byParts(build, a.positions, (start, end) => {
          const [rows, columns] = moved.map(([x, y]) => productsOf(build, cut(build, x, 1, start, end), y));
          return sumLeading(build, build.mul(present(rows), present(columns)));
        });
      },
    },
  ];
}

/** The sum, over pairs of positions that hold the same row, of the products of their cotangents. */
function rowsRows(a: RowsGradient, b: RowsGradient, others: number): Method[] {
  if (!a.viewed.equals(b.viewed)) return [];
  const pairs = others * a.positions * b.positions;
  return [
    {
      name: "Gram",
      operations: pairs * fixedSize(a.viewed.raw, 1),
      floats: 4 * pairs + 2 * a.held,
      dense: false,
      emit: (build) => {
        const [x, y] = leadingOf(
          [a, b].map(({ cotangents }) => build.transpose(cotangents, [1, 0, 2])),
          2,
        );
        const [own, other] = leadingOf(
          [a, b].map(({ places }) => build.transpose(places, [1, 0])),
          2,
        );
        return byParts(build, a.positions, (start, end) => {
          const left = build.unsqueeze(cut(build, x, 0, start, end), [1]);
          const right = build.unsqueeze(build.transposeLast(y), [0]);
          const places = build.unsqueeze(cut(build, own, 0, start, end), [1, 3]);
          const same = build.equal(places, build.unsqueeze(other, [0, 2]));
          return sumLeading(build, build.mask(same, build.matmul(left, right)));
        });
      },
    },
  ];
}

/**
 * The sum over t, s of A[m, s, places[n, t]] times (cotangents[n, t] . B[m, s]), where A is the factor along the
 * table's rows.
 */
function rowsOuter(rows: RowsGradient, outer: Outer, others: number): Method[] {
  const factors = alignedRows(rows, outer);
  if (!factors) return [];
  const pairs = others * rows.positions * outer.positions;
  return [
    {
      name: "Gram",
      operations: pairs * fixedSize(rows.viewed.raw, 1),
      floats: 5 * pairs + 2 * rows.held,
      dense: false,
      emit: (build) => {
        const { table, other, cotangents } = factors(build);
        const places = build.transpose(rows.places, [1, 0]);
        const own = build.transpose(cotangents, [1, 0, 2]);
        const [a, b] = leadingOf(
          [table, other].map((factor) => build.transpose(factor, [1, 2, 0])),
          2,
        );
        return byParts(build, outer.positions, (start, end) => {
          // [S, T, N, M] both
          const picked = build.gather(cut(build, a, 0, start, end), places, 1);
          const right = build.unsqueeze(cut(build, b, 0, start, end), [1]);
          return sumLeading(build, build.mul(picked, build.matmul(build.unsqueeze(own, [0]), right)));
        });
      },
    },
  ];
}

/**
 * The sum over t of rows[n, t]' V[m] columns[n, t]. The longer factor is multiplied with all M vectors at once, as one
 * matrix, so that no tensor of the gradients' size arises.
 */
function outerDense(a: Outer, b: Dense, others: number): Method[] {
  const [count] = leadingOf(b.value.shape, 1);
  if (a.blocked || isBatch(count)) return [];
  const [rows, columns] = leadingOf(a.viewed.raw.map(Number), 2);
  const { positions } = a;
  return [
    {
      name: "contract",
      operations: others * positions * rows * columns,
      floats: 2 * others * positions * Math.min(rows, columns),
      dense: false,
      emit: (build) => {
        const raw = a.viewed.undo(build, b.materialise(build));
        const turned = rows > columns;
        const [long, short] = turned ? [a.rows, a.columns] : [a.columns, a.rows];
        const [longer, shorter] = [Math.max(rows, columns), Math.min(rows, columns)];
        const vectors = build.reshape(turned ? build.transposeLast(raw) : raw, [count * shorter, longer]);
        const [samples] = leadingOf(long.shape, 1);
        const lines = build.reshape(long, [present(multiply(samples, positions)), longer]);
        const products = build.op("Gemm", [lines, vectors], { transB: 1 });
        // [N, T, M, short] with [N, T, short, 1]
        const split = build.reshape(products, [samples, positions, count, shorter]);
        const whole = build.matmul(split, build.unsqueeze(short, [3]));
        return build.sum(build.reshape(whole, [samples, positions, count]), [1]);
      },
    },
  ];
}
