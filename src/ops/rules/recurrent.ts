/**
 * LSTM, GRU and RNN, as a Scan over time. The part that depends on the inputs alone is computed for all steps at once,
 * before the loop. The equations are those of the ONNX specification, with T steps, N samples, I inputs and H hidden
 * elements.
 */

import type { Node, Value, ValueType } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { floatAttribute, intAttribute, requireInput, stringAttribute, unsupported } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { type Activation, activationsOf } from "../subgraphs/recurrent-activations.js";
import { gatesOf, type Kind, type RecurrentSizes, recurrentSizes } from "../subgraphs/recurrent-sizes.js";
import { type ScanResults, scan } from "./scan.js";

function inferRecurrent(kind: Kind) {
  return (call: Call): ValueType[] => {
    const { steps, samples, hidden, directions, samplesFirst } = recurrentSizes(call, kind);
    activationsOf(call, kind, directions);
    const { dtype } = requireInput(call, 0);
    const all = samplesFirst ? [samples, steps, directions, hidden] : [steps, directions, samples, hidden];
    const last = samplesFirst ? [samples, directions, hidden] : [directions, samples, hidden];
    return [all, last, last].slice(0, call.outputs).map((shape) => ({ dtype, shape }));
  };
}

/** The tensors that one direction is computed from. Time is the first axis of all that have it. */
interface Direction {
  /** `[T, N, gates*H]`: the contribution of the inputs, including biases. */
  readonly fed: Value;
  /** `[gates*H, H]` */
  readonly recurrent: Value;
  /** `[gates*H]`, the bias of the recurrence; null if there is none. */
  readonly recurrentBias: Value | null;
  /** `[3*H]` or null. */
  readonly peepholes: Value | null;
  /** `[N, H]`: the initial hidden state and, for an LSTM, the cell's initial state. */
  readonly initial: readonly Value[];
  readonly activations: readonly Activation[];
  readonly reverse: boolean;
}

/** The part of a value that belongs to one direction, without the direction axis. */
function ofDirection(build: Build, value: Value, direction: number, axis = 0): Value {
  const shape = value.shape.filter((_, k) => k !== axis);
  return build.reshape(build.slice(value, axis, direction, direction + 1), shape);
}

interface Layer {
  readonly node: Node;
  readonly kind: Kind;
  readonly sizes: RecurrentSizes;
  readonly build: Build;
}

function directionOf({ node, kind, sizes, build }: Layer, direction: number): Direction {
  const [x, w, r, b, , h0, c0, p] = node.inputs;
  const { samples, hidden, samplesFirst } = sizes;
  const own = (value: Value) => ofDirection(build, value, direction);
  const data = samplesFirst ? build.transpose(present(x), [1, 0, 2]) : present(x);
  const products = build.matmul(data, build.transpose(own(present(w)), [1, 0]));
  const biases = b ? own(b) : null;
  const rows = gatesOf[kind] * hidden;
  const half = (from: number) => (biases ? build.slice(biases, 0, from, from + rows) : null);
  const [inputBias, recurrentBias] = [half(0), half(rows)];
  // In a GRU the reset gate may apply to the bias of the recurrence, which is then added in the loop.
  const inside = kind === "GRU" && intAttribute(node, "linear_before_reset", 0) !== 0;
  const bias = inputBias && recurrentBias && !inside ? build.add(inputBias, recurrentBias) : inputBias;
  const state = (value: Value | null | undefined) =>
    value
      ? ofDirection(build, value, direction, samplesFirst ? 1 : 0)
      : build.zeros([samples, hidden], present(x).dtype);
  const directions = stringAttribute(node, "direction", "forward");
  return {
    fed: bias ? build.add(products, bias) : products,
    recurrent: own(present(r)),
    recurrentBias: inside ? recurrentBias : null,
    peepholes: kind === "LSTM" && p ? own(p) : null,
    initial: kind === "LSTM" ? [state(h0), state(c0)] : [state(h0)],
    activations: activationsOf(node, kind, sizes.directions)[direction] ?? [],
    reverse: directions === "reverse" || direction === 1,
  };
}

