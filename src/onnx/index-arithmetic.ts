/**
 * Integers that are known but for the number of samples, or for the step of a loop over the samples: where each
 * sample's rows begin and end. They tell that a step reads nothing but its own sample's rows.
 */
import { PergradError } from "../errors.js";
import { add, type BatchMultiple, type Dim, divide, isBatch, multiply, N, sameDim } from "../graph/dim.js";
import { constantValue, dimsValue, leaf, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import type { Build } from "../ops/build.js";
import { intAttribute, normalAxis, unknownShape } from "../ops/checks.js";
import type { FileNode } from "./file-node.js";

/** start + step * k, for k from 0 to `rows` + `more` - 1. */
interface Progression {
  readonly start: number;
  readonly step: number;
  readonly rows: BatchMultiple;
  readonly more: number;
}

/** scale * s + offset, of one element, where s is the number of a step. */
interface StepIndex {
  readonly scale: number;
  readonly offset: number;
}

/** The steps of a loop, one for each of `rows`. */
export interface Steps {
  readonly rows: BatchMultiple;
  /** The number of the step: an int64 scalar. */
  readonly index: Value;
  /** What a step reads of a tensor of all samples, and those parts of all steps, stacked: `[rows, ...]`. */
  readonly parts: Map<Value, Value>;
}

export class IndexArithmetic {
  readonly #progressions = new Map<Value, Progression>();
  /** Progressions whose number of elements no shape states, such as N + 1. */
  readonly #shapeless = new Set<Value>();
  readonly #stepIndices = new Map<Value, StepIndex>();
  readonly #steps: Steps[] = [];

  /** @param fixed the number of samples that the file was written for, where it fixes one */
  constructor(
    readonly build: Build,
    readonly fixed?: number,
  ) {}

  /** What `body` gives, in which `steps.index` counts the steps of a loop. */
  within<T>(steps: Steps, body: () => T): T {
    this.#steps.push(steps);
    this.#stepIndices.set(steps.index, { scale: 1, offset: 0 });
    try {
      return body();
    } finally {
      this.#steps.pop();
    }
  }

  /** The outputs of a node of the file: those that `make` gives, unless the node picks a step's own rows. */
  follow(node: FileNode, make: () => readonly Value[]): readonly Value[] {
    if (node.domain !== "") return make();
    const part = this.#ownPart(node);
    if (part) return [part];
    const progression = this.#progression(node);
    const outputs = progression ? [this.#made(node, progression, make)] : this.#plain(node, make);
    const index = this.#stepIndex(node);
    if (index && outputs[0]) this.#stepIndices.set(outputs[0], index);
    return outputs;
  }

  #plain(node: FileNode, make: () => readonly Value[]): readonly Value[] {
    const shapeless = node.inputs.find((input) => input && this.#shapeless.has(input));
    if (!shapeless) return make();
    const { rows, more } = this.#progressions.get(shapeless) as Progression;
    if (node.op === "Shape" && more === 0 && Object.keys(node.attributes).length === 0) return [dimsValue([rows])];
    const gathered = node.op === "Gather" && this.#stepIndex(node);
    if (gathered) return [this.#asTensor(gathered)];
    throw unknownShape(node, `its input "${shapeless.name}" has a length that is no multiple of the number of samples`);
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

  /** Of a file that fixes its batch, a list of numbers may be one too: as many as there are samples, or one more. */
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

  /** The elements themselves, where there is one for each row. */
  #range({ start, step, rows }: Progression): Value {
    const { build } = this;
    const counted = build.op("Range", [int(0), dimsValue([rows], true), int(1)]);
    const scaled = step === 1 ? counted : build.mul(counted, int(step));
    return start === 0 ? scaled : build.add(scaled, int(start));
  }

  #asTensor({ scale, offset }: StepIndex): Value {
    const { build } = this;
    const { index } = this.#steps.at(-1) as Steps;
    const scaled = scale === 1 ? index : build.mul(index, int(scale));
    return offset === 0 ? scaled : build.add(scaled, int(offset));
  }

  #progression(node: FileNode): Progression | undefined {
    const [first, second] = node.inputs;
    const given = first ? this.#progressionOf(first) : undefined;
    switch (node.op) {
      case "Range":
        return rangeOf(node);
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
      default:
        return undefined;
    }
  }

  /** A progression, and a number that is added to it, taken from it, or multiplied with it. */
  #shifted({ op, inputs }: FileNode): Progression | undefined {
    const place = inputs.findIndex((input) => input && this.#progressions.has(input));
    const given = inputs[place] && this.#progressions.get(inputs[place]);
    const by = numberOf(inputs[1 - place]);
    if (!given || by === undefined || (op === "Sub" && place === 1)) return undefined;
    const scale = op === "Mul" ? by : 1;
    const offset = op === "Mul" ? 0 : op === "Sub" ? -by : by;
    return { ...given, start: given.start * scale + offset, step: given.step * scale };
  }

  #stepIndex(node: FileNode): StepIndex | undefined {
    if (this.#steps.length === 0) return undefined;
    const [first, second] = node.inputs;
    const given = first ? this.#stepIndices.get(first) : undefined;
    switch (node.op) {
      case "Gather":
        return this.#elementAt(first, second);
      case "Cast":
      case "Identity":
      case "Squeeze":
      case "Unsqueeze":
      case "Reshape":
        return given;
      case "Add":
      case "Sub":
      case "Mul":
        return this.#combined(node);
      default:
        return undefined;
    }
  }

  #elementAt(list: Value | null | undefined, at: Value | null | undefined): StepIndex | undefined {
    const progression = list ? this.#progressionOf(list) : undefined;
    const index = at ? this.#stepIndices.get(at) : undefined;
    const steps = this.#steps.at(-1);
    if (!progression || !index || !steps || index.scale !== 1) return undefined;
    // There is one element for each step, and `more` beyond.
    const inside = sameDim(progression.rows, steps.rows) && index.offset >= 0 && index.offset <= progression.more;
    if (!inside) return undefined;
    return { scale: progression.step, offset: progression.start + progression.step * index.offset };
  }

  #combined({ op, inputs }: FileNode): StepIndex | undefined {
    const [a, b] = inputs.map((input): StepIndex | undefined => {
      const number = numberOf(input);
      if (number !== undefined) return { scale: 0, offset: number };
      return input ? this.#stepIndices.get(input) : undefined;
    });
    if (!a || !b) return undefined;
    if (op === "Mul") {
      const [fixed, other] = a.scale === 0 ? [a, b] : [b, a];
      if (fixed.scale !== 0) return undefined;
      return { scale: other.scale * fixed.offset, offset: other.offset * fixed.offset };
    }
    const sign = op === "Sub" ? -1 : 1;
    return { scale: a.scale + sign * b.scale, offset: a.offset + sign * b.offset };
  }

  /** What a Gather or a Slice takes of a tensor, where that is the step's own rows. */
  #ownPart(node: FileNode): Value | undefined {
    const steps = this.#steps.at(-1);
    const data = node.inputs[0];
    if (!steps || !data || this.#progressions.has(data)) return undefined;
    if (node.op === "Gather") return this.#ownRow(node, data, steps);
    return node.op === "Slice" ? this.#ownRows(node, data, steps) : undefined;
  }

  #ownRow(node: FileNode, data: Value, steps: Steps): Value | undefined {
    const at = node.inputs[1];
    const index = at ? this.#stepIndices.get(at) : undefined;
    if (!at || !index || data.shape.length === 0) return undefined;
    const axis = normalAxis(node, intAttribute(node, "axis", 0), data.shape.length);
    const rows = this.#rowsOf(data, axis, index, 1, steps);
    if (!rows) return undefined;
    const { build } = this;
    const part = build.squeeze(rows, [axis + 1]);
    const places = at.shape.map((_, k) => axis + 1 + k);
    return partOf(steps, places.length === 0 ? part : build.unsqueeze(part, places));
  }

  #ownRows(node: FileNode, data: Value, steps: Steps): Value | undefined {
    const [, starts, ends, axes, strides] = node.inputs;
    const [start, end] = [starts, ends].map((value) => (value ? this.#stepIndices.get(value) : undefined));
    const [axis, more] = axes ? (axes.known ?? []) : [0];
    if (!start || !end || axis === undefined || isBatch(axis) || more !== undefined) return undefined;
    if (starts?.shape.length !== 1 || starts.shape[0] !== 1) return undefined;
    if (strides && numberOf(strides) !== 1) return undefined;
    if (start.scale !== end.scale) return undefined;
    const rows = this.#rowsOf(data, normalAxis(node, axis, data.shape.length), start, end.offset - start.offset, steps);
    return rows && partOf(steps, rows);
  }

  /**
   * `[rows, ...]`: for each step, `count` rows of `data` along an axis, from `index` on. Undefined where these are
   * not the step's own, or where the data differs from step to step already.
   */
  #rowsOf(data: Value, axis: number, index: StepIndex, count: number, steps: Steps): Value | undefined {
    const size = data.shape[axis] as Dim;
    const each = divide(size, steps.rows);
    if (each === undefined || isBatch(each) || !isBatch(size) || index.scale !== each) return undefined;
    if (index.offset < 0 || count < 0 || index.offset + count > each || this.#dependsOn(data, steps)) return undefined;
    const { build } = this;
    const { shape } = data;
    const split = build.reshape(data, [...shape.slice(0, axis), steps.rows, each, ...shape.slice(axis + 1)]);
    const first = build.moveAxis(split, axis, 0);
    const whole = index.offset === 0 && count === each;
    return whole ? first : build.slice(first, axis + 1, index.offset, index.offset + count);
  }

  #dependsOn(data: Value, { index, parts }: Steps): boolean {
    const own = (value: Value) => value === index || parts.has(value);
    return own(data) || nodesBefore([data]).some(({ inputs }) => inputs.some((input) => input !== null && own(input)));
  }
}

