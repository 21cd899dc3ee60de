/** Work-arounds for loops and recurrent operators. */
import type { Attributes, Node } from "../../../graph/value.js";
import { floatAttribute, requireInput } from "../../../ops/checks.js";
import { scanParts } from "../../../ops/rules/scan-parts.js";
import { activationAttributes } from "../../../ops/subgraphs/recurrent-activations.js";
import { isRecurrentKind, recurrentSizes } from "../../../ops/subgraphs/recurrent-sizes.js";
import type { Rewrite } from "../../../optimise/rule.js";
import { decomposedWhere, restated, type Workaround } from "./workaround.js";

const recurrent = ["LSTM", "GRU", "RNN"];

function needsLoop(node: Node): boolean {
  if (!isRecurrentKind(node.op)) return false;
  const { steps, samples, hidden, samplesFirst } = recurrentSizes(node, node.op);
  return samplesFirst || [steps, samples, hidden, requireInput(node, 0).shape[2]].includes(0);
}

const inFull: Rewrite = (node, build) => {
  if (!isRecurrentKind(node.op)) return null;
  const { hidden, directions } = recurrentSizes(node, node.op);
  const { clip, ...others } = node.attributes;
  const attributes: Attributes = {
    ...others,
    ...(floatAttribute(node, "clip", 0) > 0 && clip !== undefined ? { clip } : {}),
    hidden_size: hidden,
    ...activationAttributes(node, node.op, directions),
  };
  const stated = JSON.stringify(attributes) === JSON.stringify(node.attributes);
  return stated ? null : restated(node, build, { attributes });
};

const withoutSteps: Rewrite = (node, build) => {
  const { states } = scanParts(node);
  if (node.inputs[states]?.shape[0] !== 0) return null;
  return node.outputs.map((output, k) => {
    const state = k < states ? node.inputs[k] : null;
    return state ?? build.zeros(output.shape, output.dtype);
  });
};

export const loops: readonly Workaround[] = [
  {
    name: "recurrent-as-loop",
    ops: recurrent,
    why: "Its kernels do not take samples first, and end the process at tensors without elements.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere(needsLoop),
  },
  {
    name: "recurrent-in-full",
    ops: recurrent,
    why: "The defaults of its activations are not those of the operators of these names, it refuses names in another spelling, and a clip of 0 clips everything.",
    versions: "1.30 to 1.32",
    rewrite: inFull,
  },
  {
    name: "scan-without-steps",
    ops: ["Scan"],
    why: "Of a scan without steps the states are as they were; it leaves what was in its memory.",
    versions: "1.30 to 1.32",
    rewrite: withoutSteps,
  },
];
