/**
 * Computes large results separately. ONNX Runtime holds all outputs of a run until JavaScript has copied each, so a sum
 * over samples, which is as large as the weights, exists twice. If few samples are computed, the factors of such a sum
 * are much smaller. So the program returns the factors, and a small program of its own computes each sum: only one at a
 * time exists twice, and factors are freed once they are used.
 */

import { beforeReshape } from "../../graph/behind.js";
import { addBytes, type Bytes, bytesAt, bytesOfValue, MemoryUse } from "../../graph/bytes.js";
import { isBatch } from "../../graph/dim.js";
import { inputsOf, outputOf } from "../../graph/operands.js";
import { currentInputs } from "../../graph/remade.js";
import { leaf, makeNode, type Node, nodeOf, type Value } from "../../graph/value.js";
import { nodesBefore, presentInputs } from "../../graph/walk.js";
import { intAttribute } from "../../ops/checks.js";
import { build, definitionOf } from "../../ops/registry.js";
import { nth, present } from "../../present.js";
import { largeWeights } from "../target.js";
import { stated } from "./faster.js";
import { memoryOf } from "./memory.js";
import { lowMemoryOrder, type Ordered } from "./order.js";

/** Sizes, in bytes, from which results are computed separately. */
export interface ApartSizes {
  /** Of all weights: below it, a sum that exists twice does not matter. */
  readonly weights: number;
  /** Of a result that is computed separately. */
  readonly result: number;
  /** Of the rows of a matrix that are computed at a time, approximately. */
  readonly block: number;
}

export const usualApartSizes: ApartSizes = { weights: largeWeights, result: 2 ** 20, block: 2 ** 25 };

/** An output of a program. */
interface ProgramOutput {
  readonly name: string;
  readonly value: Value;
}

/** The last steps of a result, which compute it from the program's outputs. */
export interface Tail {
  /** The name of the result, among the outputs that the program would have otherwise. */
  readonly name: string;
  /**
   * The result, computed from leaves that have the same names in all tails, so that tails of equal shapes are one
   * program.
   */
  readonly value: Value;
  readonly inputs: readonly Value[];
  /** The program's outputs that are fed to the inputs. */
  readonly from: readonly string[];
  /** Set if the rows of a matrix are computed in blocks, from some columns of the first input at a time. */
  readonly rows?: RowBlocks;
}

export interface RowBlocks {
  readonly count: number;
  /** The number of rows in a block; the last block may have fewer. */
  readonly size: number;
  /** The same computation for this many columns of the first input, and so this many rows. */
  of(size: number): { readonly inputs: readonly Value[]; readonly value: Value };
}

/** A program without the last steps of its large results, and those steps. */
export interface Apart extends Ordered {
  readonly outputs: readonly ProgramOutput[];
  /** Outputs that are no results: the tails, in order, are computed from them. */
  readonly factors: readonly string[];
  readonly tails: readonly Tail[];
}

/** A result that could be computed separately. */
interface Cut extends ProgramOutput {
  /** The values of the last steps, and the values that they are computed from. */
  readonly inner: ReadonlySet<Value>;
  readonly frontier: readonly Value[];
}

/**
 * Undefined if no result can be computed separately. Such a result is large, has no sample axis, is computed from
 * values that are much smaller for one sample, and shares its last steps with nothing else.
 * @param allocated bytes that JavaScript allocates beyond copies of the outputs
 */
