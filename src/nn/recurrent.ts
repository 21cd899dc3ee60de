/**
 * Recurrent layers, by ONNX's operators of these names. T positions, N samples, D directions (1 or 2). The
 * operators take the positions first: the layout that the runtime has kernels for. Each direction is a node of
 * its own, so that nothing but a reshape lies between a weight and its use.
 */

import { PergradError } from "../errors.js";
import { isBatch, type Shape, sameShape, showShape } from "../graph/dim.js";
import type { Attributes, Value } from "../graph/value.js";
import { addOperators, build } from "../ops/registry.js";
import { recurrent } from "../ops/rules/recurrent.js";
import { scanning } from "../ops/rules/scanning.js";
import { leadingOf, nth, present } from "../present.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { checkedTensor } from "../trace/constant.js";
import { concat } from "../trace/functions.js";
import { invalid } from "../trace/shape.js";
import { requireSameDType, Traced } from "../trace/traced.js";
import { dropout } from "./dropout.js";
import { fanIn, type ParameterSpec } from "./initial-values.js";
import { need, requireSize } from "./layers.js";
import type { Module, SideInput } from "./module.js";
import { count } from "./window.js";

/** Options of all recurrent layers. */
export interface RecurrentOptions {
  /** Each layer reads the positions of the one before; default 1. */
  readonly layers?: number;
  /** A second set of weights reads the positions from the last to the first; default false. */
  readonly bidirectional?: boolean;
  /** [N, T, features] in and out; default true. Otherwise [T, N, features]. */
  readonly batchFirst?: boolean;
  /** Whether there are biases; default true. */
  readonly bias?: boolean;
  /** The probability that a feature is dropped between two layers; default 0, and then no `seed` is needed. */
  readonly dropout?: number;
}

/** Options of `gru`. */
export interface GruOptions extends RecurrentOptions {
  /**
   * Whether the reset gate acts on the product with the hidden state (as in PyTorch and cuDNN) rather than on
   * the hidden state itself; default true.
   */
  readonly linearBeforeReset?: boolean;
}

/** Options of `rnn`. */
export interface RnnOptions extends RecurrentOptions {
  /** Default "tanh". */
  readonly nonlinearity?: "tanh" | "relu";
}

type Named = Readonly<Record<string, Traced>>;

/**
 * A recurrent layer gives the hidden states at all positions. What else it knows, the modules below give: the
 * same layer, by the same parameters. Used on one input they are of one pass, computed once and, with dropout,
 * of the same masks; a module called again on that input begins another pass.
 *
 *     const layer = nn.lstm(16, 32);
 *     const classifier = nn.sequential(layer.last, nn.linear(32, 2));
 *     const both = nn.trace({ x: ["N", 20, 16] }, { layer, last: layer.last }, ({ x }, part) => ({
 *       all: part.layer(x),
 *       last: part.last(x),
 *     }));
 */
export interface Recurrent extends Module {
  /**
   * `[N, D * hidden]`: the last layer's hidden states after its last step, of both directions side by side. With
   * `lengths` that is a sample's own last position (of the reverse direction: its first).
   */
  readonly last: Module;
  /** `[layers * D, N, hidden]`: each layer's and direction's hidden state after its last step (PyTorch's `h_n`). */
  readonly hidden: Module;
  /**
   * The parameters in a PyTorch state dict of a layer of the same options (`weight_ih_l0`, `weight_hh_l0`,
   * `bias_ih_l0`, `bias_hh_l0`, ...) under this layer's names, their gates in this layer's order. `prefix`
   * ("1.", "encoder.") stands before the names of both. Other tensors are ignored. Throws MISSING_TENSOR,
   * SHAPE_MISMATCH or DTYPE_MISMATCH.
   */
  fromPyTorch(tensors: Readonly<Record<string, Tensor>>, prefix?: string): Record<string, Tensor<"float32">>;
}

/** What `lstm` makes. */
export interface Lstm extends Recurrent {
  /** `[layers * D, N, hidden]`: as `hidden`, of the cells (PyTorch's `c_n`). */
  readonly cell: Module;
}

/** What a layer is made from, its options in full. */
interface Design {
  readonly name: string;
  readonly op: "LSTM" | "GRU" | "RNN";
  readonly inputs: number;
  readonly hidden: number;
  readonly layers: number;
  readonly directions: 1 | 2;
  readonly batchFirst: boolean;
  readonly bias: boolean;
  readonly dropout: number;
  /** PyTorch's number of each gate. */
  readonly gates: readonly number[];
  readonly attributes: Attributes;
}

