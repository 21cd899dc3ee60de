/**
 * Follows integers that are known except for the number of samples, or for the number of a step of a loop over the
 * samples: they say where each sample's rows begin and end. They show that a step reads only its own sample's rows.
 */

import type { PergradError } from "../../../errors.js";
import { type BatchMultiple, divide, isBatch, N } from "../../../graph/dim.js";
import { dimsValue, leaf, type Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { intAttribute, normalAxis, part, unknownShape } from "../../../ops/checks.js";
import { standardDefinition } from "../../../ops/registry.js";
import { nth, present } from "../../../present.js";
import type { FileNode } from "../file-node.js";
import {
  type Affine,
  affineOfDim,
  atLastStep,
  combined,
  elementOf,
  extended,
  inLastStep,
  isConstant,
  lastOf,
  numberOf,
  oneDim,
  type Progression,
  rangeOf,
  shifted,
  tailOf,
} from "./affine.js";
import { boolean, int, isArithmetic, onesOf, representable } from "./integer-nodes.js";
import { dependsOn, type Steps } from "./steps.js";

/** See `IndexArithmetic`. */
export function indexArithmetic(...given: ConstructorParameters<typeof IndexArithmetic>): IndexArithmetic {
  return new IndexArithmetic(...given);
}

export class IndexArithmetic {
  readonly #progressions = new Map<Value, Progression>();
  /** Progressions whose number of elements is not stated by any shape, such as N + 1. */
  readonly #shapeless = new Set<Value>();
  /** Numbers of elements that are not multiples of N: only this arithmetic knows them. */
  readonly #unstated = new Set<Value>();
  readonly #affine = new Map<Value, Affine>();
  /** Conditions that hold only in the last step. */
  readonly #last = new Set<Value>();
  /** Conditions that the number of a step is below the number of samples. */
  readonly #below = new Map<Value, { readonly index: Affine; readonly limit: BatchMultiple }>();
  readonly #steps: Steps[] = [];
  #inLastStep = false;

  /** @param fixed the number of samples that the file was written for, if it fixes that number */
  constructor(
    readonly build: Build,
    readonly fixed?: number,
  ) {}

  /** Returns the result of `body`, inside which `steps.index` counts the steps of a loop. */
  within<T>(steps: Steps, body: () => T): T {
    this.#steps.push(steps);
    this.#affine.set(steps.index, { steps: 1, samples: 0, offset: 0 });
    try {
      return body();
    } finally {
      this.#steps.pop();
    }
  }

  /** Returns the result of `branch`, which runs only in the last step. */
  lastStep<T>(branch: () => T): T {
    const before = this.#inLastStep;
    this.#inLastStep = true;
    try {
      return branch();
    } finally {
      this.#inLastStep = before;
    }
  }

  /** What is known about an integer in the innermost loop. */
  indexOf(value: Value): Affine | undefined {
    return this.#affineOf(value);
  }

  /** Whether the node that is being read is inside such a loop. */
  get looping(): boolean {
    return this.#steps.length > 0;
  }

  /** Whether a condition holds in the last step of the innermost loop, and in no other step. */
  isLastStep(condition: Value): boolean {
    return this.#steps.length > 0 && this.#last.has(condition);
  }

  /** The number of the step that a condition compares, and the limit that it must stay below. */
  boundOf(condition: Value): { readonly index: Affine; readonly limit: BatchMultiple } | undefined {
    return this.#below.get(condition);
  }

  /** Whether a value may differ from step to step of the innermost loop. */
  dependsOnStep(value: Value): boolean {
    const steps = this.#steps.at(-1);
    return steps !== undefined && dependsOn(value, steps);
  }

  /** The rows of `data` along axis 0 at consecutive positions, if they are the step's own. */
  ownRowsAt(data: Value, positions: readonly Value[]): Value | undefined {
    const steps = this.#steps.at(-1);
    const places = positions.map((position) => this.#affineOf(position));
    const [first] = places;
    if (!steps || !first) return undefined;
    const inOrder = places.every((place, k) => place?.steps === first.steps && place.offset === first.offset + k);
    return inOrder ? this.#rowsOf(data, 0, first, positions.length, steps) : undefined;
  }

  /** The outputs of a node of the file: those that `make` returns, unless the node picks a step's own rows. */
  follow(node: FileNode, make: () => readonly Value[]): readonly Value[] {
    if (node.domain !== "") return make();
    const part = this.#ownPart(node);
    if (part) return [part];
    const settled = this.#comparison(node);
    if (settled !== undefined) return [boolean(settled, node)];
    const index = this.#index(node);
    const number = index && this.#settled(node, index);
    if (number) return [number];
    const progression = this.#progression(node);
    const outputs = progression ? [this.#made(node, progression, make)] : this.#plain(node, index, make);
    if (index && outputs[0]) this.#affine.set(outputs[0], index);
    if (outputs[0]) this.#condition(node, outputs[0]);
    return outputs;
  }

  /** The result of a node that computes the same number in every step, or a multiple of N that no shape states. */
  #settled(node: FileNode, index: Affine): Value | undefined {
    if (!isArithmetic(node)) return undefined;
    if (this.#steps.length > 0 && isConstant(index)) return int(this.build, index.offset, node);
    const { steps, samples, offset } = index;
    const multiple = steps === 0 && offset === 0 && samples > 0;
    if (!multiple || !node.inputs.some((input) => input && this.#unstated.has(input))) return undefined;
    return dimsValue([{ perSample: samples }], onesOf(node).length === 0);
  }

  #plain(node: FileNode, index: Affine | undefined, make: () => readonly Value[]): readonly Value[] {
    if (index && node.op === "Slice") return [this.#asTensor(index, [1])];
    const shapeless = node.inputs.find((input) => input && this.#shapeless.has(input));
    if (!shapeless) return this.#counting(node, index, make);
    const { rows, more } = present(this.#progressions.get(shapeless));
    if (node.op === "Shape" && more === 0 && Object.keys(node.attributes).length === 0) return [dimsValue([rows])];
    if (node.op === "Size") return [this.#unstatedNumber(leaf("", { dtype: "int64", shape: [] }, { kind: "input" }))];
    if (index && index.samples === 0) return [this.#asTensor(index, [])];
    throw this.#noMultiple(node, shapeless);
  }

  #counting(node: FileNode, index: Affine | undefined, make: () => readonly Value[]): readonly Value[] {
    const unstated = node.inputs.find((input) => input && this.#unstated.has(input));
    if (!unstated) return make();
    if (!index) throw this.#noMultiple(node, unstated);
    return make().map((value) => this.#unstatedNumber(value));
  }

  #unstatedNumber(value: Value): Value {
    this.#unstated.add(value);
    return value;
  }

  #noMultiple(node: FileNode, shapeless: Value): PergradError {
    return unknownShape(
      part(node, `input "${shapeless.name}"`),
      "has a length that is no multiple of the number of samples",
      "export the model with a symbolic batch axis",
    );
  }

  #made(node: FileNode, progression: Progression, make: () => readonly Value[]): Value {
    const derived = node.inputs.some((input) => input && this.#shapeless.has(input));
    const range = () => [this.#range(progression)];
    const value = progression.more === 0 ? representable(derived ? range : make) : null;
    const found =
      value ?? leaf(node.outputNames[0] ?? "", { dtype: "int64", shape: [progression.rows] }, { kind: "input" });
    this.#progressions.set(found, progression);
    if (!value) this.#shapeless.add(found);
    return found;
  }

  /** In a file that fixes its batch, a list of numbers may be one too: it has one element per sample, or one more. */
  #progressionOf(value: Value): Progression | undefined {
    const found = this.#progressions.get(value);
    const { known = [], shape } = value;
    const more = known.length - (this.fixed ?? Number.NaN);
    if (found || shape.length !== 1 || !(more === 0 || more === 1) || known.length < 2) return found;
    const [start, second] = known;
    if (start === undefined || second === undefined || isBatch(start) || isBatch(second)) return undefined;
    const step = second - start;
    return known.every((element, k) => element === start + step * k) ? { start, step, rows: N, more } : undefined;
  }

  /** The elements themselves, if there is one for each row. */
  #range({ start, step, rows }: Progression): Value {
    const { build } = this;
    const counted = build.op("Range", [build.ints([0], []), dimsValue([rows], true), build.ints([1], [])]);
    const scaled = step === 1 ? counted : build.mul(counted, build.ints([step], []));
    return start === 0 ? scaled : build.add(scaled, build.ints([start], []));
  }

  #asTensor({ steps, offset }: Affine, shape: readonly number[]): Value {
    const { build } = this;
    const { index } = present(this.#steps.at(-1));
    const scaled = steps === 1 ? index : build.mul(index, build.ints([steps], []));
    return build.reshape(offset === 0 ? scaled : build.add(scaled, build.ints([offset], [])), shape);
  }

  #progression(node: FileNode): Progression | undefined {
    const [first, second] = node.inputs;
    const given = first ? this.#progressionOf(first) : undefined;
    switch (node.op) {
      case "Range":
        return rangeOf(node, this.#affineOf(second));
      case "Cast":
      case "Identity":
        return given;
      case "Mul":
      case "Add":
      case "Sub":
        return this.#shifted(node);
      case "Concat":
        return given && node.inputs.length === 2 && second ? extended(given, second) : undefined;
      case "Slice":
        return given && tailOf(given, node);
      case "ScatterElements":
        return given && this.#withLast(given, node);
      default:
        return undefined;
    }
  }

  /** The same list if its last element is written a second time. */
  #withLast(given: Progression, { inputs: [, place, update] }: FileNode): Progression | undefined {
    const last = lastOf(given);
    const same = this.#affineOf(update);
    const known = same?.steps === 0 && same.samples === last.samples && same.offset === last.offset;
    return known && numberOf(place) === -1 ? given : undefined;
  }

  /** A progression plus, minus or times a number. */
  #shifted({ op, inputs }: FileNode): Progression | undefined {
    const place = inputs.findIndex((input) => input && this.#progressions.has(input));
    const given = inputs[place] && this.#progressions.get(inputs[place]);
    const by = numberOf(inputs[1 - place]);
    return given && by !== undefined && !(op === "Sub" && place === 1) ? shifted(given, op, by) : undefined;
  }

  /** One integer. In a branch that runs only in the last step, N is the number of the step plus one. */
  #affineOf(value: Value | null | undefined): Affine | undefined {
    const dim = oneDim(value);
    const found = dim === undefined ? value && this.#affine.get(value) : affineOfDim(dim);
    const steps = this.#steps.at(-1);
    return found && steps && this.#inLastStep ? inLastStep(found, steps.rows) : (found ?? undefined);
  }

  #index(node: FileNode): Affine | undefined {
    const [first, second] = node.inputs;
    const steps = this.#steps.at(-1);
    const given = first && this.#shapeless.has(first) ? this.#progressions.get(first) : undefined;
    switch (node.op) {
      case "Size":
        return given && { steps: 0, samples: given.rows.perSample, offset: given.more };
      case "CastLike":
        return second?.dtype === "int64" ? this.#affineOf(first) : undefined;
      case "Cast":
      case "Identity":
      case "Squeeze":
      case "Unsqueeze":
      case "Reshape":
        return this.#affineOf(first);
      case "Add":
      case "Sub":
      case "Mul": {
        const [a, b] = [this.#affineOf(first), this.#affineOf(second)];
        const result = a && b && combined(node.op, a, b);
        return result && steps && this.#numberedLast ? atLastStep(result, steps.rows, this.#numberedLast) : result;
      }
      case "Gather": {
        const [list, at] = [first ? this.#progressionOf(first) : undefined, this.#affineOf(second)];
        return list && at && steps ? elementOf(list, at, steps.rows) : undefined;
      }
      case "Slice":
        return this.#oneElement(node);
      default:
        return undefined;
    }
  }

  /** A Slice that takes the single element of a list that belongs to a step. */
  #oneElement({ inputs }: FileNode): Affine | undefined {
    const [data, starts, ends] = inputs;
    const list = data ? this.#progressionOf(data) : undefined;
    const [start, end] = [this.#affineOf(starts), this.#affineOf(ends)];
    const steps = this.#steps.at(-1);
    if (!list || !start || !end || !steps || start.steps !== end.steps || end.offset - start.offset !== 1)
      return undefined;
    return elementOf(list, start, steps.rows);
  }

  /** The result of a comparison of two integers, if it is the same in every step and for every number of samples. */
  #comparison({ op, inputs }: FileNode): boolean | undefined {
    const compare = standardDefinition(op)?.ofDifference;
    const [a, b] = [this.#affineOf(inputs[0]), this.#affineOf(inputs[1])];
    if (!compare || !a || !b || this.#steps.length === 0) return undefined;
    const difference = combined("Sub", a, b);
    return difference && isConstant(difference) ? compare(difference.offset) : undefined;
  }

  /** Records conditions on the number of a step. */
  #condition({ op, inputs }: FileNode, value: Value): void {
    const steps = this.#steps.at(-1);
    const [same] = op === "Identity" ? inputs : [];
    const known = same && this.#below.get(same);
    if (known) this.#below.set(value, known);
    if (same && this.#last.has(same)) this.#last.add(value);
    const [a, b] = [this.#affineOf(inputs[0]), this.#affineOf(inputs[1])];
    if (!steps || !a || !b) return;
    const own = a.samples === 0 && a.steps === 1;
    const more = this.#beyondAll(b, steps.rows);
    if (op === "Equal" && own && a.offset === 0 && more === -1) this.#last.add(value);
    if (op === "Less" && own && more === 0) this.#below.set(value, { index: a, limit: steps.rows });
  }

  /** By how much an integer exceeds the number of steps; a file that fixes its batch may hold this as a plain number. */
  #beyondAll({ steps, samples, offset }: Affine, { perSample }: BatchMultiple): number | undefined {
    if (steps !== 0) return undefined;
    if (samples === perSample) return offset;
    return samples === 0 && this.fixed !== undefined ? offset - perSample * this.fixed : undefined;
  }

  /** The number of samples of a file that fixes it, in a branch that runs only in the last step. */
  get #numberedLast(): number | undefined {
    return this.#inLastStep ? this.fixed : undefined;
  }

  /** The part of a tensor that a Gather or a Slice takes, if it is the step's own rows. */
  #ownPart(node: FileNode): Value | undefined {
    const steps = this.#steps.at(-1);
    const data = node.inputs[0];
    if (!steps || !data || this.#progressions.has(data)) return undefined;
    if (node.op === "Gather") return this.#ownRow(node, data, steps);
    return node.op === "Slice" ? this.#ownRows(node, data, steps) : undefined;
  }

  #ownRow(node: FileNode, data: Value, steps: Steps): Value | undefined {
    const at = node.inputs[1];
    const index = this.#affineOf(at);
    if (!at || !index || data.shape.length === 0) return undefined;
    const axis = normalAxis(node, intAttribute(node, "axis", 0), data.shape.length);
    const row = this.#rowsOf(data, axis, index, 1, steps);
    if (!row) return undefined;
    const { build } = this;
    const places = at.shape.map((_, k) => axis + k);
    const one = build.squeeze(row, [axis]);
    return places.length === 0 ? one : build.unsqueeze(one, places);
  }

  #ownRows(node: FileNode, data: Value, steps: Steps): Value | undefined {
    const [, starts, ends, axes, strides] = node.inputs;
    const start = this.#affineOf(starts);
    const end = this.#asFar(start, this.#affineOf(ends), steps.rows);
    const axis = axes ? numberOf(axes) : 0;
    if (!start || !end || axis === undefined || start.steps !== end.steps || end.samples !== 0) return undefined;
    if (starts?.shape.length !== 1 || (strides && numberOf(strides) !== 1)) return undefined;
    return this.#rowsOf(data, normalAxis(node, axis, data.shape.length), start, end.offset - start.offset, steps);
  }

  /** In the last step, if the file fixes its batch, an end given as a number is as far from the start as it says. */
  #asFar(start: Affine | undefined, end: Affine | undefined, { perSample }: BatchMultiple): Affine | undefined {
    const samples = this.#numberedLast;
    if (!start || !end || samples === undefined || end.steps !== 0 || end.samples !== 0) return end;
    return { ...end, steps: start.steps, offset: end.offset - start.steps * (perSample * samples - 1) };
  }

  /**
   * `count` rows of `data` along an axis, starting at `index`. Undefined if these are not the step's own, or if the data
   * already differs from step to step.
   */
  #rowsOf(data: Value, axis: number, index: Affine, count: number, steps: Steps): Value | undefined {
    const size = nth(data.shape, axis);
    const each = divide(size, steps.rows);
    if (each === undefined || isBatch(each) || !isBatch(size)) return undefined;
    const own = index.steps === each && index.samples === 0 && index.offset >= 0 && index.offset + count <= each;
    if (!own || count < 0 || dependsOn(data, steps)) return undefined;
    return steps.parts.rows(data, [axis, index.offset, count], () => {
      const { build } = this;
      const { shape } = data;
      const split = build.reshape(data, [...shape.slice(0, axis), steps.rows, each, ...shape.slice(axis + 1)]);
      const first = build.moveAxis(split, axis, 0);
      return count === each ? first : build.slice(first, axis + 1, index.offset, index.offset + count);
    });
  }
}
