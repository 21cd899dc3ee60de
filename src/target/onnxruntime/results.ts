/**
 * The last steps of a program, left to JavaScript. For every output, the runtime takes some two microseconds and makes
 * a copy; and it adds rows to a table several times more slowly than JavaScript does. So small outputs are returned
 * together as one, reshaped results share one output, and an embedding's table is returned as the rows to add.
 */

import { defect } from "../../errors.js";
import { beforeReshape } from "../../graph/behind.js";
import { addBytes, type Bytes, bytesOfValue, timesBytes } from "../../graph/bytes.js";
import { bindShape, type Dim, elementsOf, factorOf, isBatch } from "../../graph/dim.js";
import { nodeOf, type Value } from "../../graph/value.js";
import { build } from "../../ops/registry.js";
import { addedRows } from "../../ops/subgraphs/table.js";
import { leadingOf, nth, present } from "../../present.js";
import { sizeOf, type Tensor, tensorWith } from "../../tensor/tensor.js";
import type { Schedulable, Tensors } from "../target.js";
import { areFiniteTogether, type RowsToAdd, withRows } from "./added-rows.js";
import { isLarge, isLargeInput, witnessOf } from "./finite-witness.js";
import { rowsScattered } from "./rows.js";

type Output = Schedulable["outputs"][number];

/** An output of the runtime. */
interface Handed {
  readonly name: string;
  readonly value: Value;
}

/** A value that results are made from. */
interface Piece extends Handed {
  /** The number of results that hold its elements; each is to have its own copy. */
  holders: number;
}

/** Where the elements of a piece are: a whole output of the runtime, or `length` elements from `offset`. */
interface Place {
  readonly from: string;
  readonly part?: { readonly offset: Dim; readonly length: Dim };
}

/** How JavaScript makes a result. */
type Last =
  | { readonly kind: "same"; readonly piece: Piece }
  | { readonly kind: "squareRoot"; readonly piece: Piece }
  | RowsLast;

interface RowsLast {
  readonly kind: "rows";
  readonly table: Piece | null;
  readonly places: Piece;
  readonly rows: Piece;
  readonly size: number;
  readonly repeats: number;
}

/**
 * - `whole`: each result as it is, but for its shape
 * - `rows`: what is added to the rows of tables as those rows
 * - `together`: small results as two outputs, one of what has samples and one of what has not. In a small program the
 *   microseconds for each output count; in a large one an output made of many would keep much alive.
 */
export type HandoverMode = "whole" | "rows" | "together";

/** The most elements of a small result: without samples, and per sample. */
const smallFixed = 4096;
const smallPerSample = 64;

export class Handover {
  /** What the runtime must return. */
  readonly outputs: readonly Handed[];
  /** The names of the inputs that are searched for numbers that are not finite. */
  readonly searchedInputs: ReadonlySet<string>;
  /** Bytes that JavaScript allocates beyond a copy of each output. */
  readonly allocated: Bytes;
  readonly #results: readonly { readonly output: Output; readonly last: Last }[];
  readonly #places: ReadonlyMap<Piece, Place>;
  /** The pieces whose elements the runtime adds up. */
  readonly #summed: ReadonlySet<Piece>;

  /**
   * @param searched whether all results are searched for numbers that are not finite; only for `rows`
   * @param inputs those that must be finite; not for `whole`
   */
  constructor(
    outputs: readonly Output[],
    mode: HandoverMode,
    private readonly searched = false,
    inputs: readonly Value[] = [],
  ) {
    const pieces = new Pieces();
    this.#results = outputs.map((output) => ({ output, last: lastOf(output, pieces, mode) }));
    const packs = (mode === "together" ? byKind(pieces.all) : pieces.all.map((piece) => [piece])).map(pack);
    const same = this.#results.flatMap(({ last }) => (last.kind === "same" ? last.piece : []));
    this.#summed = new Set(searched && mode === "rows" ? same.filter(({ value }) => isLarge(value)) : []);
    const data = mode === "whole" ? [] : inputs.filter(isLargeInput);
    this.searchedInputs = new Set(data.map(({ name }) => name));
    const witness = witnessOf(
      [...this.#summed].map(({ value }) => value),
      data,
    );
    const sums = witness ? [{ name: sumName, value: witness }] : [];
    this.outputs = withRowsScattered([...packs.map(({ handed }) => handed), ...sums]);
    this.#places = new Map(packs.flatMap(({ places }) => places));
    this.allocated = addBytes([
      ...pieces.all.map((piece) => timesBytes(bytesOfValue(piece.value), Math.max(0, piece.holders - 1))),
      ...this.#results.map(({ output, last }) =>
        timesBytes(bytesOfValue(output.value), last.kind === "rows" && !last.table ? 1 : 0),
      ),
    ]);
  }