function designOf(
  op: Design["op"],
  inputs: number,
  hidden: number,
  options: RecurrentOptions,
  own: Pick<Design, "gates" | "attributes">,
): Design {
  const { layers = 1, bidirectional = false, batchFirst = true, bias = true, dropout: p = 0 } = options;
  const name = op.toLowerCase();
  count(name, "inputs", inputs);
  count(name, "hidden", hidden);
  count(name, "layers", layers);
  // Checks p, too.
  if (dropout(p).inputs && layers === 1)
    throw invalid(`${name}: dropout acts between layers, and there is only one; leave it out, or give more layers.`);
  return { name, op, inputs, hidden, layers, directions: bidirectional ? 2 : 1, batchFirst, bias, dropout: p, ...own };
}

/** The layers' directions in PyTorch's order: the suffix of their parameters' names, and what they read. */
function runsOf({ layers, directions, inputs, hidden }: Design) {
  return Array.from({ length: layers * directions }, (_, index) => {
    const [layer, reverse] = [Math.floor(index / directions), index % directions === 1];
    return {
      index,
      layer,
      reverse,
      suffix: `_l${layer}${reverse ? "_reverse" : ""}`,
      inputs: layer === 0 ? inputs : directions * hidden,
    };
  });
}

type Run = ReturnType<typeof runsOf>[number];

/** This library's name of a parameter, PyTorch's, and its shape. */
function namesOf({ hidden, gates, bias }: Design, { suffix, inputs }: Run) {
  const rows = gates.length * hidden;
  const weights = [
    { own: `input_weight${suffix}`, other: `weight_ih${suffix}`, shape: [rows, inputs] },
    { own: `hidden_weight${suffix}`, other: `weight_hh${suffix}`, shape: [rows, hidden] },
  ];
  const biases = [
    { own: `input_bias${suffix}`, other: `bias_ih${suffix}`, shape: [rows] },
    { own: `hidden_bias${suffix}`, other: `bias_hh${suffix}`, shape: [rows] },
  ];
  return bias ? [...weights, ...biases] : weights;
}

function parametersOf(design: Design): Record<string, ParameterSpec> {
  const all = runsOf(design).flatMap((run) => namesOf(design, run));
  return Object.fromEntries(all.map(({ own, shape }) => [own, fanIn(shape, design.hidden)]));
}

/** What the layer knows after its last step. */
interface Pass {
  /** [T, N, D * hidden] */
  readonly sequence: Traced;
  /** Of each layer and direction, [1, N, hidden]. */
  readonly hidden: readonly Traced[];
  readonly cell: readonly Traced[];
}

/** An optional input, checked. */
function given(side: Named, name: string, shape: Shape): Traced | undefined {
  const found = side[name];
  if (!found || sameShape(found.value.shape, shape)) return found;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `its input "${name}" is ${showShape(shape)}, not ${showShape(found.value.shape)}.`,
  );
}

/** Checks x, and gives it with its positions first. */
function positionsFirst({ batchFirst, inputs }: Design, x: Traced): Traced {
  const { shape } = x.value;
  if (x.rank !== 3 || isBatch(shape[batchFirst ? 1 : 0])) {
    const wanted = batchFirst ? `[N, positions, ${inputs}]` : `[positions, N, ${inputs}] (with batchFirst: false)`;
    throw new PergradError("SHAPE_MISMATCH", `it takes ${wanted}, but its input is ${showShape(shape)}.`);
  }
  requireSize(x, -1, inputs, "features");
  return batchFirst ? x.transpose([1, 0, 2]) : x;
}

/** The node's outputs without their axis of directions: [T, N, hidden], then the last states [1, N, hidden]. */
function runDirection(design: Design, run: Run, x: Traced, parameters: Named, side: Named): Traced[] {
  const { op, hidden, layers, directions, bias, attributes } = design;
  const states = [layers * directions, nth(x.value.shape, 1), hidden];
  const own = (name: string) => need(parameters, `${name}${run.suffix}`).within(x.scope);
  const initial = (name: string) =>
    given(side, name, states)
      ?.within(x.scope)
      .slice(0, run.index, run.index + 1);
  const inputs: (Traced | undefined)[] = [
    x,
    own("input_weight").unsqueeze(0),
    own("hidden_weight").unsqueeze(0),
    bias ? concat([own("input_bias"), own("hidden_bias")]).unsqueeze(0) : undefined,
    given(side, "lengths", [nth(x.value.shape, 1)]),
    initial("hidden"),
    ...(op === "LSTM" ? [initial("cell")] : []),
  ];
  const values = inputs.map((input) => input?.value ?? null);
  requireSameDType("its input, weights and states", values.toSpliced(4, 1));
  const all: Attributes = {
    hidden_size: hidden,
    direction: run.reverse ? "reverse" : "forward",
    ...attributes,
  };
  const options = x.scope === "" ? {} : { name: x.scope };
  // Few models have them: see ops/rare.ts.
  addOperators([...recurrent, ...scanning]);
  const node = build.node(op, values, all, op === "LSTM" ? 3 : 2, options);
  const [sequence, ...last] = leadingOf(
    node.outputs.map((value) => new Traced(value, x.scope)),
    1,
  );
  return [sequence.squeeze(1), ...last];
}

