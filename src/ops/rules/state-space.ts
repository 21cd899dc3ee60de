/**
 * CausalConvWithState and LinearAttention (opset 27): composites, for layers of models that carry a state through time.
 */

import { type Dim, fixedSize, isBatch, type Shape, sameShape, showShape } from "../../graph/dim.js";
import { inputsOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  floatAttribute,
  intAttribute,
  interaction,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { lowered } from "../elementwise.js";
import { defaultScale, headSize } from "../subgraphs/attend.js";
import { scan } from "./scan.js";

function requireShape(call: Call | Node, index: number, what: string, ...allowed: readonly Shape[]): void {
  const input = call.inputs[index];
  if (!input || allowed.some((shape) => sameShape(input.shape, shape))) return;
  throw shapeMismatch(
    part(call, `the ${what} ${showShape(input.shape)}`),
    `must be ${allowed.map(showShape).join(" or ")}`,
  );
}

// CausalConvWithState

interface Causal {
  readonly shape: readonly [Dim, number, number];
  readonly kernel: number;
  /** Whether the result is multiplied by its sigmoid: x * sigmoid(x). */
  readonly activated: boolean;
}

function causalOf(call: Call | Node): Causal {
  const [x, weight] = [requireInput(call, 0).shape, requireInput(call, 1).shape];
  const kernel = weight[2];
  if (x.length !== 3 || weight.length !== 3 || kernel === undefined || isBatch(kernel) || kernel < 1)
    throw shapeMismatch(part(call, `the input ${showShape(x)} and weight ${showShape(weight)}`), "are not of rank 3");
  const [count, channels, length] = leadingOf(x, 3);
  if (isBatch(channels)) throw interaction(call, "has the samples where the channels should be");
  if (isBatch(length)) throw interaction(call, "slides its window along the sample axis");
  requireShape(call, 1, "weight", [channels, 1, kernel]);
  requireShape(call, 2, "bias", [channels]);
  requireShape(call, 3, "past state", [count, channels, kernel - 1]);
  const activation = stringAttribute(call, "activation", "none");
  if (!["none", "silu", "swish"].includes(activation))
    throw unsupported(call, `has the activation "${activation}", which pergrad does not know`);
  return { shape: [count, channels, length], kernel, activated: activation !== "none" };
}

const causalConvolution = lowered({
  op: "CausalConvWithState",
  sameSamples: [0, 3],
  since: 27,
  infer: (call) => {
    const { dtype } = requireInput(call, 0);
    const { shape, kernel } = causalOf(call);
    return [
      { dtype, shape },
      { dtype, shape: [shape[0], shape[1], kernel - 1] },
    ];
  },
  decompose: (node, build) => {
    const [x, weight, bias, past] = inputsOf(node, 2);
    const { shape, kernel, activated } = causalOf(node);
    const [, channels, length] = shape;
    const whole = past ? build.concat([past, x], 2) : build.pad(x, [0, 0, kernel - 1], [0, 0, 0]);
    const pads = past ? [0, 0] : [kernel - 1, 0];
    const y = build.op("Conv", [past ? whole : x, weight, bias ?? null], { group: channels, pads });
    return [activated ? build.mul(y, build.sigmoid(y)) : y, build.slice(whole, 2, length, length + kernel - 1)].slice(
      0,
      node.outputs.length,
    );
  },
});

// LinearAttention

interface Recurrence {
  readonly batch: Dim;
  readonly steps: number;
  readonly queryHeads: number;
  readonly heads: number;
  readonly keySize: number;
  readonly valueSize: number;
  /** Whether the memory decays: by one factor for each head, or by one for each element of a key. */
  readonly fading: boolean;
  /** Whether the value that a key recalls is replaced, to the extent given by `beta`, instead of being added to. */
  readonly replacing: boolean;
  readonly scale: number;
}

function recurrenceOf(call: Call | Node): Recurrence {
  const [q, k, v] = leadingOf(
    [0, 1, 2].map((index) => requireInput(call, index).shape),
    3,
  );
  if ([q, k, v].some((shape) => shape.length !== 3))
    throw shapeMismatch(part(call, "the queries, keys and values"), "are not of rank 3");
  const [batch, steps] = leadingOf(q, 3);
  if (isBatch(steps)) throw interaction(call, "has the samples where the steps in time should be");
  const [queryHeads, heads] = [intAttribute(call, "q_num_heads", 0), intAttribute(call, "kv_num_heads", 0)];
  if (heads < 1 || queryHeads < 1 || queryHeads % heads !== 0)
    throw shapeMismatch(
      part(call, `the ${queryHeads} heads of queries`),
      `are no multiple of the ${heads} heads of keys`,
    );
  const [keySize, valueSize] = [headSize(call, q[2], queryHeads), headSize(call, v[2], heads)];
  const rule = stringAttribute(call, "update_rule", "gated_delta");
  if (!["linear", "gated", "delta", "gated_delta"].includes(rule))
    throw unsupported(call, `has the update_rule "${rule}", which pergrad does not know`);
  const [fading, replacing] = [rule.startsWith("gated"), rule.endsWith("delta")];
  for (const [index, needed, name] of [
    [4, fading, "decay"],
    [5, replacing, "beta"],
  ] as const) {
    if (needed === Boolean(call.inputs[index])) continue;
    throw shapeMismatch(call, `has the update_rule "${rule}", which ${needed ? "needs" : "takes no"} ${name}`);
  }
  requireShape(call, 1, "keys", [batch, steps, heads * keySize]);
  requireShape(call, 2, "values", [batch, steps, heads * valueSize]);
  requireShape(call, 3, "past state", [batch, heads, keySize, valueSize]);
  requireShape(call, 4, "decay", [batch, steps, heads], [batch, steps, heads * keySize]);
  requireShape(call, 5, "beta", [batch, steps, heads], [batch, steps, 1]);
  const scale = floatAttribute(call, "scale", 0) || defaultScale(keySize);
  return { batch, steps, queryHeads, heads, keySize, valueSize, fading, replacing, scale };
}

/** `[B, T, heads * ...]` as `[T, B, heads, ...parts]`. */
function byStep(build: Build, x: Value, ...parts: readonly number[]): Value {
  const [batch, steps] = leadingOf(x.shape, 3);
  return build.moveAxis(build.reshape(x, [batch, steps, ...parts]), 1, 0);
}

function runRecurrence(node: Node, build: Build): { readonly output: Value; readonly state: Value } {
  const [q, k, v, past, decay, beta] = inputsOf(node, 3);
  const { batch, steps, queryHeads, heads, keySize, valueSize, scale } = recurrenceOf(node);
  const shared = queryHeads / heads;
  const scanned = [
    byStep(build, build.scale(q, scale), heads, shared, keySize),
    byStep(build, k, heads, 1, keySize),
    byStep(build, v, heads, 1, valueSize),
  ];
  if (decay) scanned.push(byStep(build, build.exp(decay), heads, decay.shape[2] === heads ? 1 : keySize, 1));
  if (beta) scanned.push(byStep(build, beta, fixedSize(beta.shape, 2), 1, 1));
  const initial = past ?? build.zeros([batch, heads, keySize, valueSize], q.dtype);
  const run = scan(build, { initial: [initial], scanned, name: node.name }, ([state], slices) => {
    const [query, key, value, ...rest] = leadingOf(slices, 3);
    const faded = decay ? build.mul(present(state), nth(rest, 0)) : present(state);
    const written = beta ? build.mul(nth(rest, decay ? 1 : 0), build.sub(value, build.matmul(key, faded))) : value;
    const next = build.add(faded, build.mul(build.transposeLast(key), written));
    return { states: [next], results: [build.matmul(query, next)] };
  });
  const output = build.moveAxis(nth(run.stacked, 0), 0, 1);
  return {
    output: build.reshape(output, [batch, steps, queryHeads * valueSize]),
    state: nth(run.states, 0),
  };
}

const linearAttention: OpDefinition = lowered({
  op: "LinearAttention",
  sameSamples: "all",
  since: 27,
  infer: (call) => {
    const { dtype } = requireInput(call, 0);
    const { batch, steps, queryHeads, heads, keySize, valueSize } = recurrenceOf(call);
    return [
      { dtype, shape: [batch, steps, queryHeads * valueSize] },
      { dtype, shape: [batch, heads, keySize, valueSize] },
    ];
  },
  decompose: (node, build) => {
    const { output, state } = runRecurrence(node, build);
    return [output, state].slice(0, node.outputs.length);
  },
});

export const stateSpace: readonly OpDefinition[] = [causalConvolution, linearAttention];
