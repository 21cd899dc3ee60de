/** The steps of a loop over the samples, and what each step reads of tensors of all samples. */
import type { BatchMultiple } from "../../../graph/dim.js";
import { leaf, type Value } from "../../../graph/value.js";
import { nodesBefore } from "../../../graph/walk.js";

/** The steps of a loop, one for each of the `rows`. */
export interface Steps {
  readonly rows: BatchMultiple;
  /** The number of the step: an int64 scalar. */
  readonly index: Value;
  readonly parts: PartsOfSteps;
}

/** The parts that a step reads of tensors of all samples, and these parts of all steps, stacked: `[rows, ...]`. */
export class PartsOfSteps {
  readonly stacked = new Map<Value, Value>();
  readonly #known = new Map<string, Value>();
  readonly #numbers = new Map<Value, number>();

  /** The part of `stacked` that each step reads. */
  of(stacked: Value): Value {
    const { dtype, shape, name } = stacked;
    const part = leaf(name, { dtype, shape: shape.slice(1) }, { kind: "input" });
    this.stacked.set(part, stacked);
    return part;
  }

  /** The earlier part, if the same rows were read before. */
  rows(data: Value, place: readonly number[], make: () => Value): Value {
    const number = this.#numbers.get(data) ?? this.#numbers.size;
    this.#numbers.set(data, number);
    const key = [number, ...place].join();
    const part = this.#known.get(key) ?? this.of(make());
    this.#known.set(key, part);
    return part;
  }
}

/** Whether a value may differ from step to step. */
export function dependsOn(value: Value, { index, parts }: Steps): boolean {
  const own = (each: Value) => each === index || parts.stacked.has(each);
  return own(value) || nodesBefore([value]).some(({ inputs }) => inputs.some((input) => input !== null && own(input)));
}
