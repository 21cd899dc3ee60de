/** Products and convolutions of ONNX Runtime's own domain: transposed, scaled or followed by an activation. */

import { sameShape, showShape } from "../../graph/dim.js";
import { inputsOf } from "../../graph/operands.js";
import type { Attributes, Node, Value, ValueType } from "../../graph/value.js";
import { nth } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  floatAttribute,
  intAttribute,
  intsAttribute,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { convolution } from "../rules/convolution.js";
import { linear } from "../rules/linear.js";
import { contrib, partOf } from "../subgraphs/contrib.js";

// FusedMatMul: alpha * A' * B'

/** The order of an operand's axes before the product. Vectors remain unchanged. */
function operandAxes(node: Call | Node, index: 0 | 1): number[] {
  const side = index === 0 ? "A" : "B";
  const axes = requireInput(node, index).shape.map((_, axis) => axis);
  if (axes.length < 2) return axes;
  // The first axis moves behind the batch axes, where rows are expected.
  const [rows, last] = [nth(axes, 0), axes.length - 1];
  const plain = intAttribute(node, `transBatch${side}`, 0) !== 0 ? [...axes.slice(1, last), rows, last] : axes;
  if (intAttribute(node, `trans${side}`, 0) === 0) return plain;
  return [...plain.slice(0, -2), nth(plain, last), nth(plain, last - 1)];
}

function inferMatMul(call: Call): ValueType {
  const operands = ([0, 1] as const).map((index) => {
    const input = requireInput(call, index);
    return { ...input, shape: operandAxes(call, index).map((axis) => nth(input.shape, axis)) };
  });
  const [type] = partOf(linear, "MatMul").infer({ ...call, inputs: operands, outputs: 1 });
  if (!type) throw shapeMismatch(part(call, "the inputs"), "do not multiply");
  return type;
}

function decomposeMatMul(node: Node, build: Build): Value[] {
  const [a, b] = inputsOf(node, 2);
  const [row, column] = [a.shape.length === 1, b.shape.length === 1];
  // A vector becomes a matrix.
  const left = row ? build.unsqueeze(a, [0]) : build.transpose(a, operandAxes(node, 0));
  const right = column ? build.unsqueeze(b, [1]) : build.transpose(b, operandAxes(node, 1));
  const product = build.matmul(left, right);
  const rank = product.shape.length;
  const flat = build.squeeze(product, [...(row ? [rank - 2] : []), ...(column ? [rank - 1] : [])]);
  return [build.scale(flat, floatAttribute(node, "alpha", 1))];
}

function fusedMatMul(op: string): OpDefinition {
  return contrib({
    op,
    infer: (call) => [inferMatMul(call)],
    decompose: decomposeMatMul,
  });
}

// Activations by name

/** The names of activations, each with the names of its attributes. */
type Activations = ReadonlyMap<string, readonly string[]>;

/** The activations that can be fused with a Gemm. */
const gemmActivations: Activations = new Map([
  ["Celu", ["alpha"]],
  ["Elu", ["alpha"]],
  ["HardSigmoid", ["alpha", "beta"]],
  ["LeakyRelu", ["alpha"]],
  ["Relu", []],
  ["Selu", ["alpha", "gamma"]],
  ["Sigmoid", []],
  ["Softplus", []],
  ["Softsign", []],
  ["Tanh", []],
  ["ThresholdedRelu", ["alpha"]],
]);

/**
 * The activations that can be fused with a convolution, with their attributes in the order of activation_params. Clip
 * has inputs instead.
 */
const convActivations: Activations = new Map([
  ["Clip", []],
  ["HardSigmoid", ["alpha", "beta"]],
  ["HardSwish", []],
  ["LeakyRelu", ["alpha"]],
  ["Relu", []],
  ["Sigmoid", []],
  ["Tanh", []],
]);

/** The attributes of the operator itself. */
function ownAttributes(node: Node): Attributes {
  return Object.fromEntries(Object.entries(node.attributes).filter(([name]) => !name.startsWith("activation")));
}

/** The activation's name, or "" for none. */
function activationOf(call: Call | Node, known: Activations): string {
  const name = stringAttribute(call, "activation", "");
  if (name === "" || known.has(name)) return name;
  throw unsupported(call, `has the activation "${name}", which pergrad does not know`);
}

// FusedGemm

/** The attributes that the node states for its activation. */
function gemmActivationAttributes(node: Node): Attributes {
  const names = gemmActivations.get(activationOf(node, gemmActivations)) ?? [];
  const given = names.flatMap((name) => {
    const value = node.attributes[`activation_${name}`];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(given);
}

function decomposeGemm(node: Node, build: Build): Value[] {
  const y = build.op("Gemm", node.inputs, ownAttributes(node));
  const name = activationOf(node, gemmActivations);
  return [name === "" ? y : build.op(name, [y], gemmActivationAttributes(node))];
}

/** Whether a FusedGemm names no activation, or omits one of its attributes. */
export function lacksActivation(node: Node): boolean {
  const name = activationOf(node, gemmActivations);
  const needed = gemmActivations.get(name)?.length ?? 0;
  return name === "" || Object.keys(gemmActivationAttributes(node)).length < needed;
}

const fusedGemm = contrib({
  op: "FusedGemm",
  infer: (call) => {
    activationOf(call, gemmActivations);
    return partOf(linear, "Gemm").infer(call);
  },
  decompose: decomposeGemm,
});

// FusedConv: a convolution, plus a tensor of the output's shape, through an activation

function convActivation(node: Node, y: Value, build: Build): Value {
  const name = activationOf(node, convActivations);
  const numbers = intsAttribute(node, "activation_params") ?? [];
  if (name === "") return y;
  if (name === "Clip") {
    const [low, high] = numbers.map((bound) => build.scalar(bound, y));
    return build.op("Clip", [y, low ?? null, high ?? null]);
  }
  const names = convActivations.get(name) ?? [];
  return build.op(name, [y], Object.fromEntries(numbers.slice(0, names.length).map((x, k) => [names[k] ?? "", x])));
}

const fusedConv = contrib({
  op: "FusedConv",
  infer: (call) => {
    activationOf(call, convActivations);
    const types = partOf(convolution, "Conv").infer(call);
    const [shape, added] = [types[0]?.shape ?? [], call.inputs[3]];
    if (added && !sameShape(added.shape, shape)) {
      throw shapeMismatch(call, `adds a tensor ${showShape(added.shape)} to its result ${showShape(shape)}`);
    }
    return types;
  },
  decompose: (node, build) => {
    const added = node.inputs[3];
    const y = build.op("Conv", node.inputs.slice(0, 3), ownAttributes(node));
    return [convActivation(node, added ? build.add(y, added) : y, build)];
  },
});

export const contribLinear: readonly OpDefinition[] = [
  fusedMatMul("FusedMatMul"),
  fusedMatMul("TransposeMatMul"),
  fusedGemm,
  fusedConv,
];
