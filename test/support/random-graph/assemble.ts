/** Draws a model, node by node: data and parameters flow into each node, and all that comes out into the loss. */
import { SampleAxes } from "../../../src/analysis/sample-axes.js";
import { type Dim, factorOf, N } from "../../../src/graph/dim.js";
import type { SampleAxis } from "../../../src/graph/sample-axis.js";
import type { Value } from "../../../src/graph/value.js";
import { build } from "../../../src/ops/registry.js";
import { isFloat, sizeOf } from "../../../src/tensor/tensor.js";
import type { OpCase, OpInput } from "../op-checks.js";
import { folded, mixed, openAxis, placed, rows, sampleDims, sharedBridge } from "./bridge.js";
import { Choices } from "./choices.js";
import { type Drawn, Leaves } from "./leaves.js";
import { isFloatInput, nodeOf, type Placement, placementFor, placeOf } from "./placement.js";

/** One operator of a random graph, with the choices about it. */
export interface Step {
  readonly test: OpCase;
  readonly seed: number;
  /** Smooth everywhere, so that its inputs may go anywhere. */
  readonly smooth: boolean;
  /** Its integers and booleans say where elements go, and may not be exchanged among samples. */
  readonly fixed: boolean;
}

export interface Recipe {
  readonly samples: number;
  readonly seed: number;
  readonly steps: readonly Step[];
}

/** A value, and by how much it follows what went in: the largest product of the swings on its way. */
interface Entry {
  readonly value: Value;
  readonly gain: number;
}

/**
 * Inputs keep their drawn values, which lie off kinks, jumps and the ends of domains, and only swing about
 * them: by less than what keeps them off, or far where the operator is smooth.
 */
const [narrow, wide] = [0.01, 0.6];
/** Beyond this a value follows its parameters too little for differences to see. */
const leastGain = 1e-3;

class Assembly {
  readonly leaves: Leaves;
  readonly #data: Entry[] = [];
  readonly #shared: Entry[] = [];
  #choices: Choices;

  constructor({ samples, seed }: Recipe) {
    this.leaves = new Leaves(samples);
    this.#choices = new Choices(seed);
    for (let k = 0; k < 2; k++) this.#shared.push({ value: this.#newParameter(this.#choices.dims(0, 3)), gain: 1 });
    const x = this.#newData(this.#choices.dims(0, 3));
    const y = mixed(this.#rows(x), 1 + this.#choices.index(4), this.#weights, this.#choices);
    this.#data.push({ value: build.mul(y, this.#weights([factorOf(y.shape[1] as Dim)])), gain: 1 });
  }

  #at(value: Value): SampleAxis | null {
    return new SampleAxes(this.leaves.axes).of(value);
  }

