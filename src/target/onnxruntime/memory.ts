/**
 * The memory that a program takes while ONNX Runtime executes it: what is alive at once, from the shapes, as a function
 * of the batch size. It follows the rules of ONNX Runtime's planner (onnxruntime/core/framework/allocation_planner.cc):
 * views share the memory they look at, element-wise operators overwrite an input that nothing else reads, and a tensor
 * takes the place of a dead one of the same shape.
 */

import { addBytes, type Bytes, bytesOfValue, MemoryUse, noBytes, plusBytes } from "../../graph/bytes.js";
import { isBatch, type Shape } from "../../graph/dim.js";
import type { Node, Value } from "../../graph/value.js";
import { nodesBefore, presentInputs } from "../../graph/walk.js";
import { neededNodes } from "../../onnx/write/dimensions.js";
import { definitionOf } from "../../ops/registry.js";
import { nth } from "../../present.js";
import { bytesOf } from "../../tensor/tensor.js";
import { scratch } from "./scratch.js";

/** What is known about a value, whatever the order of execution. */
interface Slot {
  readonly value: Value;
  /** Its index among all values. */
  readonly index: number;
  readonly bytes: Bytes;
  readonly width: number;
  /** Equal for values of the same shape. */
  readonly shape: string;
  /** Equal for values that fit into each other's memory. */
  readonly form: string;
  /** The number of reads still to come, counting each reader as often as it reads; infinite for a result. */
  reads: number;
  readonly readers: Node[];
  readonly isResult: boolean;
  /** Whether it shares the memory of its node's first input. */
  isView: boolean;
}

/** A node, and what is known about it whatever the order of execution. */
interface Step {
  /** Its index among all nodes. */
  readonly index: number;
  readonly node: Node;
  readonly reads: readonly Slot[];
  readonly makes: readonly Slot[];
  /** The steps that compute its inputs. */
  readonly before: readonly Step[];
  readonly overwrites: boolean;
  /** What its kernel allocates besides, at each of its moments. */
  readonly scratch: readonly Bytes[];
}

/** A piece of memory, which several values may use one after another. */
interface Block {
  readonly owner: Slot;
  readonly from: number;
  /** The last step at which it is needed; for results, the last of all. */
  to: number;
  /** Reads still to come of the values in it; infinite for results. */
  reads: number;
}

/** The memory of a program, for any order of its results. */
export class ProgramMemory {
  readonly #slots = new Map<Value, Slot>();
  readonly #steps = new Map<Node, Step>();
  /** The steps whose outputs no other step reads. */
  readonly #last = new Set<Step>();
  readonly #results: ReadonlySet<Value>;
  readonly #made: Bytes;