function passOf(design: Design, x: Traced, parameters: Named, side: Named): Pass {
  const runs = runsOf(design);
  const between = dropout(design.dropout);
  const states: (readonly Traced[])[] = [];
  let sequence = positionsFirst(design, x);
  for (let layer = 0; layer < design.layers; layer++) {
    const dropped = layer === 0 ? sequence : between.forward(sequence, {}, side);
    const results = runs
      .filter((run) => run.layer === layer)
      .map((run) => runDirection(design, run, dropped, parameters, side));
    sequence = concat(
      results.map(([all]) => present(all)),
      2,
    );
    states.push(...results.map(([, ...last]) => last));
  }
  return { sequence, hidden: states.flatMap((own) => own.slice(0, 1)), cell: states.flatMap((own) => own.slice(1, 2)) };
}

/** One of the things that a layer gives. */
type View = (pass: Pass, design: Design) => Traced;

const views = {
  sequence: ({ sequence }, { batchFirst }) => (batchFirst ? sequence.transpose([1, 0, 2]) : sequence),
  last: ({ hidden }, { directions }) => concat(hidden.slice(-directions), 2).squeeze(0),
  hidden: ({ hidden }) => concat(hidden),
  cell: ({ cell }) => concat(cell),
} satisfies Readonly<Record<string, View>>;

/** The latest pass over an input: what it was made from, and the views that were taken of it. */
interface Latest {
  readonly of: readonly (Value | undefined)[];
  readonly pass: Pass;
  readonly taken: Set<View>;
}

/** Makes the modules of one layer, which share their passes. */
function viewsOf(design: Design, side: Readonly<Record<string, SideInput>>): (view: keyof typeof views) => Module {
  const parameters = parametersOf(design);
  const latest = new WeakMap<Value, Latest>();
  const passFor = (view: View, x: Traced, weights: Named, given: Named): Pass => {
    const of = [weights, given].flatMap((named, k) =>
      Object.keys(k === 0 ? parameters : side).map((name) => named[name]?.value),
    );
    const before = latest.get(x.value);
    if (before && !before.taken.has(view) && before.of.every((value, k) => value === of[k])) {
      before.taken.add(view);
      return before.pass;
    }
    const pass = passOf(design, x, weights, given);
    latest.set(x.value, { of, pass, taken: new Set([view]) });
    return pass;
  };
  return (name) => ({
    name: name === "sequence" ? design.name : `${design.name}.${name}`,
    parameters,
    inputs: side,
    forward: (x, weights, given = {}) => {
      const view = views[name];
      return view(passFor(view, x, weights, given), design).within(x.scope);
    },
  });
}

/** A tensor with its rows in blocks, block k of the result being block `order[k]`. */
function reordered({ dtype, dims, data }: Tensor<"float32">, order: readonly number[]): Tensor<"float32"> {
  const size = sizeOf(dims) / order.length;
  const result = new Float32Array(data.length);
  order.forEach((from, k) => {
    result.set(data.subarray(from * size, (from + 1) * size), k * size);
  });
  return { dtype, dims: [...dims], data: result };
}

function fromPyTorch(design: Design, tensors: Readonly<Record<string, Tensor>>, prefix: string) {
  const find = (name: string, shape: readonly number[]): Tensor<"float32"> => {
    const found = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    if (!found) throw new PergradError("MISSING_TENSOR", `${design.name}: there is no tensor "${name}"; give it.`);
    const { dtype, dims, data } = checkedTensor(found, `${design.name}: "${name}"`);
    if (dtype !== "float32" || !(data instanceof Float32Array))
      throw new PergradError("DTYPE_MISMATCH", `${design.name}: "${name}" is ${dtype}, not float32; convert it.`);
    if (!sameShape(dims, shape))
      throw new PergradError(
        "SHAPE_MISMATCH",
        `${design.name}: "${name}" is [${dims}], not [${shape}]; give it in the layout of PyTorch.`,
      );
    return { dtype, dims, data };
  };
  const all = runsOf(design).flatMap((run) => namesOf(design, run));
  return Object.fromEntries(
    all.map(({ own, other, shape }) => [prefix + own, reordered(find(prefix + other, shape), design.gates)]),
  );
}