/** The new states, computed from the step's inputs and the previous states. */
type Step = (fed: Value, states: readonly Value[]) => readonly Value[];

function stepOf(layer: Layer, direction: Direction): Step {
  if (layer.kind === "LSTM") return lstmStep(layer, direction);
  return layer.kind === "GRU" ? gruStep(layer, direction) : rnnStep(layer, direction);
}

/** Gate k of a `[N, gates*H]` tensor, or of a vector `[gates*H]`. */
function gate(build: Build, value: Value, k: number, hidden: number): Value {
  return build.slice(value, value.shape.length - 1, k * hidden, (k + 1) * hidden);
}

/** Clips the inputs of an activation, if the layer asks for it. */
function clipped({ node, build }: Layer): (value: Value) => Value {
  const bound = floatAttribute(node, "clip", 0);
  if (!(bound > 0)) return (value) => value;
  return (value) => build.op("Clip", [value, build.scalar(-bound, value), build.scalar(bound, value)]);
}

function rnnStep(layer: Layer, { recurrent, activations: [f] }: Direction): Step {
  const { build } = layer;
  const bound = clipped(layer);
  const weight = build.transpose(recurrent, [1, 0]);
  return (fed, [h]) => [present(f)(build, bound(build.add(fed, build.matmul(present(h), weight))))];
}

/** Gates in the order z (update), r (reset), h (hidden). */
function gruStep(layer: Layer, { recurrent, recurrentBias, activations: [f, g] }: Direction): Step {
  const { build, sizes, node } = layer;
  const { hidden } = sizes;
  const bound = clipped(layer);
  const part = (value: Value, from: number, to: number) => build.slice(value, 0, from * hidden, to * hidden);
  const gateWeight = build.transpose(part(recurrent, 0, 2), [1, 0]);
  const hiddenWeight = build.transpose(part(recurrent, 2, 3), [1, 0]);
  const resetLast = intAttribute(node, "linear_before_reset", 0) !== 0;
  return (fed, states) => {
    const h = nth(states, 0);
    const products = build.matmul(h, gateWeight);
    const both = recurrentBias ? build.add(products, part(recurrentBias, 0, 2)) : products;
    const pre = (k: number) => bound(build.add(gate(build, fed, k, hidden), gate(build, both, k, hidden)));
    const [z, r] = [present(f)(build, pre(0)), present(f)(build, pre(1))];
    const biased = (value: Value) => (recurrentBias ? build.add(value, part(recurrentBias, 2, 3)) : value);
    const recalled = resetLast
      ? build.mul(r, biased(build.matmul(h, hiddenWeight)))
      : build.matmul(build.mul(r, h), hiddenWeight);
    const candidate = present(g)(build, bound(build.add(gate(build, fed, 2, hidden), recalled)));
    // Not candidate + z (h - candidate), because the candidate's cotangent would lose its digits where z is close to 1.
    const kept = build.mul(build.sub(build.scalar(1, z), z), candidate);
    return [build.add(kept, build.mul(z, h))];
  };
}

/** Gates in the order i (input), o (output), f (forget), c (cell); peepholes i, o, f. */
function lstmStep(layer: Layer, { recurrent, peepholes, activations: [f, g, out] }: Direction): Step {
  const { build, sizes, node } = layer;
  const { hidden } = sizes;
  const bound = clipped(layer);
  const coupled = intAttribute(node, "input_forget", 0) !== 0;
  const weight = build.transpose(recurrent, [1, 0]);
  return (fed, states) => {
    const [h, c] = leadingOf(states, 2);
    const sums = build.add(fed, build.matmul(h, weight));
    const pre = (k: number, cell: Value) => {
      const own = gate(build, sums, k, hidden);
      return bound(peepholes ? build.add(own, build.mul(gate(build, peepholes, k, hidden), cell)) : own);
    };
    const input = present(f)(build, pre(0, c));
    const forget = coupled ? build.sub(build.scalar(1, input), input) : present(f)(build, pre(2, c));
    const update = present(g)(build, bound(gate(build, sums, 3, hidden)));
    const cell = build.add(build.mul(forget, c), build.mul(input, update));
    const output = present(f)(build, pre(1, cell));
    return [build.mul(output, present(out)(build, cell)), cell];
  };
}