  /** Makes the program's results from what the runtime returned. Throws RUNTIME. */
  finish(returned: Tensors, samples: number): Finished {
    const left = new Map<Piece, number>();
    const elements: Elements = {
      read: (piece) => elementsAt(returned, this.#places.get(piece), samples),
      hold: (piece) => {
        const data = elements.read(piece);
        if (piece.holders === 1) return data;
        const holders = left.get(piece) ?? piece.holders;
        left.set(piece, holders - 1);
        return holders > 1 ? data.slice() : data;
      },
    };
    const results: Record<string, Tensor> = {};
    for (const { output, last } of this.#results) {
      const { dtype, shape } = output.value;
      const dims = bindShape(shape, samples);
      results[output.name] = tensorWith(dtype, dims, finished(last, dims, elements));
    }
    return { results, finite: this.#finite(returned, elements.read) };
  }

  #finite(returned: Tensors, read: Elements["read"]): Set<string> {
    const allAre = Number.isFinite(Number(returned[sumName]?.data[0]));
    const known = (last: Last) => {
      if (last.kind === "same") return allAre && this.#summed.has(last.piece);
      return this.searched && last.kind === "rows" && !last.table && areFiniteTogether(added(last, read));
    };
    const results = this.#results.flatMap(({ output, last }) => (known(last) ? output.name : []));
    return new Set([...results, ...(allAre ? this.searchedInputs : [])]);
  }
}

/** A program's results, by name. */
interface Finished {
  readonly results: Tensors;
  /** The names of those, and of inputs, whose elements are known to be finite. */
  readonly finite: ReadonlySet<string>;
}

/** The name of an output; those of results begin with the name of a want. */
const sumName = "/sum";

/** The runtime adds rows that are not returned. */
function withRowsScattered(handed: readonly Handed[]): Handed[] {
  const values = rowsScattered(handed.map(({ value }) => value));
  return handed.map(({ name }, k) => ({ name, value: nth(values, k) }));
}

/** Access to the elements of pieces: for reading, or for a result that shares them with no other. */
interface Elements {
  read(piece: Piece): Tensor["data"];
  hold(piece: Piece): Tensor["data"];
}

class Pieces {
  readonly #byValue = new Map<Value, Piece>();

  get all(): Piece[] {
    return [...this.#byValue.values()];
  }

  /** @param name the name of a new piece; names of results differ from those of inputs and parameters */
  read(value: Value, name: string): Piece {
    const before = beforeReshape(value);
    const piece = this.#byValue.get(before) ?? { name, value: before, holders: 0 };
    this.#byValue.set(before, piece);
    return piece;
  }

  held(value: Value, name: string): Piece {
    const piece = this.read(value, name);
    piece.holders += 1;
    return piece;
  }
}

function elementsAt(returned: Tensors, place: Place | undefined, samples: number): Tensor["data"] {
  const tensor = place && returned[place.from];
  if (!tensor) throw defect("the runtime returned less than a program's results are made of");
  if (!place.part) return tensor.data;
  const start = times(place.part.offset, samples);
  return tensor.data.subarray(start, start + times(place.part.length, samples));
}

function times(dim: Dim, samples: number): number {
  return isBatch(dim) ? dim.perSample * samples : dim;
}

function lastOf({ name, value }: Output, pieces: Pieces, mode: HandoverMode): Last {
  const added = mode === "rows" ? addedRows(value) : null;
  if (added) {
    const { table, places, rows, size, repeats } = added;
    return {
      kind: "rows",
      table: table && pieces.held(table, name),
      places: pieces.read(build.cast(places, "int32"), `${name}/places`),
      rows: pieces.read(rows, `${name}/rows`),
      size,
      repeats,
    };
  }
  const node = nodeOf(beforeReshape(value));
  const [square] = node?.op === "Sqrt" ? node.inputs : [];
  // The float64 square root of a float32 number, rounded, equals its float32 square root.
  if (mode === "together" && square && nodeOf(square)) return { kind: "squareRoot", piece: pieces.held(square, name) };
  return { kind: "same", piece: pieces.held(value, name) };
}

function added({ places, rows, size, repeats }: RowsLast, read: Elements["read"]): RowsToAdd {
  return { places: read(places) as Int32Array, rows: read(rows) as Float32Array, size, repeats };
}

function finished(last: Last, dims: readonly number[], { read, hold }: Elements): Tensor["data"] {
  if (last.kind === "same") return hold(last.piece);
  if (last.kind === "squareRoot") return rooted(hold(last.piece) as Float32Array);
  const table = last.table ? (hold(last.table) as Float32Array) : new Float32Array(sizeOf(dims));
  return withRows(table, !last.table, added(last, read));
}

function rooted(data: Float32Array): Float32Array {
  for (let i = 0; i < data.length; i++) data[i] = Math.sqrt(data[i] as number);
  return data;
}

/** Whether all outputs are small enough to be returned together. */
export function areSmall(outputs: readonly Output[]): boolean {
  return outputs.every(({ value }) => isSmall(value));
}

/** Whether a value has few floats, in all or per sample. A table to which rows are added is returned as rows. */
function isSmall(value: Value): boolean {
  const { dtype, shape } = value;
  const elements = elementsOf(shape);
  if (dtype !== "float32" || elements === undefined || elements === 0) return false;
  if (addedRows(value)) return false;
  return isBatch(elements) ? elements.perSample <= smallPerSample : elements <= smallFixed;
}

/** The pieces with samples, and those without. */
function byKind(pieces: readonly Piece[]): Piece[][] {
  const perSample = (piece: Piece) => isBatch(elementsOf(piece.value.shape));
  const kinds = [pieces.filter(perSample), pieces.filter((piece) => !perSample(piece))];
  return kinds.filter(({ length }) => length > 0);
}

/**
 * Joins pieces into one output; pieces without samples become rows, a form that sums of vectors over samples already
 * have.
 */
function pack(pieces: readonly Piece[]): { readonly handed: Handed; readonly places: [Piece, Place][] } {
  const [first] = leadingOf(pieces, 1);
  const { name } = first;
  if (pieces.length === 1) return { handed: first, places: [[first, { from: name }]] };
  let end = 0;
  const places = pieces.map((piece): [Piece, Place] => {
    const length = present(elementsOf(piece.value.shape));
    const offset = isBatch(length) ? { perSample: end } : end;
    end += factorOf(length);
    return [piece, { from: name, part: { offset, length } }];
  });
  const flat = pieces.map(({ value }) => {
    const length = present(elementsOf(value.shape));
    return build.reshape(value, isBatch(length) ? [length] : [1, length]);
  });
  return { handed: { name, value: build.concat(flat, (flat[0]?.shape.length ?? 1) - 1) }, places };
}
