/**
 * How much memory a program takes while ONNX Runtime executes it: what is alive at once, from the shapes, as a
 * function of the batch size. The rules of its planner are followed (onnxruntime/core/framework/allocation_planner.cc):
 * views share what they look at, element-wise operators write over an input that nothing else reads, and a tensor
 * takes the place of a dead one of the same shape.
 */

import { addBytes, type Bytes, bytesOfValue, MemoryUse, noBytes, plusBytes } from "../../graph/bytes.js";
import { isBatch, type Shape, sameShape } from "../../graph/dim.js";
import type { Node, Value } from "../../graph/value.js";
import { nodesBefore, presentInputs } from "../../graph/walk.js";
import { neededNodes } from "../../onnx/write/dimensions.js";
import { intAttribute } from "../../ops/checks.js";
import { definitionOf } from "../../ops/registry.js";
import { leadingOf, nth } from "../../present.js";
import { bytesOf } from "../../tensor/tensor.js";

/**
 * The nodes in the order in which ONNX Runtime executes them: depth first from the results, those and each node's
 * inputs taken from the last of the file to the first (Graph::ReverseDFSFrom).
 */
function executionOrder(outputs: readonly Value[]): Node[] {
  const nodes = neededNodes(nodesBefore(outputs), outputs);
  const place = new Map(nodes.map((node, index) => [node, index]));
  const before = (node: Node) => {
    const made = presentInputs(node).flatMap(({ source }) => (source.kind === "node" ? [source.node] : []));
    return made.filter((input) => place.has(input)).sort((a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0));
  };
  const inputs = new Map(nodes.map((node) => [node, before(node)]));
  const read = new Set([...inputs.values()].flat());
  const stack = nodes.filter((node) => !read.has(node)).map((node) => ({ node, done: false }));
  const seen = new Set<Node>();
  const order: Node[] = [];
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { node, done } = top;
    if (done) order.push(node);
    if (done || seen.has(node)) continue;
    seen.add(node);
    stack.push({ node, done: true }, ...(inputs.get(node) ?? []).map((input) => ({ node: input, done: false })));
  }
  return order;
}

/** A piece of memory, which several values may use one after another. */
interface Block {
  readonly shape: Shape;
  readonly width: number;
  readonly bytes: Bytes;
  readonly from: number;
  /** The last step at which it is needed. */
  to: number;
  /** Reads still to come of the values in it; infinite for results. */
  reads: number;
}

class Simulation {
  readonly #blocks: Block[] = [];
  readonly #of = new Map<Value, Block>();
  /** Dead blocks whose memory may serve again, by what fits into them; of these the last to die is last. */
  readonly #free = new Map<string, Block[]>();
  readonly #readers = new Map<Value, Node[]>();
  readonly #results: ReadonlySet<Value>;

  constructor(
    private readonly order: readonly Node[],
    outputs: readonly Value[],
  ) {
    this.#results = new Set(outputs);
    for (const node of order) {
      for (const input of presentInputs(node)) {
        const readers = this.#readers.get(input);
        if (readers) readers.push(node);
        else this.#readers.set(input, [node]);
      }
    }
  }

  /** What is alive at each step. */
  run(): Bytes[] {
    this.order.forEach((node, step) => {
      for (const output of node.outputs) this.#place(node, output, step);
      for (const input of presentInputs(node)) this.#read(input, step);
    });
    const changes = this.order.map(() => [] as Bytes[]);
    const ends = [...changes.map(() => [] as Bytes[]), []];
    for (const { from, to, bytes } of this.#blocks) {
      changes[from]?.push(bytes);
      ends[to + 1]?.push(bytes);
    }
    let alive = noBytes;
    return this.order.map((_, step) => {
      alive = (ends[step] ?? []).reduce((sum, bytes) => plusBytes(sum, bytes, -1), alive);
      alive = (changes[step] ?? []).reduce((sum, bytes) => plusBytes(sum, bytes), alive);
      return alive;
    });
  }