/** Runs one direction over all steps. Returns hidden states `[T, N, H]` and the last states. */
function runDirection(layer: Layer, direction: Direction): ScanResults {
  const { build, node, sizes } = layer;
  const lengths = node.inputs[4];
  const step = stepOf(layer, direction);
  const spec = {
    initial: direction.initial,
    scanned: [direction.fed, ...(lengths ? [stepsWithin(build, sizes.steps, lengths)] : [])],
    reverse: direction.reverse,
    name: node.name,
  };
  const result = scan(build, spec, (states, [fed, within]) => {
    const next = step(present(fed), states);
    const [hidden] = leadingOf(next, 1);
    if (!within) return { states: next, results: [hidden] };
    // Beyond its length a sample keeps its states and outputs zeros.
    const held = next.map((value, k) => build.where(within, value, nth(states, k)));
    return { states: held, results: [build.mask(within, hidden)] };
  });
  if (!lengths) return result;
  // A sample without steps has no last state; zeros are returned.
  const any = build.unsqueeze(build.greater(lengths, build.scalar(0, lengths)), [1]);
  return { ...result, states: result.states.map((state) => build.mask(any, state)) };
}

/** `[T, N, 1]`: which steps lie within each sample's length. */
function stepsWithin(build: Build, steps: number, lengths: Value): Value {
  const times = build.op(
    "Range",
    [0, steps, 1].map((bound) => build.scalar(bound, lengths)),
  );
  return build.unsqueeze(build.less(build.unsqueeze(times, [1]), lengths), [2]);
}

function decomposeRecurrent(kind: Kind) {
  return (node: Node, build: Build): Value[] => {
    const sizes = recurrentSizes(node, kind);
    const layer: Layer = { node, kind, sizes, build };
    const runs = Array.from({ length: sizes.directions }, (_, k) => runDirection(layer, directionOf(layer, k)));
    const join = (values: readonly Value[], axis: number) => {
      const parts = values.map((value) => build.unsqueeze(value, [axis]));
      return parts.length === 1 ? nth(parts, 0) : build.op("Concat", parts, { axis });
    };
    const all = join(
      runs.map(({ stacked }) => nth(stacked, 0)),
      1,
    );
    const last = [0, 1].flatMap((k) => {
      const states = runs.flatMap((run) => run.states.slice(k, k + 1));
      return states.length > 0 ? [join(states, 0)] : [];
    });
    const { samplesFirst } = sizes;
    const outputs = [
      samplesFirst ? build.transpose(all, [2, 0, 1, 3]) : all,
      ...last.map((value) => (samplesFirst ? build.transpose(value, [1, 0, 2]) : value)),
    ];
    return outputs.slice(0, node.outputs.length);
  };
}

function checkDirection(call: Call): void {
  const direction = stringAttribute(call, "direction", "forward");
  if (["forward", "reverse", "bidirectional"].includes(direction)) return;
  throw unsupported(
    call,
    `runs in the direction "${direction}", which ONNX does not define`,
    'give "forward", "reverse" or "bidirectional"',
  );
}

function recurrentOp(kind: Kind): OpDefinition {
  const infer = inferRecurrent(kind);
  return {
    op: kind,
    infer: (call) => {
      checkDirection(call);
      return infer(call);
    },
    recurrent: true,
    // The steps, and the states before the first.
    sameSamples: kind === "LSTM" ? [0, 5, 6] : [0, 5],
    layer: { kind: "recurrent", names: [undefined, "W", "R", "B"] },
    optionalOutputs: true,
    decompose: decomposeRecurrent(kind),
  };
}

export const recurrent: readonly OpDefinition[] = [recurrentOp("LSTM"), recurrentOp("GRU"), recurrentOp("RNN")];
