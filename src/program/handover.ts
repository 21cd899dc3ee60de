/**
 * What is left to JavaScript at the end of a program. For every output the runtime takes some two microseconds, and
 * it copies each; it adds rows to a table several times as slowly as JavaScript does. So small outputs are handed over
 * as one, those in another shape as they are, and a table of an embedding's rows as the rows.
 */
import { PergradError } from "../errors.js";
import { bindShape, type Dim, elementsOf, factorOf, isBatch } from "../graph/dim.js";
import { nodeOf, type Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { addedRows, beforeReshape } from "../ops/table.js";
import type { Returned } from "../plan/want.js";
import { sizeOf, type Tensor } from "../tensor.js";
import type { Output } from "./split.js";

/** A runtime's output under a name of its own. */
interface Handed {
  readonly name: string;
  readonly value: Value;
}

/** Where an array comes from: a runtime's output, or the elements of one from `offset` on (times N in `perSample`). */
interface Piece {
  readonly value: Value;
  /** How many results are made of it. */
  uses: number;
  /** The name of the runtime's output. */
  from: string;
  part?: { readonly offset: Dim; readonly length: Dim };
}

/** How JavaScript makes a result. */
type Last =
  | { readonly kind: "same"; readonly piece: Piece }
  | { readonly kind: "squareRoot"; readonly piece: Piece }
  | {
      readonly kind: "rows";
      readonly table: Piece | null;
      readonly places: Piece;
      readonly rows: Piece;
      readonly size: number;
      readonly repeats: number;
    };

/** Elements, of a result without samples, up to which it counts as small; and of one sample's part. */
const smallFixed = 4096;
const smallPerSample = 64;

export class Handover {
  /** What the runtime is to give. */
  readonly outputs: readonly Handed[];
  readonly #results: readonly { readonly output: Output; readonly last: Last }[];

  /**
   * @param together all outputs, which are small, as two: the microseconds for each count in a small program. (In a large
   *   one they do not, and one result made of many would keep much alive.)
   */
  constructor(outputs: readonly Output[], together: boolean) {
    const pieces = new Map<Value, Piece>();
    const taken = (value: Value): Piece => {
      const before = beforeReshape(value);
      const piece = pieces.get(before) ?? { value: before, uses: 0, from: "" };
      piece.uses += 1;
      pieces.set(before, piece);
      return piece;
    };
    this.#results = outputs.map((output) => ({ output, last: lastOf(output.value, taken, together) }));
    const all = [...pieces.values()];
    this.outputs = (together ? byKind(all) : all.map((piece) => [piece])).map(pack);
  }

  /** Bytes that JavaScript allocates beyond copies of what the runtime gives. */
  get allocated(): number {
    return this.#results.reduce((sum, { output, last }) => {
      const own = last.kind === "rows" && !last.table;
      return sum + (own ? 4 * factorOf(elementsOf(output.value.shape) ?? 0) : 0);
    }, 0);
  }

  /** The program's results, by name, of what the runtime returned. */
  finish(returned: Returned, samples: number): Returned {
    const left = new Map<Piece, number>();
    /** The elements of a piece, which no other result has. */
    const take = (piece: Piece): Tensor["data"] => {
      const data = elementsIn(returned, piece, samples);
      if (piece.uses === 1) return data;
      const uses = left.get(piece) ?? piece.uses;
      left.set(piece, uses - 1);
      return uses > 1 ? data.slice() : data;
    };
    const results: Record<string, Tensor> = {};
    for (const { output, last } of this.#results) {
      const { dtype, shape } = output.value;
      const dims = bindShape(shape, samples);
      results[output.name] = { dtype, dims, data: finished(last, dims, take) } as Tensor;
    }
    return results;
  }
}

function elementsIn(returned: Returned, { from, part }: Piece, samples: number): Tensor["data"] {
  const { data } = returned[from] as Tensor;
  if (!part) return data;
  const start = times(part.offset, samples);
  return data.subarray(start, start + times(part.length, samples));
}