  #place(node: Node, output: Value, step: number): void {
    const reads = this.#results.has(output) ? Number.POSITIVE_INFINITY : (this.#readers.get(output) ?? []).length;
    if (reads === 0) return;
    const shared = this.#results.has(output) ? undefined : this.#shared(node, output);
    if (shared === "outside") return;
    const block = shared ?? this.#newBlock(output, step);
    block.reads += reads;
    block.to = step;
    this.#of.set(output, block);
  }

  /** The block that a value may use, undefined where it needs one of its own; "outside" for views of what is fed. */
  #shared(node: Node, output: Value): Block | "outside" | undefined {
    const [first] = node.inputs;
    const definition = definitionOf(node);
    const view = definition?.view?.(node).kind === "reshape" || this.#partOfProducts(node, output);
    if (view && first) return this.#of.get(first) ?? "outside";
    if (definition?.overwrites) {
      const inputs = presentInputs(node);
      for (const input of inputs) {
        const block = this.#of.get(input);
        const last = block?.reads === inputs.filter((other) => this.#of.get(other) === block).length;
        // Of what is seen in another shape, that shape counts.
        if (block && last && fits({ ...block, shape: input.shape }, output)) return block;
      }
    }
    return this.#free.get(formOf(output.shape, bytesOf(output.dtype)))?.pop();
  }

  /**
   * A matrix transposed for nothing but products, which read it in place (the runtime's MatmulTransposeFusion); or one
   * of rows whose batch axes come first for them.
   */
  #partOfProducts({ op, attributes }: Node, output: Value): boolean {
    const rank = output.shape.length;
    const permutation = attributes.perm;
    if (op !== "Transpose" || output.dtype !== "float32" || !Array.isArray(permutation) || rank < 2) return false;
    const readers = this.#readers.get(output) ?? [];
    const swapped = permutation.every((axis, k) => axis === (k < rank - 2 ? k : 2 * rank - 3 - k));
    if (swapped) return readers.every((reader) => reader.op === "MatMul" || reader.op === "Gemm");
    const rows = permutation.every((axis, k) => axis === (k < rank - 2 ? k + 1 : k === rank - 2 ? 0 : k));
    return rank > 2 && rows && readers.every((reader) => reader.op === "MatMul");
  }

  #newBlock(output: Value, step: number): Block {
    const { shape, dtype } = output;
    const block = { shape, width: bytesOf(dtype), bytes: bytesOfValue(output), from: step, to: step, reads: 0 };
    this.#blocks.push(block);
    if (this.#results.has(output)) block.to = this.order.length - 1;
    return block;
  }

  #read(input: Value, step: number): void {
    const block = this.#of.get(input);
    if (!block) return;
    block.reads -= 1;
    block.to = Math.max(block.to, step);
    if (block.reads > 0) return;
    const form = formOf(block.shape, block.width);
    const alike = this.#free.get(form);
    if (alike) alike.push(block);
    else this.#free.set(form, [block]);
  }
}

/** Equal for tensors that fit into each other's memory. */
function formOf(shape: Shape, width: number): string {
  return `${width}:${shape.map((dim) => (isBatch(dim) ? `N${dim.perSample}` : dim)).join()}`;
}

function fits(block: Pick<Block, "shape" | "width">, { shape, dtype }: Value): boolean {
  return block.width === bytesOf(dtype) && sameShape(block.shape, shape);
}

/** Channels of a block in the layout in which the runtime convolves with constant kernels: 16 with AVX-512, else 8. */
const channelBlock = 16;

/** The result of a convolution with a constant kernel in the runtime's own layout, from which it is then copied. */
function blocked(node: Node): Bytes {
  const [output] = node.outputs;
  const channels = output?.shape[1];
  if (!output || typeof channels !== "number" || node.inputs[1]?.source.kind !== "constant") return noBytes;
  const padded = Math.ceil(channels / channelBlock) * channelBlock;
  return bytesOfValue({ dtype: output.dtype, shape: output.shape.map((dim, axis) => (axis === 1 ? padded : dim)) });
}

/** What a transposed convolution adds up: of one image and group, a patch for each position. */
function unfoldedImage({ inputs }: Node): Bytes {
  const [x, w] = leadingOf(inputs, 2);
  return bytesOfValue({ dtype: x.dtype, shape: [...w.shape.slice(1), ...x.shape.slice(2)] });
}

/** What a kernel allocates for itself, where it is much. */
function scratch(node: Node): readonly Bytes[] {
  const { body, recurrent = false } = definitionOf(node) ?? {};
  if (body) return executionMoments(body.parts(node).body.outputs);
  if (node.op === "Conv") return [blocked(node)];
  if (node.op === "ConvTranspose") return [unfoldedImage(node)];
  if (node.op === "Einsum")
    return [presentInputs(node).reduce((sum, input) => plusBytes(sum, bytesOfValue(input)), noBytes)];
  if (!recurrent) return [noBytes];
  // The gates of all steps: X·W of all positions at once, for each direction.
  const [x, w] = node.inputs;
  const [width, directions, gates] = [x?.shape.at(-1), w?.shape[0], w?.shape[1]];
  if (!x || typeof width !== "number" || typeof directions !== "number" || typeof gates !== "number") return [noBytes];
  const positions = bytesOfValue(x);
  const hidden = intAttribute(node, "hidden_size", 0);
  const perPosition = (directions * (gates + hidden)) / Math.max(1, width);
  return [plusBytes(noBytes, positions, perPosition)];
}

function executionMoments(outputs: readonly Value[]): readonly Bytes[] {
  const order = executionOrder(outputs);
  const alive = new Simulation(order, outputs).run();
  return alive.flatMap((bytes, step) => scratch(nth(order, step)).map((own) => plusBytes(bytes, own)));
}

/**
 * The memory that one execution takes beyond what is fed to it: intermediate tensors, the kernels' scratch memory
 * where it is much, and the results, of which the runtime's own and the copies given to JavaScript exist together
 * at the end; after that what JavaScript makes of them.
 * @param allocated bytes that it then allocates
 */
export function memoryOf(outputs: readonly Value[], allocated = noBytes): MemoryUse {
  const results = addBytes(outputs.map(bytesOfValue));
  const made = plusBytes(results, allocated);
  return new MemoryUse([...executionMoments(outputs), plusBytes(results, results), made]);
}
