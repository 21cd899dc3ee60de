/**
 * A mask that picks elements (`h[mask]`). How many it picks is known only when the model runs, and samples lie in one
 * list. As long as each element of the list is computed alone, the same can be computed for every place of the mask,
 * and be put back where the mask holds. Meanwhile N stands for the length of the list.
 */

import { SampleAxes } from "../../../analysis/sample-axes.js";
import type { BatchOver } from "../../../autodiff/vmap.js";
import { reshapes } from "../../../graph/behind.js";
import { factorOf, fixedSizes, isBatch, N, type Shape } from "../../../graph/dim.js";
import { leaf, nodeOf, type Value } from "../../../graph/value.js";
import { dependentsOf, nodesBefore } from "../../../graph/walk.js";
import type { Build } from "../../../ops/build.js";
import type { Call } from "../../../ops/call.js";
import { interaction, unsupported } from "../../../ops/checks.js";
import { nth } from "../../../present.js";
import { isFloat, sizeOf } from "../../../tensor/tensor.js";
import { pick } from "../adapt/pick.js";
import { madeAlike } from "./made-alike.js";

/** The elements that one condition picks. */
export class Mask {
  readonly #places = new Map<string, Places>();
  /** For each list of picked elements, `[N, ...rest]`, the same for all places: `[...condition.shape, ...rest]`. */
  readonly #picked = new Map<Value, Value>();

  /** @param condition bool; one of its axes holds the samples */
  constructor(
    readonly build: Build,
    readonly condition: Value,
  ) {}

  /** The places of a mask that holds for whole blocks of these sizes, or for none of a block. */
  places(block: readonly number[]): Places {
    const key = block.join();
    const known = this.#places.get(key);
    if (known) return known;
    const shape = [this.condition.shape.length + block.length, { perSample: sizeOf(block) }];
    const places = { mask: this, block, value: leaf("", { dtype: "int64", shape }, { kind: "input" }) };
    this.#places.set(key, places);
    return places;
  }