export function computedApart(
  outputs: readonly ProgramOutput[],
  sizes: ApartSizes,
  allocated: Bytes,
): Apart | undefined {
  const found = outputs.flatMap((output) => cutOf(output, sizes.result) ?? []);
  const nodes = nodesBefore(outputs.map(({ value }) => value));
  const cuts = found.filter((cut) => isSeparate(cut, outputs, nodes));
  if (cuts.length === 0) return undefined;
  const names = new Map<Value, string>();
  const kept = outputs.filter(({ name }) => !cuts.some((cut) => cut.name === name));
  for (const { name, value } of kept) names.set(value, name);
  const added: ProgramOutput[] = [];
  for (const { name, frontier } of cuts) {
    for (const value of frontier) {
      if (names.has(value)) continue;
      const own = { name: `${name}/from/${added.length}`, value };
      names.set(value, own.name);
      added.push(own);
    }
  }
  const largestFirst = [...cuts].sort((a, b) => bytesOfValue(b.value).fixed - bytesOfValue(a.value).fixed);
  const tails = largestFirst.map((cut) => tailOf(cut, names, sizes.block));
  const all = [...kept, ...added];
  const values = stated(all.map(({ value }) => value));
  const given = all.map(({ name }, k) => ({ name, value: nth(values, k) }));
  const main = lowMemoryOrder(values);
  const factors = added.map(({ name }) => name);
  return {
    outputs: given,
    factors,
    tails,
    order: main.order,
    memory: memoryOfAll(main.memory, { outputs: given, factors, tails }, allocated),
  };
}

/**
 * Whether a node only moves or scales elements: repeating it for each result lets the program return values that it has
 * anyway.
 */
function isLight(node: Node): boolean {
  const { view, light = view !== undefined } = definitionOf(node) ?? {};
  return light;
}

/** Bytes by which the inputs of a light operator may exceed its result, as sample weights do. */
const some = 2 ** 12;

function isInner(value: Value, least: number): boolean {
  const node = nodeOf(value);
  if (node?.outputs.length !== 1) return false;
  if (isLarge(value, least)) return true;
  if (!isLight(node)) return false;
  const inputs = presentInputs(node).filter(({ source }) => source.kind !== "constant" && source.kind !== "dims");
  const total = inputs.reduce((sum, input) => sum + bytesOfOne(input), 0);
  return total <= bytesOfOne(value) + Math.min(some, bytesOfOne(value) / 4);
}

const bytesOfOne = (value: Value): number => bytesAt(bytesOfValue(value), 1);

function isLarge({ shape, dtype }: Value, least: number): boolean {
  return !shape.some(isBatch) && bytesOfValue({ shape, dtype }).fixed >= least;
}

function cutOf({ name, value }: ProgramOutput, least: number): Cut | null {
  if (!isLarge(value, least) || !isInner(value, least)) return null;
  const inner = new Set<Value>();
  const frontier = new Set<Value>();
  const waiting = [value];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (inner.has(next)) continue;
    inner.add(next);
    for (const input of presentInputs(present(nodeOf(next)))) {
      if (input.source.kind === "constant" || input.source.kind === "dims" || input.known) continue;
      if (isInner(input, least)) waiting.push(input);
      else frontier.add(input);
    }
  }
  const given = [...frontier];
  const small = given.reduce((sum, each) => sum + bytesOfOne(each), 0) <= bytesOfOne(value) / 2;
  return small && given.some(({ shape }) => shape.some(isBatch)) ? { name, value, inner, frontier: given } : null;
}

/** Whether only this result needs the large values on the way to it: otherwise they would be computed twice. */
function isSeparate({ inner }: Cut, outputs: readonly ProgramOutput[], nodes: readonly Node[]): boolean {
  const large = new Set([...inner].filter(({ shape }) => !shape.some(isBatch)));
  if (outputs.filter((output) => large.has(output.value)).length > 1) return false;
  const isOwn = (node: Node) => node.outputs.some((output) => inner.has(output));
  return nodes.every((node) => isOwn(node) || !presentInputs(node).some((input) => large.has(input)));
}