function times(dim: Dim, samples: number): number {
  return isBatch(dim) ? dim.perSample * samples : dim;
}

function lastOf(value: Value, taken: (value: Value) => Piece, together: boolean): Last {
  const added = together ? null : addedRows(value);
  if (added) {
    const { table, places, rows, size, repeats } = added;
    return {
      kind: "rows",
      table: table && taken(table),
      places: taken(build.cast(places, "int32")),
      rows: taken(rows),
      size,
      repeats,
    };
  }
  const node = nodeOf(beforeReshape(value));
  const [square] = node?.op === "Sqrt" ? node.inputs : [];
  // Of a float32 number, the square root in float64, rounded, is that in float32.
  if (together && square && nodeOf(square)) return { kind: "squareRoot", piece: taken(square) };
  return { kind: "same", piece: taken(value) };
}

function finished(last: Last, dims: readonly number[], take: (piece: Piece) => Tensor["data"]): Tensor["data"] {
  if (last.kind === "same") return take(last.piece);
  if (last.kind === "squareRoot") return rooted(take(last.piece) as Float32Array);
  const table = last.table ? (take(last.table) as Float32Array) : new Float32Array(sizeOf(dims));
  return withRows(table, take(last.places) as Int32Array, take(last.rows) as Float32Array, last);
}

function rooted(data: Float32Array): Float32Array {
  for (let i = 0; i < data.length; i++) data[i] = Math.sqrt(data[i] as number);
  return data;
}

/** The table, to whose row places[p] the row p / repeats was added. Throws RUNTIME for a place outside, as the runtime does. */
function withRows(
  table: Float32Array,
  places: Int32Array,
  rows: Float32Array,
  { size, repeats }: { readonly size: number; readonly repeats: number },
): Float32Array {
  for (let p = 0; p < places.length; p++) {
    const place = places[p] as number;
    const to = place * size + (place < 0 ? table.length : 0);
    if (to < 0 || to + size > table.length)
      throw new PergradError(
        "RUNTIME",
        `A row is added at place ${place}, outside a table of ${table.length / size} rows.`,
      );
    const from = Math.floor(p / repeats) * size;
    for (let k = 0; k < size; k++) table[to + k] = (table[to + k] as number) + (rows[from + k] as number);
  }
  return table;
}

/** Whether outputs are all small enough to be handed over together. */
export function areSmall(outputs: readonly Output[]): boolean {
  return outputs.every(({ value }) => isSmall(value));
}

/** Few floats: a fixed number, or a number for each sample. */
function isSmall({ dtype, shape }: Value): boolean {
  const elements = elementsOf(shape);
  if (dtype !== "float32" || elements === undefined || elements === 0) return false;
  return isBatch(elements) ? elements.perSample <= smallPerSample : elements <= smallFixed;
}

/** Those that hold samples, and those that do not. */
function byKind(pieces: readonly Piece[]): Piece[][] {
  const perSample = (piece: Piece) => isBatch(elementsOf(piece.value.shape));
  const kinds = [pieces.filter(perSample), pieces.filter((piece) => !perSample(piece))];
  return kinds.filter(({ length }) => length > 0);
}

/** Pieces behind one another; those without samples as rows, which the sums over samples of vectors are already. */
function pack(pieces: readonly Piece[], index: number): Handed {
  const [first] = pieces as [Piece];
  const name = `${index}`;
  if (pieces.length === 1) {
    first.from = name;
    return { name, value: first.value };
  }
  let end = 0;
  const flat = pieces.map((piece) => {
    const length = elementsOf(piece.value.shape) as Dim;
    piece.from = name;
    piece.part = { offset: isBatch(length) ? { perSample: end } : end, length };
    end += factorOf(length);
    return build.reshape(piece.value, isBatch(length) ? [length] : [1, length]);
  });
  return { name, value: build.concat(flat, flat[0]?.shape.length === 2 ? 1 : 0) };
}
