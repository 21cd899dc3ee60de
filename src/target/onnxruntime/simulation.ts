/** One execution of a program by ONNX Runtime, simulated: which values share memory, and what is alive when. */

import { type Bytes, noBytes, plusBytes } from "../../graph/bytes.js";
import type { Node, Value } from "../../graph/value.js";
import { nth } from "../../present.js";

/** What is known about a value, whatever the order of execution. */
export interface Slot {
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
  /** The step that computes it. */
  maker: Step | undefined;
  readonly isResult: boolean;
  /** Whether it shares the memory of its node's first input. */
  isView: boolean;
}

/** A node, and what is known about it whatever the order of execution. */
export interface Step {
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
  /** Whether no other step reads its outputs. */
  isLast: boolean;
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

export class Simulation {
  readonly #blocks: Block[] = [];
  /** Indexed as the slots. */
  readonly #blockOf: (Block | undefined)[];
  /** Dead blocks whose memory may be used again, by their forms; in each list, the last to die is last. */
  readonly #free = new Map<string, Block[]>();

  constructor(
    private readonly steps: readonly Step[],
    slots: number,
  ) {
    this.#blockOf = Array<Block | undefined>(slots).fill(undefined);
  }

  /** What is alive at each step. */
  run(): Bytes[] {
    let time = 0;
    for (const step of this.steps) {
      for (const slot of step.makes) this.#place(step, slot, time);
      for (const slot of step.reads) this.#read(slot, time);
      time += 1;
    }
    return this.#alive();
  }

  #alive(): Bytes[] {
    const changes = Array.from({ length: this.steps.length + 1 }, () => ({ fixed: 0, perSample: 0, perPair: 0 }));
    for (const { from, to, owner } of this.#blocks) {
      change(nth(changes, from), owner.bytes, 1);
      change(nth(changes, to + 1), owner.bytes, -1);
    }
    const alive: Bytes[] = [];
    let now = noBytes;
    for (const each of changes) {
      now = plusBytes(now, each);
      alive.push(now);
    }
    return alive;
  }

  #place(step: Step, slot: Slot, time: number): void {
    if (slot.reads === 0) return;
    const shared = slot.isResult ? undefined : this.#shared(step, slot);
    if (shared === "outside") return;
    const block = shared ?? this.#newBlock(slot, time);
    block.reads += slot.reads;
    block.to = slot.isResult ? this.steps.length - 1 : time;
    this.#blockOf[slot.index] = block;
  }

  /** The block that a value may use, undefined if it needs one of its own; "outside" for views of feeds. */
  #shared({ overwrites, reads }: Step, slot: Slot): Block | "outside" | undefined {
    if (slot.isView) return this.#blockOf[nth(reads, 0).index] ?? "outside";
    if (overwrites) {
      for (const { index, shape } of reads) {
        const block = this.#blockOf[index];
        // For a reshaped value, the shape it is seen in counts.
        if (!block || block.owner.width !== slot.width || shape !== slot.shape) continue;
        if (block.reads === reads.filter((other) => this.#blockOf[other.index] === block).length) return block;
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
    const block = this.#blockOf[index];
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
