/**
 * Finds what the values of a graph may be, given finite data: which of them, and of their derivatives, may be 0,
 * infinite or NaN. A value that depends on parameters alone is assumed finite, and nonzero unless a constant makes it
 * 0: it is the same for all samples, so no sample could deselect a part of it.
 */
import { inputOf, outputOf } from "../graph/operands.js";
import { constantOf, type Node, nodeOf, type Value } from "../graph/value.js";
import { nodesBefore, presentInputs } from "../graph/walk.js";
import type { BodyParts } from "../ops/body-rules.js";
import { alwaysFinite, anything, constantRange, continuous, moved, type Range, unbounded } from "../ops/range.js";
import { build, definitionOf } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { isFloat } from "../tensor/tensor.js";

/** What a value is computed from. */
export type Origin = "constants" | "parameters" | "data";

interface Known {
  readonly range: Range;
  readonly origin: Origin;
}

/** Assumptions under which ranges are found. */
export interface RangeOptions {
  /**
   * Floating-point inputs may hold NaN and infinities. Default false: only those may that the graph itself tests for
   * them.
   */
  readonly notFiniteInputs?: boolean;
}

/** Finds the range of every requested value, once. */
export class Ranges {
  readonly #known = new Map<Value, Known>();
  readonly #tested = new Set<Value>();

  private constructor(
    private readonly options: RangeOptions,
    private readonly outer: Ranges | null = null,
  ) {}

  /** Ranges for the values that lead to `outputs`. */
  static before(outputs: readonly Value[], options: RangeOptions = {}): Ranges {
    const ranges = new Ranges(options);
    for (const node of nodesBefore(outputs)) ranges.#lookForTests(node);
    return ranges;
  }

  /** The same, with the ranges of some values given: those of values that depend on them are found anew. */
  given(ranges: ReadonlyMap<Value, Range>): Ranges {
    const own = new Ranges(this.options, this);
    for (const [value, range] of ranges) own.#known.set(value, { range, origin: "data" });
    return own;
  }

  of(value: Value): Range {
    return this.#find(value).range;
  }

  originOf(value: Value): Origin {
    return this.#find(value).origin;
  }

  /** Notes an input that the graph tests for NaN or infinity: it may hold them. */
  #lookForTests(node: Node): void {
    const { op, inputs } = node;
    if (!definitionOf(node)?.testsFinite && !(op === "Equal" && inputs[0] === inputs[1])) return;
    const source = behindViews(nth(inputs, 0));
    if (source.source.kind === "input") this.#tested.add(source);
  }

  private lookUp(value: Value): Known | undefined {
    return this.#known.get(value) ?? this.outer?.lookUp(value);
  }

  #find(value: Value): Known {
    const found = this.lookUp(value);
    if (found) return found;
    for (const node of nodesBefore([value], { has: (each) => this.lookUp(each) !== undefined })) this.#visit(node);
    const known = this.lookUp(value) ?? this.#leaf(value);
    this.#known.set(value, known);
    return known;
  }

  private isTested(value: Value): boolean {
    return this.#tested.has(value) || (this.outer?.isTested(value) ?? false);
  }

  #leaf(value: Value): Known {
    const { kind } = value.source;
    if (kind === "parameter") return { range: { ...unbounded, zero: false }, origin: "parameters" };
    const tensor = constantOf(value);
    if (tensor) return { range: constantRange(tensor), origin: "constants" };
    if (kind !== "input") return { range: unbounded, origin: "constants" };
    const open = isFloat(value.dtype) && (this.options.notFiniteInputs === true || this.isTested(value));
    return { range: open ? anything : unbounded, origin: "data" };
  }

  #visit(node: Node): void {
    const inputs = presentInputs(node);
    const known = inputs.map((input) => this.#find(input));
    const origin = (["data", "parameters"] as const).find((each) => known.some((input) => input.origin === each));
    const generic = origin === "parameters" && known.every(({ range }) => alwaysFinite(range));
    // Zeros that come from constants, as in a mask, remain possible.
    const zeros = known.some(({ range }, k) => range.zero && isFloat(nth(inputs, k).dtype));
    this.#rangesOf(node).forEach((range, k) => {
      const output = outputOf(node, k);
      const own = isFloat(output.dtype) ? range : { ...range, infinite: false, nan: false };
      const settled = generic ? { ...own, zero: own.zero && zeros, infinite: false, nan: false } : own;
      this.#known.set(output, { range: settled, origin: origin ?? "constants" });
    });
  }

  #rangesOf(node: Node): Range[] {
    const definition = definitionOf(node);
    if (definition?.body) return this.#ofSteps(node, definition.body.parts(node));
    if (definition?.decompose && !definition.range) {
      const parts = definition.decompose(node, build);
      return node.outputs.map((_, k) => (parts[k] ? this.of(parts[k]) : unbounded));
    }
    const inputs = node.inputs.map((input) => (input ? this.of(input) : null));
    const range = (definition?.range ?? continuous)(node, inputs, (value) => this.of(value));
    return node.outputs.map(() => range);
  }

  #ofSteps(node: Node, { body, states }: BodyParts): Range[] {
    const inside = this.inBody(node);
    return [...body.outputs, ...body.inputs.slice(0, states)].map((value) =>
      alwaysFinite(inside.of(value)) ? unbounded : anything,
    );
  }

  /** The ranges of the values in an op's body. States stay finite if a step takes finite states to finite ones. */
  inBody(node: Node): Ranges {
    const { body, states } = present(definitionOf(node)?.body).parts(node);
    const outside = body.inputs.map((_, k) => this.of(inputOf(node, k)));
    const withStates = (state: Range) =>
      this.given(new Map(body.inputs.map((value, k) => [value, k < states ? state : nth(outside, k)])));
    const finite = withStates(unbounded);
    const kept =
      outside.slice(0, states).every(alwaysFinite) &&
      body.outputs.slice(0, states).every((value) => alwaysFinite(finite.of(value)));
    return kept ? finite : withStates(anything);
  }
}

/** The value whose elements this one has, only moved or cast. */
function behindViews(value: Value): Value {
  const node = nodeOf(value);
  const moves = node && (node.op === "Cast" || definitionOf(node)?.range === moved);
  const from = moves ? node.inputs[0] : null;
  return from ? behindViews(from) : value;
}
