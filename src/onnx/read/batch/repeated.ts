/**
 * Values that a file of fixed batch size computes for each of its samples although they are the same for all: queries,
 * tokens and states that were expanded to the batch, and what layers made of them. They have as many equal rows as the
 * file has samples; here they are rebuilt, by the file's own nodes, with as many as there are samples.
 */
import type { SampleAxes } from "../../../analysis/sample-axes.js";
import { PergradError } from "../../../errors.js";
import { type Dim, factorOf, isBatch } from "../../../graph/dim.js";
import type { SampleAxis } from "../../../graph/sample-axis.js";
import { constantOf, type Node, nodeOf, type Value } from "../../../graph/value.js";
import { isMissing } from "../../../missing.js";
import { build, definitionOf } from "../../../ops/registry.js";
import { nth } from "../../../present.js";
import type { FileNode } from "../file-node.js";
import { repeatedRow } from "./one-row.js";

/** Adapts a node that reads rebuilt values; the shapes are those of its outputs in the file's own batch. */
type Adapt = (node: FileNode, shapes: readonly (readonly number[])[]) => FileNode;

export class Repeated {
  readonly #made = new Map<Value, Value | null>();

  constructor(
    readonly size: number,
    readonly axes: SampleAxes,
    readonly adapt: Adapt,
  ) {}

  /** The same for N samples, which lie in it as `at` says; null if its rows are not known to be equal. */
  along(value: Value, at: SampleAxis): Value | null {
    const made = this.size > 1 ? this.#of(value) : null;
    const found = made && this.axes.along(made);
    const same = found?.axis === at.axis && found.outer === at.outer && found.inner === at.inner;
    return same ? made : null;
  }

  #of(value: Value): Value | null {
    const before = this.#made.get(value);
    if (before !== undefined) return before;
    this.#made.set(value, null);
    const found = this.#couldBe(value) ? (this.#expanded(value) ?? this.#through(value)) : null;
    this.#made.set(value, found);
    return found;
  }

  #couldBe({ shape }: Value): boolean {
    return shape.every((dim) => !isBatch(dim)) && shape.some((dim) => factorOf(dim) % this.size === 0);
  }

  /** The source of the rows: a row that was repeated along the first axis of the batch's size, or equal rows. */
  #expanded(value: Value): Value | null {
    const axis = value.shape.indexOf(this.size);
    const row = axis < 0 ? null : repeatedRow(value, axis);
    return row && build.expand(row, value.shape.with(axis, { perSample: 1 }));
  }

  /** Applies the node that made it to its rebuilt inputs. */
  #through(value: Value): Value | null {
    const node = nodeOf(value);
    if (!node || definitionOf(node)?.body) return null;
    const made = node.inputs.map((input) => input && this.#of(input));
    // Constants follow the other inputs, or come first if there are no others.
    const computed = made.map((each, k) => (each && !constantOf(nth(node.inputs, k) ?? each) ? each : null));
    const chosen = computed.some((each) => each !== null) ? computed : made;
    if (chosen.every((each) => each === null)) return null;
    const again = this.#again(
      node,
      node.inputs.map((input, k) => chosen[k] ?? input),
    );
    const found = again?.[node.outputs.indexOf(value)];
    return found && this.#isOf(found, value) ? found : null;
  }

  #again({ op, domain, attributes, outputs }: Node, inputs: readonly (Value | null)[]): readonly Value[] | null {
    const names = outputs.map(({ name }) => name);
    const call = { op, domain, name: names[0] ?? op, inputs, attributes, outputs: outputs.length, outputNames: names };
    try {
      const shapes = outputs.map(({ shape }) => shape.map(factorOf));
      const adapted = this.adapt(call, shapes);
      return build.node(adapted.op, adapted.inputs, adapted.attributes, outputs.length, { domain }).outputs;
    } catch (error) {
      if (!(error instanceof PergradError) || isMissing(error)) throw error;
      return null;
    }
  }

  /** Whether it has the same shape, for N samples. */
  #isOf(made: Value, value: Value): boolean {
    const own = (dim: Dim) => (isBatch(dim) ? dim.perSample * this.size : dim);
    return made.shape.length === value.shape.length && made.shape.every((dim, axis) => own(dim) === value.shape[axis]);
  }
}
