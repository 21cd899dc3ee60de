/**
 * A loop with one step for each sample, whose steps do not depend on each other: a map over the samples. It is run for
 * all samples at once, by giving its body one more leading axis.
 */
import type { NodeProto } from "onnx-buf";
import type { BatchOver } from "../../../autodiff/vmap.js";
import { type BatchMultiple, isBatch } from "../../../graph/dim.js";
import { constantValue, dimsValue, leaf, type Value } from "../../../graph/value.js";
import { dependentsOf, nodesBefore, presentInputs } from "../../../graph/walk.js";
import type { Build } from "../../../ops/build.js";
import type { Call } from "../../../ops/call.js";
import { interaction } from "../../../ops/checks.js";
import { describeProto, invalidModel } from "../../proto.js";
import type { Decoder } from "../decoder.js";
import { bindOutputs } from "../file-node.js";
import { Scope } from "../scope.js";
import { GrowingSequence, isTensor, type NamedItem, Sequence, StackedSequence } from "../sequence.js";
import type { Structure } from "../structure.js";
import type { Affine } from "./affine.js";
import { PartsOfSteps, type Steps } from "./steps.js";

/** A Loop whose trip count is `rows`. */
export interface SampleLoop {
  readonly proto: NodeProto;
  readonly call: Call;
  readonly structure: Structure;
  /** The values that the loop passes from step to step, before the first step. */
  readonly carried: readonly NamedItem[];
  readonly rows: BatchMultiple;
  /** The file fixes the trip count. It is the number of samples if each step turns out to read only its own rows. */
  readonly guessed: boolean;
  /** There is no trip count: the loop counts its steps itself, from 0, as long as the count is below `rows`. */
  readonly counted: boolean;
}

interface Around {
  readonly scope: Scope;
  /** The constants of the body. */
  readonly constants: Scope;
  readonly batchOver: BatchOver;
}

/** Throws SAMPLES_INTERACT if a step passes anything on to the next, except a list to which it appends. */
export function decodeSampleLoop(decoder: Decoder, loop: SampleLoop, around: Around): void {
  const { scope, constants, batchOver } = around;
  const { build } = decoder.context;
  const { proto, structure, carried, rows } = loop;
  const steps = stepsOver(rows);
  const before = carried.map((item) => (loop.counted && isZero(item) ? steps.index : asInStep(item)));
  const inner = new Scope(constants);
  const given: NamedItem[] = [steps.index, trueScalar(), ...before];
  structure.inputs.forEach(({ name }, k) => {
    const item = given[k];
    if (!item) throw invalidModel(`The body of ${describeProto(proto)} has more inputs than its loop hands it`);
    inner.set(name, item);
  });
  const [condition, ...names] = structure.outputs;
  decoder.indices.within(steps, () => {
    decoder.decodeNodes(structure, inner);
    if (condition === undefined || !goesOn(decoder, loop, inner.get(condition)))
      throw interaction(loop.call, "stops at a sample that the samples before it decide");
  });
  const all = (own: Value) => {
    if (loop.guessed && !readsOwnRows(steps, own))
      throw interaction(loop.call, "reads more than its own sample's rows");
    return overAll(build, batchOver, steps, own);
  };
  const states = before.map((item, k) => () => handedOn(decoder, loop, all, item, inner.item(names[k] ?? "")));
  const stacked = names.slice(before.length).map((name) => () => all(inner.get(name)));
  const results = [...states, ...stacked];
  // A wrong guess must fail here, not where a result is read.
  if (loop.guessed) for (const result of results) result();
  bindOutputs(proto, results, scope);
}

/**
 * The results of all steps, stacked: `[rows, ...]`. `body` receives the slices of one step along axis 0 of `scanned`.
 */
export function mapOverSamples(
  decoder: Decoder,
  scanned: readonly Value[],
  rows: BatchMultiple,
  batchOver: BatchOver,
  body: (slices: readonly Value[]) => readonly Value[],
): Value[] {
  const steps = stepsOver(rows);
  const slices = scanned.map((stacked) => steps.parts.of(stacked));
  const results = decoder.indices.within(steps, () => body(slices));
  return results.map((own) => overAll(decoder.context.build, batchOver, steps, own));
}

/** Whether a loop that begins at the first sample continues to the last. */
function goesOn(decoder: Decoder, { call, rows, counted }: SampleLoop, after: Value): boolean {
  if (!counted) return after.known?.[0] === 1 && (!call.inputs[1] || call.inputs[1].known?.[0] === 1);
  const bound = decoder.indices.boundOf(after);
  return bound !== undefined && isNext(bound.index) && bound.limit.perSample === rows.perSample;
}

function isNext({ steps, samples, offset }: Affine): boolean {
  return steps === 1 && samples === 0 && offset === 1;
}

function isZero(item: NamedItem): boolean {
  return isTensor(item) && item.dtype === "int64" && item.known?.length === 1 && item.known[0] === 0;
}

function stepsOver(rows: BatchMultiple): Steps {
  return { rows, index: leaf("", { dtype: "int64", shape: [] }, { kind: "input" }), parts: new PartsOfSteps() };
}

function trueScalar(): Value {
  return constantValue({ dtype: "bool", dims: [], data: Uint8Array.of(1) });
}

/** A list that is empty before the first step may grow. */
function asInStep(item: NamedItem): NamedItem {
  return item instanceof Sequence && item.elements.length === 0 ? new GrowingSequence() : item;
}

/** Whether a value depends on the number of its step only through the rows that it picks. */
function readsOwnRows({ index, parts }: Steps, value: Value): boolean {
  const read = new Set([value, ...nodesBefore([value]).flatMap(presentInputs)]);
  return !read.has(index) && [...parts.stacked.keys()].some((part) => read.has(part)) && !value.shape.some(isBatch);
}

/** What the loop has passed on after its last step. */
function handedOn(
  decoder: Decoder,
  { call, rows, counted }: SampleLoop,
  all: (own: Value) => Value,
  before: NamedItem,
  after: NamedItem,
): NamedItem {
  const index = counted && isTensor(after) ? decoder.indices.indexOf(after) : undefined;
  if (index && isNext(index)) return dimsValue([rows], true);
  if (after === before) return before instanceof GrowingSequence ? new Sequence([]) : before;
  const [own] = after instanceof GrowingSequence && before instanceof GrowingSequence ? after.own : [];
  if (own) return new StackedSequence(all(own));
  const what = isTensor(before) && before.name ? `"${before.name}"` : "a result";
  throw interaction(call, `hands ${what} on from sample to sample`);
}

/** `[rows, ...]`: the value of each step. */
function overAll(build: Build, batchOver: BatchOver, { rows, index, parts }: Steps, value: Value): Value {
  const all = new Map(parts.stacked);
  const counts = value === index || dependentsOf([index], nodesBefore([value])).has(value);
  if (counts) all.set(index, build.op("Range", [build.ints([0], []), dimsValue([rows], true), build.ints([1], [])]));
  const [stacked] = batchOver([value], all);
  return stacked ?? build.expand(value, [rows, ...value.shape]);
}