  #rows(value: Value): Value {
    const at = this.#at(value);
    if (!at) throw new Error(`the data "${value.name}" has no samples`);
    return rows(value, at);
  }

  #newParameter(dims: readonly number[]): Value {
    return this.leaves.parameter(dims, this.#choices.numbers(sizeOf(dims), 1.2));
  }

  /** Random data of these dimensions; the sample axis anywhere. */
  #newData(dims: readonly number[]): Value {
    const parts = Array.from({ length: this.leaves.samples }, () => this.#choices.numbers(sizeOf(dims), 1.2));
    return this.leaves.input(dims, this.#choices.index(dims.length + 1), parts);
  }

  /** Weights of a layer: a parameter of their own, or made from one that is in use, so that it is tied. */
  readonly #weights = (dims: readonly number[]): Value => {
    if (this.#choices.chance(0.4)) return this.#newParameter(dims);
    const { value } = this.#choices.of(this.#shared.filter(({ gain }) => gain === 1));
    return this.#bounded(sharedBridge(value, dims, this.#choices));
  };

  /** In -1..1, and not all near the ends. */
  #bounded(value: Value): Value {
    return build.tanh(build.scale(value, 1 / this.leaves.largest(value)));
  }

  #source(entries: readonly Entry[]): Entry {
    return this.#choices.of(entries.filter(({ gain }) => gain >= leastGain));
  }

  /** The drawn values plus a swing of what the parameters alone gave; or a parameter itself. */
  #sharedInput(input: OpInput, swing: number): Entry {
    if (this.#choices.chance(0.4)) return { value: this.leaves.parameter(input.dims, input.data), gain: 1 };
    const { value, gain } = this.#source(this.#shared);
    const moved = this.#bounded(sharedBridge(value, input.dims, this.#choices));
    const centre = this.leaves.constant(input.dims, input.data);
    return { value: build.add(centre, build.scale(moved, swing)), gain: gain * swing };
  }

  /** Each sample's own drawn values plus a swing of what the graph has computed so far. */
  #dataInput(input: OpInput, placement: Placement, swing: number): Entry {
    const place = placeOf(input, placement);
    const centre = this.#drawnData(input, placement, false);
    const { value, gain } = this.#source(this.#data);
    const size = sizeOf(sampleDims(place));
    if (size === 0) return { value: centre, gain: 0 };
    const moved = this.#bounded(mixed(this.#rows(value), size, this.#weights, this.#choices));
    return { value: build.add(centre, build.scale(placed(moved, place), swing)), gain: gain * swing };
  }

  /** The drawn values, each sample's moved on by some places unless `fixed`. */
  #drawnData(input: OpInput, placement: Placement, fixed: boolean): Value {
    const place = placeOf(input, placement);
    const dims = sampleDims(place);
    const parts = Array.from({ length: this.leaves.samples }, (_, n) =>
      Array.from({ length: sizeOf(dims) }, (_, i) => input.data[(i + (fixed ? 0 : n)) % input.data.length] ?? 0.413),
    );
    return folded(this.leaves.input(dims, openAxis(place), parts, input.dtype), place);
  }

  #input(input: OpInput, k: number, step: Step, placement: Placement | null): Entry {
    const none = (value: Value): Entry => ({ value, gain: 0 });
    if (input.constant) return none(this.leaves.constant(input.dims, input.data, input.dtype));
    const carries = placement?.carriers.has(k) === true;
    if (isFloatInput(input)) {
      const swing = step.smooth ? wide : narrow;
      return carries ? this.#dataInput(input, placement, swing) : this.#sharedInput(input, swing);
    }
    if (carries) return none(this.#drawnData(input, placement, step.fixed));
    const dtype = input.dtype ?? "float32";
    if (this.#choices.chance(0.5)) return none(this.leaves.constant(input.dims, input.data, dtype));
    return none(this.leaves.shared(input.dims, input.data, dtype));
  }

  add(step: Step): void {
    this.#choices = new Choices(step.seed);
    const constant = (input: OpInput) => this.leaves.constant(input.dims, input.data, input.dtype);
    const placement = this.#choices.chance(0.2) ? null : placementFor(step.test, this.#choices, constant);
    const inputs = step.test.inputs.map((input, k) => input && this.#input(input, k, step, placement));
    const node = nodeOf(
      step.test,
      inputs.map((input) => input?.value ?? null),
    );
    const gain = Math.max(0, ...inputs.map((input) => input?.gain ?? 0));
    for (const output of node.outputs) this.#keep(output, gain);
  }

  #keep(output: Value, gain: number): void {
    const at = this.#at(output);
    const size = sizeOf(output.shape.map(factorOf));
    if (size === 0) return;
    const value = isFloat(output.dtype) ? output : build.cast(output, "float32");
    (at ? this.#data : this.#shared).push({ value, gain: isFloat(output.dtype) ? gain : 0 });
  }

  /** All that was computed, each with weights of its own, and as large as it follows the parameters. */
  losses(): Value {
    this.#choices = new Choices(this.#data.length + 7 * this.#shared.length);
    const size = (value: Value) => factorOf(value.shape[1] as Dim);
    const weigh = ({ gain }: Entry, value: Value) =>
      build.scale(value, 1 / ((gain || 1) * this.leaves.largest(value) * Math.sqrt(size(value))));
    const data = this.#data.map((entry) => {
      const each = weigh(entry, this.#rows(entry.value));
      const weights = build.floats(this.#choices.numbers(size(each)), [size(each), 1], each);
      return build.matmul(each, weights);
    });
    const shared = this.#shared.map((entry) => {
      const flat = build.reshape(entry.value, [1, sizeOf(entry.value.shape.map(factorOf))]);
      const x = this.#newData([size(flat)]);
      const each = weigh(entry, build.mul(this.#rows(x), flat));
      return build.sum(each, [1], true);
    });
    const terms = build.concat([...data, ...shared], 1);
    return build.reshape(build.sum(terms, [1]), [N]);
  }
}

/** The model of a recipe, with data for it. */
export function assemble(recipe: Recipe): Drawn {
  const assembly = new Assembly(recipe);
  for (const step of recipe.steps) assembly.add(step);
  return assembly.leaves.drawn(assembly.losses());
}