/** The layer of a design, and how its modules are made. */
function layerOf(design: Design) {
  const side: Record<string, SideInput> = {
    lengths: { dtype: "int32" },
    hidden: { dtype: "float32" },
    ...(design.op === "LSTM" ? { cell: { dtype: "float32" } } : {}),
    ...dropout(design.dropout).inputs,
  };
  const moduleOf = viewsOf(design, side);
  const layer: Recurrent = {
    ...moduleOf("sequence"),
    last: moduleOf("last"),
    hidden: moduleOf("hidden"),
    fromPyTorch: (tensors, prefix = "") => fromPyTorch(design, tensors, prefix),
  };
  return { layer, moduleOf };
}

/**
 * Long short-term memory over the positions of each sample: [N, T, inputs] to the hidden states
 * [N, T, D * hidden], the directions side by side. (With `batchFirst: false`, [T, N, inputs] to
 * [T, N, D * hidden].) `.last`, `.hidden` and `.cell` give the last states.
 *
 * Optional inputs, given as `layer(x, { lengths })` or by `nn.model(layer, { input: { x: ["N", T, inputs],
 * lengths: ["N"] } })`: `lengths`, int32 [N] within 0..T, where a sample's positions past its length are padding,
 * give zeros and have no part in its gradient; `hidden` and `cell`, [layers * D, N, hidden], the states to start
 * from, which are zeros unless given. With dropout there is an input `seed`, int64 [N].
 *
 * For layer k there are `input_weight_lk` [4 * hidden, features], `hidden_weight_lk` [4 * hidden, hidden],
 * `input_bias_lk` and `hidden_bias_lk` [4 * hidden], and the same with `_reverse` behind; all start uniform within
 * 1 / sqrt(hidden), as PyTorch's. The blocks of rows are the gates in ONNX's order: input, output, forget, cell.
 * (PyTorch's is input, forget, cell, output: `.fromPyTorch` converts.)
 *
 * @throws PergradError INVALID_ARGUMENT where a size is no whole number from 1 up, or dropout is no probability, or is given
 * with a single layer; in use SHAPE_MISMATCH or DTYPE_MISMATCH where an input does not fit.
 */
export function lstm(inputs: number, hidden: number, options: RecurrentOptions = {}): Lstm {
  const design = designOf("LSTM", inputs, hidden, options, { gates: [0, 3, 1, 2], attributes: {} });
  const { layer, moduleOf } = layerOf(design);
  return { ...layer, cell: moduleOf("cell") };
}

/**
 * Gated recurrent units over the positions of each sample: as `lstm`, without cells. The gates are three, in
 * ONNX's order: update, reset, hidden. (PyTorch's is reset, update, hidden: `.fromPyTorch` converts.)
 * @throws PergradError as `lstm`.
 */
export function gru(inputs: number, hidden: number, options: GruOptions = {}): Recurrent {
  const { linearBeforeReset = true } = options;
  const attributes = { linear_before_reset: linearBeforeReset ? 1 : 0 };
  return layerOf(designOf("GRU", inputs, hidden, options, { gates: [1, 0, 2], attributes })).layer;
}

/**
 * A plain recurrence, h' = f(W x + b + R h + c), over the positions of each sample: as `lstm`, without cells and
 * gates.
 * @throws PergradError as `lstm`; INVALID_ARGUMENT: an unknown `nonlinearity`.
 */
export function rnn(inputs: number, hidden: number, options: RnnOptions = {}): Recurrent {
  const { nonlinearity = "tanh" } = options;
  if (nonlinearity !== "tanh" && nonlinearity !== "relu") {
    throw invalid(`rnn: nonlinearity must be "tanh" or "relu", not ${JSON.stringify(nonlinearity)}.`);
  }
  const attributes = { activations: [nonlinearity === "relu" ? "Relu" : "Tanh"] };
  return layerOf(designOf("RNN", inputs, hidden, options, { gates: [0], attributes })).layer;
}
