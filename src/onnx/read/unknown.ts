/** Refuses operators that pergrad does not know, and those of quantised models, before anything is computed. */

import type { NodeProto } from "onnx-buf";
import { PergradError } from "../../errors.js";
import { listed } from "../../meant.js";
import type { Build } from "../../ops/build.js";
import { nodeName, standardDomain } from "../proto.js";
import { isMlOperator, sequenceOperators } from "./special-operators.js";
import { isRenamed } from "./upgrade.js";

interface Reader {
  /** The file's name, for messages. */
  readonly fileName: string;
  readonly build: Build;
  readonly opsetOf: (node: NodeProto) => number;
}

/** Operators that are gone once a file has been decoded. */
const dissolved = new Set(["Constant", "If", "Loop", ...sequenceOperators]);

/** The domain of operators in the blocked layout that the runtime's optimizer writes for vector units. */
const blocked = "com.microsoft.nchwc.";

/** Refuses all unknown operators in one error, so that a user learns of all of them at once. */
export function refuseUnknown(nodes: readonly NodeProto[], { build, fileName, opsetOf }: Reader): void {
  const unknown = new Map<string, string[]>();
  for (const node of nodes) {
    const domain = standardDomain(node.domain);
    const standard = domain === "" && (dissolved.has(node.opType) || isRenamed(node.opType, opsetOf(node)));
    if (standard || isMlOperator(domain, node.opType) || build.lookup(domain, node.opType)) continue;
    const op = domain ? `${domain}.${node.opType}` : node.opType;
    unknown.set(op, [...(unknown.get(op) ?? []), `"${nodeName(node)}"`]);
  }
  if (unknown.size === 0) return;
  const list = [...unknown].map(([op, names]) => `${op} (node ${listed(names, 1)})`);
  const them = unknown.size > 1 ? "them" : "it";
  const plural = unknown.size > 1 ? "operators that pergrad does not know" : "an operator that pergrad does not know";
  const advice = [...unknown.keys()].some((op) => op.startsWith(blocked))
    ? "ONNX Runtime's optimizer wrote the file for one kind of processor, so load the model that it was given"
    : `export the model without ${them}, or express ${them} by other operators`;
  throw new PergradError("UNSUPPORTED_OP", `"${fileName}" uses ${plural}: ${list.join(", ")}; ${advice}.`);
}

const quantised =
  /^(Deq|DynamicQ|Q)uantize|^Q(Linear|Attention|Gemm|EmbedLayerNormalization|OrderedMatMul|MoE)|^(MatMul|Conv)Integer|^MatMul(NBits|Bnb4|Fp|BlockQuantized|Integer)|^GatherBlockQuantized$/;

/** Throws UNSUPPORTED_OP with a message that says what to load instead. */
export function refuseQuantised(nodes: readonly NodeProto[], fileName: string): void {
  const found = nodes.filter(({ opType }) => quantised.test(opType));
  const [first] = found;
  if (!first) return;
  const names = found.map((node) => `"${nodeName(node)}"`);
  throw new PergradError(
    "UNSUPPORTED_OP",
    `"${fileName}" is quantised (${first.opType} node ${listed(names, 1)}), and integer weights have no gradients; ` +
      "load the float32 or float16 model that it was made from, often beside it as model.onnx or model_fp16.onnx.",
  );
}
