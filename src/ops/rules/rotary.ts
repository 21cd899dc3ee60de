/** RotaryEmbedding, of opset 23 and of ONNX Runtime: pairs of a head's elements are rotated by angles of the position. */

import { type Dim, sameDim, sameShape, showShape } from "../../graph/dim.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { floatAttribute, intAttribute, part, requireInput, shapeMismatch, unsupported } from "../checks.js";
import { type OpDefinition, said } from "../definition.js";
import { lowered } from "../elementwise.js";
import { headSize } from "../subgraphs/attend.js";
import { contrib, likeFirst } from "../subgraphs/contrib.js";

/** The positions of the inputs in the two versions of the operator. */
interface Places {
  readonly positions: number;
  readonly cosines: number;
}

const standard: Places = { cosines: 1, positions: 3 };
const contributed: Places = { positions: 1, cosines: 2 };

interface Rotary {
  readonly x: Value;
  readonly cosines: Value;
  readonly sines: Value;
  readonly positions: Value | null;
  /** The shape of x: `[B, S, heads, size]`, or `[B, heads, S, size]` if x has four axes. */
  readonly shape: readonly Dim[];
  readonly lengthAxis: 1 | 2;
  /** How many elements of a head are rotated. */
  readonly turned: number;
}

/** `[B, S, heads*size]` with the heads separate. If the number of heads is not given, the angles determine it. */
function headsApart(call: Call | Node, x: Value, half: number): readonly Dim[] {
  if (x.shape.length === 4) return x.shape;
  const [batch, length, hidden] = leadingOf(x.shape, 3);
  const stated = intAttribute(call, "num_heads", 0);
  const heads = stated > 0 ? stated : half > 0 && typeof hidden === "number" ? hidden / (2 * half) : 0;
  if (!Number.isInteger(heads))
    throw shapeMismatch(part(call, `the input ${showShape(x.shape)}`), `does not divide into heads of ${2 * half}`);
  return [batch, length, heads, headSize(call, hidden, heads)];
}

function readRotary(call: Call | Node, places: Places): Rotary {
  const x = requireInput(call, 0);
  const [cosines, sines] = [requireInput(call, places.cosines), requireInput(call, places.cosines + 1)];
  const positions = call.inputs[places.positions] ?? null;
  if (x.shape.length !== 3 && x.shape.length !== 4)
    throw shapeMismatch(part(call, `the input ${showShape(x.shape)}`), "has no heads");
  const half = cosines.shape.at(-1);
  if (typeof half !== "number" || !sameShape(cosines.shape, sines.shape)) {
    throw shapeMismatch(
      part(call, "the angles"),
      `have the shapes ${showShape(cosines.shape)} and ${showShape(sines.shape)}, which do not fit each other`,
    );
  }
  const shape = headsApart(call, x, half);
  const size = nth(shape, 3);
  const turned = intAttribute(call, "rotary_embedding_dim", 0) || size;
  if (typeof turned !== "number" || typeof size !== "number" || turned > size || turned !== 2 * half) {
    throw shapeMismatch(
      part(call, `the angles ${showShape(cosines.shape)}`),
      `do not fit heads of ${showShape([size])}`,
    );
  }
  const lengthAxis = x.shape.length === 4 ? 2 : 1;
  const read = { x, cosines, sines, positions, shape, lengthAxis, turned } as const;
  checkPositions(call, read);
  return read;
}

/** Positions are `[B, S]` or (in ONNX Runtime's version) that of the first element; without them, angles are `[B, S, half]`. */
function checkPositions(call: Call | Node, { cosines, positions, shape, lengthAxis }: Rotary): void {
  const expected = [nth(shape, 0), nth(shape, lengthAxis)];
  const beside = (dims: readonly Dim[]) =>
    dims.length === 2 && [0, 1].every((axis) => dims[axis] === 1 || sameDim(nth(dims, axis), nth(expected, axis)));
  const given = positions ? positions.shape : cosines.shape.slice(0, -1);
  const start = positions !== null && given.length === 1 && given[0] === 1 && typeof expected[1] === "number";
  const table = positions === null || cosines.shape.length === 2;
  if ((beside(given) || start) && table && !(positions && isFloat(positions.dtype))) return;
  throw shapeMismatch(part(call, `the positions ${showShape(given)}`), `do not fit an input ${showShape(expected)}`);
}

/** The cosines or sines of every position, in a shape that broadcasts to x with its heads separate. */
function anglesOf(build: Build, table: Value, { positions, shape, lengthAxis }: Rotary): Value {
  const every = () => {
    if (!positions) return table;
    if (positions.shape.length === 2) return build.gather(table, positions, 0);
    const length = shape[lengthAxis] as number;
    const steps = build.cast(
      build.ints(
        Array.from({ length }, (_, k) => k),
        [1, length],
      ),
      positions.dtype,
    );
    return build.gather(table, build.add(steps, positions), 0);
  };
  const angles = every();
  const [batch, length, half] = leadingOf(angles.shape, 3);
  return build.reshape(angles, lengthAxis === 1 ? [batch, length, 1, half] : [batch, 1, length, half]);
}

/** The rotated heads. Pairs are taken from the two halves of a head or, if interleaved, from neighbours. */
function rotate(node: Node, read: Rotary, build: Build): Value {
  const { x, shape, turned } = read;
  const [interleaved, size] = [intAttribute(node, "interleaved", 0) !== 0, shape[3] as number];
  const heads = build.reshape(x, shape);
  const half = turned / 2;
  const part = (k: 0 | 1) =>
    interleaved ? build.slice(heads, 3, k, turned, 2) : build.slice(heads, 3, k * half, (k + 1) * half);
  const [left, right] = [part(0), part(1)];
  const [cosines, sines] = [anglesOf(build, read.cosines, read), anglesOf(build, read.sines, read)];
  const real = build.sub(build.mul(cosines, left), build.mul(sines, right));
  const imaginary = build.add(build.mul(sines, left), build.mul(cosines, right));
  const paired = () => {
    const pairs = build.concat([build.unsqueeze(real, [4]), build.unsqueeze(imaginary, [4])], 4);
    return build.reshape(pairs, [...shape.slice(0, 3), turned]);
  };
  const rest = turned < size ? [build.slice(heads, 3, turned, size)] : [];
  const parts = interleaved ? [paired(), ...rest] : [real, imaginary, ...rest];
  return build.reshape(build.concat(parts, 3), x.shape);
}

function rotaryEmbedding(places: Places): OpDefinition {
  return {
    op: "RotaryEmbedding",
    since: 23,
    // ONNX has the angles before the positions; ONNX Runtime's own domain has them after.
    settings: { 1: said("a table of angles"), 2: said("a table of angles"), 3: said("a table of angles") },
    infer: (call) => {
      readRotary(call, places);
      if (intAttribute(call, "is_packed_batching", 0) !== 0)
        throw unsupported(call, "packs samples of different lengths");
      if (floatAttribute(call, "scale", 1) !== 1) throw unsupported(call, "scales its positions");
      return [likeFirst(call)];
    },
    decompose: (node, build) => [rotate(node, readRotary(node, places), build)],
  };
}

/** The inputs of a RotaryEmbedding of ONNX Runtime's domain. */
export function headsOfContributed(node: Node): Rotary {
  return readRotary(node, contributed);
}

export const rotary: readonly OpDefinition[] = [
  // Introduced in opset 23.
  lowered(rotaryEmbedding(standard)),
  contrib(rotaryEmbedding(contributed)),
];