function tailOf({ name, value, frontier }: Cut, names: ReadonlyMap<Value, string>, block: number): Tail {
  const sliced = slicedInput(value, frontier);
  const ordered = sliced ? [sliced, ...frontier.filter((each) => each !== sliced)] : frontier;
  const from = ordered.map((each) => present(names.get(each)));
  const leaves = ordered.map((each, k) => leaf(`from${k}`, withoutKnown(each), { kind: "input" }));
  const whole = over(value, ordered, leaves);
  const own = { name, from, inputs: leaves, value: statedOne(whole) };
  const [count] = value.shape as [number];
  const size = Math.ceil((block * count) / bytesOfValue(value).fixed);
  if (!sliced || size >= count) return own;
  const product = present(nodeOf(whole));
  const [flat, other] = inputsOf(product, 2);
  const of = (rows: number) => {
    const shape = [...sliced.shape.slice(0, -1), rows];
    const first = leaf("from0", { dtype: sliced.dtype, shape }, { kind: "input" });
    const turned = build.reshape(first, [nth(flat.shape, 0), rows]);
    return {
      inputs: [first, ...leaves.slice(1)],
      value: statedOne(build.op("Gemm", [turned, other], product.attributes)),
    };
  };
  return { ...own, rows: { count, size, of } };
}

const statedOne = (value: Value): Value => nth(stated([value]), 0);

const withoutKnown = ({ dtype, shape }: Value) => ({ dtype, shape });

/**
 * If the value is the product of a transposed matrix `[K, rows]` and another one: the input that the matrix is a
 * reshaped view of, with the rows last.
 */
function slicedInput(value: Value, frontier: readonly Value[]): Value | undefined {
  const node = nodeOf(value);
  if (node?.op !== "Gemm" || node.inputs.length !== 2) return undefined;
  if (intAttribute(node, "transA", 0) !== 1 || intAttribute(node, "transB", 0) !== 0) return undefined;
  const [turned, other] = inputsOf(node, 2);
  const before = frontier.find((each) => each === turned) ?? beforeReshape(turned);
  const alone = !leavesUpTo(other, frontier).has(before);
  return frontier.includes(before) && before.shape.at(-1) === value.shape[0] && alone ? before : undefined;
}

/** The values of the frontier that a value depends on. */
function leavesUpTo(value: Value, frontier: readonly Value[]): Set<Value> {
  const stop = new Set(frontier);
  const read = nodesBefore([value], stop).flatMap(presentInputs);
  return new Set([value, ...read].filter((each) => stop.has(each)));
}

/** The value with leaves in place of the frontier. Its nodes have no names, so that equal tails are equal files. */
function over(value: Value, frontier: readonly Value[], leaves: readonly Value[]): Value {
  const current = new Map(frontier.map((each, k) => [each, nth(leaves, k)]));
  for (const node of nodesBefore([value], current)) {
    const inputs = currentInputs(node, current);
    const made = makeNode({ ...node, name: "", inputs }, node.outputs);
    for (const [k, output] of node.outputs.entries()) current.set(output, outputOf(made, k));
  }
  return present(current.get(value));
}

/**
 * The memory while the program runs; then, at each tail, together with what JavaScript still holds, or holds already.
 */
function memoryOfAll(
  main: MemoryUse,
  { outputs, factors, tails }: Pick<Apart, "outputs" | "factors" | "tails">,
  allocated: Bytes,
): MemoryUse {
  const lastUse = new Map(tails.flatMap(({ from }, k) => from.map((name) => [name, k] as const)));
  const moments = tails.flatMap((tail, k) => {
    const held = outputs.filter(({ name }) => !factors.includes(name) || (lastUse.get(name) ?? 0) >= k);
    const done = tails.slice(0, k).map(({ value }) => value);
    const block = tail.rows?.of(tail.rows.size);
    const sliced = block ? [...block.inputs.slice(0, 1), tail.value] : [];
    const beside = [...held.map(({ value }) => value), ...done, ...sliced].map(bytesOfValue);
    return memoryOf([block?.value ?? tail.value]).moments.map((own) => addBytes([own, allocated, ...beside]));
  });
  return new MemoryUse([...main.moments, ...moments]);
}