  constructor(outputs: readonly Value[]) {
    this.#results = new Set(outputs);
    this.#made = addBytes(outputs.map(bytesOfValue));
    for (const node of neededNodes(nodesBefore(outputs), outputs)) this.#add(node);
    for (const { node, makes } of this.#steps.values()) for (const slot of makes) slot.isView = isView(node, slot);
  }

  #add(node: Node): void {
    const inputs = presentInputs(node);
    const before = new Set(inputs.flatMap(({ source }) => (source.kind === "node" ? [source.node] : [])));
    const steps = [...before].flatMap((maker) => this.#steps.get(maker) ?? []);
    const reads = inputs.map((input) => this.#slot(input));
    for (const slot of reads) {
      slot.readers.push(node);
      slot.reads += 1;
    }
    const step: Step = {
      index: this.#steps.size,
      node,
      reads,
      makes: node.outputs.map((output) => this.#slot(output)),
      before: steps,
      overwrites: definitionOf(node)?.overwrites === true,
      scratch: scratchOf(node),
    };
    this.#steps.set(node, step);
    this.#last.add(step);
    for (const earlier of steps) this.#last.delete(earlier);
  }

  #slot(value: Value): Slot {
    const known = this.#slots.get(value);
    if (known) return known;
    const isResult = this.#results.has(value);
    const [width, shape] = [bytesOf(value.dtype), showDims(value.shape)];
    const slot = {
      value,
      index: this.#slots.size,
      bytes: bytesOfValue(value),
      width,
      shape,
      form: `${width}:${shape}`,
      reads: isResult ? Number.POSITIVE_INFINITY : 0,
      readers: [],
      isResult,
      isView: false,
    };
    this.#slots.set(value, slot);
    return slot;
  }

  /**
   * The memory that one execution takes beyond its feeds: intermediate tensors; the kernels' scratch memory, if it is
   * large; the results, which exist twice at the end, as the runtime's own and as copies for JavaScript; and after
   * that, what JavaScript makes from them.
   * @param order the results; the last one is computed first
   * @param allocated bytes that JavaScript then allocates
   */
  of(order: readonly Value[], allocated = noBytes): MemoryUse {
    const made = plusBytes(this.#made, allocated);
    return new MemoryUse([...this.moments(order), plusBytes(this.#made, this.#made), made]);
  }

  /** What is alive at each moment of an execution. */
  moments(order: readonly Value[]): Bytes[] {
    const steps = this.#executed(order);
    const alive = new Simulation(steps, this.#slots.size).run();
    return steps.flatMap(({ scratch }, step) => scratch.map((own) => plusBytes(nth(alive, step), own)));
  }

  /**
   * The steps in the order in which ONNX Runtime executes them: depth first from the results; results, and each node's
   * inputs, are visited from the last in the file to the first (Graph::ReverseDFSFrom).
   */
  #executed(outputs: readonly Value[]): Step[] {
    const listed = nodesBefore(outputs).flatMap((node) => this.#steps.get(node) ?? []);
    const place = new Int32Array(listed.length);
    for (const [k, { index }] of listed.entries()) place[index] = k;
    const placeOf = ({ index }: Step) => place[index] as number;
    const stack = listed.filter((step) => this.#last.has(step));
    const [open, done] = [new Set<Step>(), new Set<Step>()];
    for (let step = stack.at(-1); step; step = stack.at(-1)) {
      if (!open.has(step)) {
        open.add(step);
        const before = step.before.filter((other) => !open.has(other));
        stack.push(...(before.length > 1 ? before.sort((a, b) => placeOf(a) - placeOf(b)) : before));
        continue;
      }
      stack.pop();
      done.add(step);
    }
    return [...done];
  }
}

/** Equal for equal shapes. */
function showDims(shape: Shape): string {
  return shape.map((dim) => (isBatch(dim) ? `N${dim.perSample}` : dim)).join();
}

function scratchOf(node: Node): readonly Bytes[] {
  const body = definitionOf(node)?.body?.parts(node).body;
  return body ? new ProgramMemory(body.outputs).moments(body.outputs) : [scratch(node)];
}

function isView(node: Node, slot: Slot): boolean {
  if (!node.inputs[0]) return false;
  return definitionOf(node)?.view?.(node).kind === "reshape" || isPartOfProducts(node, slot);
}

/**
 * Whether a node only rearranges a matrix for products that read it in place (the runtime's MatmulTransposeFusion): it
 * transposes the matrix, or moves its batch axes to the front.
 */
function isPartOfProducts({ op, attributes }: Node, { value, readers }: Slot): boolean {
  const rank = value.shape.length;
  const permutation = attributes.perm;
  if (op !== "Transpose" || value.dtype !== "float32" || !Array.isArray(permutation) || rank < 2) return false;
  const swapped = permutation.every((axis, k) => axis === (k < rank - 2 ? k : 2 * rank - 3 - k));
  if (swapped) return readers.every((reader) => reader.op === "MatMul" || reader.op === "Gemm");
  const rows = permutation.every((axis, k) => axis === (k < rank - 2 ? k + 1 : k === rank - 2 ? 0 : k));
  return rank > 2 && rows && readers.every((reader) => reader.op === "MatMul");
}

/** One execution. */
class Simulation {
  readonly #blocks: Block[] = [];
  /** Indexed as the slots. */
  readonly #of: (Block | undefined)[];
  /**
   * Dead blocks whose memory may be used again, by the form that fits into them; in each list, the last to die is last.
   */
  readonly #free = new Map<string, Block[]>();

  constructor(
    private readonly steps: readonly Step[],
    slots: number,
  ) {
    this.#of = Array<Block | undefined>(slots).fill(undefined);
  }

  /** What is alive at each step. */
  run(): Bytes[] {
    this.steps.forEach((step, time) => {
      for (const slot of step.makes) this.#place(step, slot, time);
      for (const slot of step.reads) this.#read(slot, time);
    });
    const changes = Array.from({ length: this.steps.length + 1 }, () => ({ ...noBytes }));
    for (const { from, to, owner } of this.#blocks) {
      change(nth(changes, from), owner.bytes, 1);
      change(nth(changes, to + 1), owner.bytes, -1);
    }
    let alive = noBytes;
    return this.steps.map((_, time) => {
      alive = plusBytes(alive, nth(changes, time));
      return alive;
    });
  }

  #place(step: Step, slot: Slot, time: number): void {
    if (slot.reads === 0) return;
    const shared = slot.isResult ? undefined : this.#shared(step, slot);
    if (shared === "outside") return;
    const block = shared ?? this.#newBlock(slot, time);
    block.reads += slot.reads;
    block.to = slot.isResult ? this.steps.length - 1 : time;
    this.#of[slot.index] = block;
  }

  /** The block that a value may use, undefined if it needs one of its own; "outside" for views of feeds. */
  #shared({ overwrites, reads }: Step, slot: Slot): Block | "outside" | undefined {
    if (slot.isView) return this.#of[nth(reads, 0).index] ?? "outside";
    if (overwrites) {
      for (const { index, shape } of reads) {
        const block = this.#of[index];
        // For a reshaped value, the shape it is seen in counts.
        if (!block || block.owner.width !== slot.width || shape !== slot.shape) continue;
        if (block.reads === reads.filter((other) => this.#of[other.index] === block).length) return block;
      }
    }
    return this.#free.get(slot.form)?.pop();
  }

  #newBlock(owner: Slot, from: number): Block {
    const block = { owner, from, to: from, reads: 0 };
    this.#blocks.push(block);
    return block;
  }

  #read({ index }: Slot, time: number): void {
    const block = this.#of[index];
    if (!block) return;
    block.reads -= 1;
    block.to = Math.max(block.to, time);
    if (block.reads > 0) return;
    const { form } = block.owner;
    const alike = this.#free.get(form);
    if (alike) alike.push(block);
    else this.#free.set(form, [block]);
  }
}

/** Bytes that can be changed. */
type Change = { -readonly [name in keyof Bytes]: Bytes[name] };

function change(sum: Change, { fixed, perSample, perPair }: Bytes, times: number): void {
  sum.fixed += times * fixed;
  sum.perSample += times * perSample;
  sum.perPair += times * perPair;
}

/** The memory of a program whose results are computed from the last to the first; see `ProgramMemory.of`. */
export function memoryOf(outputs: readonly Value[], allocated?: Bytes): MemoryUse {
  return new ProgramMemory(outputs).of(outputs, allocated);
}
