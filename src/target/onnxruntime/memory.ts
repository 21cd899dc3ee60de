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
import { Simulation, type Slot, type Step } from "./simulation.js";

/** The memory of a program, for any order of its results. */
export class ProgramMemory {
  readonly #slots = new Map<Value, Slot>();
  readonly #steps = new Map<Node, Step>();
  readonly #results: ReadonlySet<Value>;
  readonly #made: Bytes;

  constructor(outputs: readonly Value[]) {
    this.#results = new Set(outputs);
    this.#made = addBytes(outputs.map(bytesOfValue));
    for (const node of neededNodes(nodesBefore(outputs), outputs)) this.#add(node);
    for (const { node, makes } of this.#steps.values()) for (const slot of makes) slot.isView = isView(node, slot);
  }

  #add(node: Node): void {
    const reads = presentInputs(node).map((input) => this.#slot(input));
    const before: Step[] = [];
    for (const slot of reads) {
      slot.readers.push(node);
      slot.reads += 1;
      if (!slot.maker || before.includes(slot.maker)) continue;
      before.push(slot.maker);
      slot.maker.isLast = false;
    }
    const makes = node.outputs.map((output) => this.#slot(output));
    const overwrites = definitionOf(node)?.overwrites === true;
    const index = this.#steps.size;
    const step = { index, node, reads, makes, before, overwrites, scratch: scratchOf(node), isLast: true };
    for (const slot of makes) slot.maker = step;
    this.#steps.set(node, step);
  }

  #slot(value: Value): Slot {
    const known = this.#slots.get(value);
    if (known) return known;
    const isResult = this.#results.has(value);
    const [width, shape] = [bytesOf(value.dtype), showDims(value.shape)];
    const slot: Slot = {
      value,
      index: this.#slots.size,
      bytes: bytesOfValue(value),
      width,
      shape,
      form: `${width}:${shape}`,
      reads: isResult ? Number.POSITIVE_INFINITY : 0,
      readers: [],
      maker: undefined,
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
    return steps.flatMap(({ scratch }, step) =>
      scratch.map((own) => (own === noBytes ? nth(alive, step) : plusBytes(nth(alive, step), own))),
    );
  }

  /**
   * The steps in the order in which ONNX Runtime executes them: depth first from the results; results, and each node's
   * inputs, are visited from the last in the file to the first (Graph::ReverseDFSFrom).
   */
  #executed(outputs: readonly Value[]): Step[] {
    const place = new Int32Array(this.#steps.size);
    const stack: Step[] = [];
    let listed = 0;
    for (const node of nodesBefore(outputs)) {
      const step = this.#steps.get(node);
      if (!step) continue;
      place[step.index] = listed++;
      if (step.isLast) stack.push(step);
    }
    const placeOf = ({ index }: Step) => place[index] as number;
    const open = new Uint8Array(place.length);
    const done = new Set<Step>();
    for (let step = stack.at(-1); step; step = stack.at(-1)) {
      if (open[step.index] === 1) {
        stack.pop();
        done.add(step);
        continue;
      }
      open[step.index] = 1;
      const before = step.before.filter(({ index }) => open[index] === 0);
      stack.push(...(before.length > 1 ? before.sort((a, b) => placeOf(a) - placeOf(b)) : before));
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

/** The memory of a program whose results are computed from the last to the first; see `ProgramMemory.of`. */
export function memoryOf(outputs: readonly Value[], allocated?: Bytes): MemoryUse {
  return new ProgramMemory(outputs).of(outputs, allocated);
}