/** What each step reads of `stacked`: `[rows, ...]`. */
export function partOf({ parts }: Steps, stacked: Value): Value {
  const { dtype, shape, name } = stacked;
  const part = leaf(name, { dtype, shape: shape.slice(1) }, { kind: "input" });
  parts.set(part, stacked);
  return part;
}

/** The one output, or null where no shape states its length. */
function representable(make: () => readonly Value[]): Value | null {
  try {
    return make()[0] ?? null;
  } catch (error) {
    if (error instanceof PergradError) return null;
    throw error;
  }
}

function int(value: number): Value {
  return constantValue({ dtype: "int64", dims: [], data: BigInt64Array.of(BigInt(value)) });
}

/** One plain integer. */
function numberOf(value: Value | null | undefined): number | undefined {
  const [element, more] = value?.known ?? [];
  return element === undefined || isBatch(element) || more !== undefined ? undefined : element;
}

function oneDim(value: Value | null | undefined): Dim | undefined {
  const [element, more] = value?.known ?? [];
  return more === undefined ? element : undefined;
}

function rangeOf({ inputs }: FileNode): Progression | undefined {
  const [start, limit, step] = [numberOf(inputs[0]), oneDim(inputs[1]), numberOf(inputs[2])];
  if (start === undefined || step === undefined || !isBatch(limit) || step < 1) return undefined;
  if (start !== 0) return undefined;
  const rows = divide(limit, step);
  return isBatch(rows) ? { start, step, rows, more: 0 } : undefined;
}

/** With one more element at the end, which goes on as before. */
function extended(list: Progression, element: Value): Progression | undefined {
  const next = multiply(list.rows, list.step);
  const end = next && add(next, list.start + list.step * list.more);
  const given = oneDim(element);
  const fits = end !== undefined && given !== undefined && sameDim(given, end);
  return fits && element.shape.length === 1 ? { ...list, more: list.more + 1 } : undefined;
}

/** Without its first elements. */
function tailOf(list: Progression, { inputs }: FileNode): Progression | undefined {
  const [, starts, ends, , strides] = inputs;
  const [from, to, step] = [numberOf(starts), numberOf(ends), strides ? numberOf(strides) : 1];
  if (from === undefined || from < 0 || to === undefined || to < 2 ** 31 - 1 || step !== 1) return undefined;
  if (from > list.more) return undefined;
  return { ...list, start: list.start + list.step * from, more: list.more - from };
}
