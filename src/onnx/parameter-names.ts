/**
 * Readable names for weights whose own names an exporter lost: a linear layer's weight that was transposed
 * when the file was made is called "onnx::MatMul_12", but the bias beside it is still "fc1.bias", and the
 * node that reads it "/fc1/MatMul".
 */
import type { NodeProto } from "onnx-buf";
import type { Use, Uses } from "./uses.js";
import { isGenerated } from "./weights.js";

/** What an operator's inputs are called in a layer. */
const roles: ReadonlyMap<string, readonly (string | undefined)[]> = new Map([
  ["BatchNormalization", [undefined, "weight", "bias"]],
  ["Conv", [undefined, "weight", "bias"]],
  ["ConvTranspose", [undefined, "weight", "bias"]],
  ["GRU", [undefined, "W", "R", "B"]],
  ["Gather", ["weight"]],
  ["Gemm", [undefined, "weight", "bias"]],
  ["GroupNormalization", [undefined, "weight", "bias"]],
  ["InstanceNormalization", [undefined, "weight", "bias"]],
  ["LSTM", [undefined, "W", "R", "B"]],
  ["LayerNormalization", [undefined, "weight", "bias"]],
  ["MatMul", ["weight", "weight"]],
  ["PRelu", [undefined, "weight"]],
  ["RNN", [undefined, "W", "R", "B"]],
]);

/** The name itself where somebody chose it, or where the graph tells no better one. */
export function readableName(name: string, uses: Uses): string {
  if (!isGenerated(name, uses)) return name;
  const use = uses.readersOf(name)[0];
  const layer = use && (layerBySibling(use, uses) ?? layerByMetadata(use.node) ?? layerByScope(use.node.name));
  if (!use || layer === undefined) return name;
  const role = roles.get(use.node.opType)?.[use.index] ?? roleInFormula(use, uses);
  // Written as x W instead of x W^T: PyTorch's exporters transpose the weight and make up a name.
  const linear = name.startsWith("onnx::MatMul_") || metadata(use.node, "namespace").endsWith("aten.linear.default");
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

function metadata({ metadataProps }: NodeProto, key: string): string {
  return metadataProps.find((entry) => entry.key === key)?.value ?? "";
}

/** From "['', 'enc', 'enc.self_attn', 'linear']", as PyTorch's newer exporter leaves it: modules, then the call. */
function layerByMetadata(node: NodeProto): string | undefined {
  const scopes = [...metadata(node, "pkg.torch.onnx.name_scopes").matchAll(/'([^']*)'/g)].map(([, scope]) => scope);
  return scopes.at(-2) || undefined;
}

/** From "/encoder/encoder.0/fc1/MatMul": the modules around the node. */
function layerByScope(node: NodeProto["name"]): string | undefined {
  const parts = node.split("/").filter((part) => part !== "");
  parts.pop();
  // A container's name is repeated before the number of its part.
  const kept = parts.filter((part, k) => !parts[k + 1]?.startsWith(`${part}.`));
  return kept.length > 0 ? kept.join(".") : undefined;
}
