/**
 * Readable names for weights whose names an exporter lost. A linear layer's weight that was transposed during export is
 * called "onnx::MatMul_12", but its bias is still "fc1.bias", and the node that reads it "/fc1/MatMul".
 */

import type { NodeProto } from "onnx-buf";
import { standardDefinition } from "../../../ops/registry.js";
import { metadataOf } from "../../proto.js";
import type { Use, Uses } from "../uses.js";
import { isGenerated } from "./weights.js";

/** The name itself if somebody chose it, or if the graph has no better one. */
export function readableName(name: string, uses: Uses): string {
  if (!isGenerated(name, uses)) return name;
  const use = uses.readersOf(name)[0];
  const layer = use && (layerBySibling(use, uses) ?? layerByMetadata(use.node) ?? layerByScope(use.node.name));
  if (!use || layer === undefined) return name;
  const role = standardDefinition(use.node.opType)?.layer?.names[use.index] ?? roleInFormula(use, uses);
  // Exported as x W instead of x W^T: PyTorch's exporters transpose the weight and make up a name.
  const linear = name.startsWith("onnx::MatMul_") || metadataOf(use.node, "namespace")?.endsWith("aten.linear.default");
  const transposed = use.node.opType === "MatMul" && use.index === 1 && linear;
  return `${layer}.${role}${transposed ? ".T" : ""}`;
}

function roleInFormula({ node, index }: Use, uses: Uses): string {
  const other = uses.producerOf(node.input[1 - index] ?? "");
  return node.opType === "Add" && other?.opType === "MatMul" ? "bias" : node.opType.toLowerCase();
}

/** From "fc1.bias" on the same node, or added to its result. */
function layerBySibling({ node }: Use, uses: Uses): string | undefined {
  const added = uses.readersOf(node.output[0] ?? "").filter((use) => use.node.opType === "Add");
  const beside = [node, ...(node.opType === "MatMul" ? added.map((use) => use.node) : [])].flatMap(
    ({ input }) => input,
  );
  const sibling = beside.find((name) => /.\.(weight|bias)$/.test(name));
  return sibling?.replace(/\.(weight|bias)$/, "");
}

/** From "['', 'enc', 'enc.self_attn', 'linear']", as PyTorch's newer exporter leaves it: modules, then the call. */
function layerByMetadata(node: NodeProto): string | undefined {
  const scopes = [...(metadataOf(node, "pkg.torch.onnx.name_scopes") ?? "").matchAll(/'([^']*)'/g)].map(
    ([, scope]) => scope,
  );
  return scopes.at(-2) || undefined;
}

/** From "/encoder/encoder.0/fc1/MatMul": the modules around the node. */
function layerByScope(nodeName: string): string | undefined {
  const parts = nodeName.split("/").filter((part) => part !== "");
  parts.pop();
  // A container repeats its name before the number of its part.
  const kept = parts.filter((part, k) => !parts[k + 1]?.startsWith(`${part}.`));
  return kept.length > 0 ? kept.join(".") : undefined;
}