  /** Finds the places among the leaves of a value. */
  placesIn(leaves: ReadonlySet<Value>): Places | undefined {
    return [...this.#places.values()].find(({ value }) => leaves.has(value));
  }

  /** `[N, ...rest]` from `[...condition.shape, ...rest]`. */
  pick(all: Value): Value {
    const { build, condition } = this;
    const rest = all.shape.slice(condition.shape.length);
    // Integers may be indices, which must be in range even where nothing is picked.
    const safe = isFloat(all.dtype) ? all : build.where(this.conditionFor(rest.length), all, build.scalar(0, all));
    const picked = leaf("", { dtype: all.dtype, shape: [N, ...rest] }, { kind: "input" });
    this.#picked.set(picked, safe);
    return picked;
  }

  /** The condition, with so many more axes of size 1. */
  conditionFor(more: number): Value {
    const { shape } = this.condition;
    return this.build.reshape(this.condition, [...shape, ...Array<number>(more).fill(1)]);
  }

  /**
   * What becomes of each picked element, computed for every place: `[...condition.shape, ...rest]` from `[N, ...rest]`.
   * Throws SAMPLES_INTERACT if elements of the list meet.
   */
  forAllPlaces(value: Value, call: Call, batchOver: BatchOver): Value {
    const { build, condition } = this;
    const places = [...this.#places.values()].map((each) => each.value);
    const given = new Map([...places.map((each) => [each, 1] as const), ...[...this.#picked.keys()].map(alongFirst)]);
    const at = new SampleAxes(given).of(value);
    if (at?.axis !== 0 || at.outer !== 1)
      throw interaction(call, "puts back elements that a mask picked and that have met since");
    if (dependentsOf(places, nodesBefore([value])).has(value))
      throw unsupported(call, "puts back numbers that were computed from the places of a mask");
    const rest = value.shape.slice(1);
    const [made] = batchOver([value], new Map([...this.#picked].map(([list, all]) => [list, this.#samplesLast(all)])));
    if (made) return this.#samplesBack(made, rest);
    // All elements of the list are the same.
    const same = build.reshape(pick(value, 0, 0), [...condition.shape.map(() => 1), ...rest]);
    return build.expand(same, [...condition.shape, ...rest]);
  }

  /** The sizes before the samples, within a sample's block of the samples' axis, and after. */
  #sizes(): { readonly before: number; readonly after: number } {
    const { shape } = this.condition;
    const axis = shape.findIndex(isBatch);
    const after = factorOf(nth(shape, axis)) * sizeOf(fixedSizes(shape.slice(axis + 1)));
    return { before: sizeOf(fixedSizes(shape.slice(0, axis))), after };
  }

  /** `[places of a sample, N, ...rest]` */
  #samplesLast(all: Value): Value {
    const rest = all.shape.slice(this.condition.shape.length);
    const { before, after } = this.#sizes();
    const split = this.build.reshape(all, [before, N, after, ...rest]);
    return this.build.reshape(this.build.moveAxis(split, 1, 2), [before * after, N, ...rest]);
  }

  #samplesBack(made: Value, rest: Shape): Value {
    const { before, after } = this.#sizes();
    const split = this.build.reshape(made, [before, after, N, ...rest]);
    return this.build.reshape(this.build.moveAxis(split, 2, 1), [...this.condition.shape, ...rest]);
  }
}

const alongFirst = (list: Value): readonly [Value, number] => [list, 0];

/** The places at which a mask holds, as NonZero gives them: `[axes, N * elements of a block]`. */
export interface Places {
  readonly mask: Mask;
  readonly block: readonly number[];
  readonly value: Value;
}

/** A condition as one on whole blocks, of the sizes `block`. */
interface Blocks {
  readonly condition: Value;
  readonly block: readonly number[];
}

/** The places of a condition, whose mask joins `masks` if it is new. */
export function placesOf(build: Build, masks: Mask[], condition: Value): Places {
  const blocks = inBlocks(build, condition);
  const known = masks.find((mask) => madeAlike(mask.condition, blocks.condition));
  if (known) return known.places(blocks.block);
  const mask = new Mask(build, blocks.condition);
  masks.push(mask);
  return mask.places(blocks.block);
}

/** The places of a mask that is known, in whatever shape the condition is now; undefined for any other. */
export function knownPlaces(build: Build, masks: readonly Mask[], condition: Value): Places | undefined {
  if (masks.length === 0) return undefined;
  const blocks = inBlocks(build, condition);
  const source = elementsBehind(blocks.condition);
  return masks.find((mask) => madeAlike(elementsBehind(mask.condition), source))?.places(blocks.block);
}

/** Exporters expand a mask to the elements that it stands for before they look for its places. */
function inBlocks(build: Build, condition: Value): Blocks {
  const whole = { condition: build.reshape(elementsBehind(condition), condition.shape), block: [] };
  const node = nodeOf(condition);
  const [from] = node?.inputs ?? [];
  if (node?.domain !== "" || !from) return whole;
  if (node.op === "Identity") return inBlocks(build, from);
  if (node.op !== "Expand" || from.shape.length !== condition.shape.length) return whole;
  const kept = from.shape.findLastIndex((dim) => dim !== 1) + 1;
  const block = condition.shape.slice(kept);
  const same = from.shape.slice(0, kept).every((dim, axis) => factorOf(dim) === factorOf(nth(condition.shape, axis)));
  if (kept === 0 || !same || block.some(isBatch)) return whole;
  // All axes behind those that are kept have size 1.
  const base = inBlocks(build, build.reshape(elementsBehind(from), from.shape.slice(0, kept)));
  return { condition: base.condition, block: [...base.block, ...fixedSizes(block)] };
}

/** The value that reshapes start from. */
function elementsBehind(value: Value): Value {
  const node = nodeOf(value);
  const [from] = node && reshapes.includes(node.op) ? node.inputs : [];
  return from ? elementsBehind(from) : value;
}
