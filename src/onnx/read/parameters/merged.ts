/**
 * Signs that an exporter merged equal weights, or dropped biases that were all zero, as those of a fresh model are. The
 * file then computes the same, but its gradients are those of another model.
 */

import type { NodeProto } from "onnx-buf";
import { listed } from "../../../meant.js";
import { standardDefinition } from "../../../ops/registry.js";
import type { Tensor } from "../../../tensor/tensor.js";
import { describeProto, standardDomain } from "../../proto.js";
import type { Uses } from "../uses.js";

const mostNamed = 4;

/** @param weights the parameters, by their names in the file */
export function mergedNotes(weights: ReadonlyMap<string, Tensor>, nodes: readonly NodeProto[], uses: Uses): string[] {
  const shared = [...weights].flatMap(([name, tensor]) => {
    const readers = [...new Set(uses.readersOf(name).map(({ node }) => node))];
    return readers.length > 1 && isUniform(tensor) ? [sharedNote(name, tensor, readers)] : [];
  });
  return [...shared, ...lackingNotes(weights, nodes, uses)];
}

function isUniform({ data }: Tensor): boolean {
  return data.length > 1 && data.every((element: number | bigint) => element === data[0]);
}

function sharedNote(name: string, { data }: Tensor, readers: readonly NodeProto[]): string {
  return (
    `"${name}" is ${data[0]} everywhere and serves ${readers.length} layers (${listed(readers.map(describeProto), mostNamed)}): ` +
    "exporters store equal weights once, so the layers of a fresh model come to share them, and their gradients add up; " +
    "export with optimize=False, or after some training."
  );
}

/** For each kind of layer: those without a bias, if most have one. */
function lackingNotes(weights: ReadonlyMap<string, Tensor>, nodes: readonly NodeProto[], uses: Uses): string[] {
  const kinds = new Map<string, { readonly having: number; readonly lacking: readonly NodeProto[] }>();
  for (const node of nodes) {
    const has = hasBias(node, weights, uses);
    if (has === null) continue;
    const { having, lacking } = kinds.get(node.opType) ?? { having: 0, lacking: [] };
    kinds.set(node.opType, { having: having + (has ? 1 : 0), lacking: has ? lacking : [...lacking, node] });
  }
  return [...kinds].flatMap(([kind, { having, lacking }]) => {
    if (lacking.length === 0 || lacking.length > having) return [];
    const [which, verb] = lacking.length === 1 ? ["node", "has"] : ["nodes", "have"];
    const names = listed(
      lacking.map((node) => `"${node.name || node.output[0]}"`),
      mostNamed,
    );
    return [
      `The ${kind} ${which} ${names} ${verb} no bias, unlike ${having} other${having > 1 ? "s" : ""}: exporters drop ` +
        "biases that are all zero, as those of a fresh model; if so, export with optimize=False, or after some training.",
    ];
  });
}

/** Null for a node that is not a layer with a weight of its own. */
function hasBias(node: NodeProto, weights: ReadonlyMap<string, Tensor>, uses: Uses): boolean | null {
  if (standardDomain(node.domain) !== "") return null;
  const weighted = node.input.slice(1, 2).some((name) => weights.has(name));
  const place = standardDefinition(node.opType)?.layer?.optionalBias;
  if (!weighted || (place === undefined && node.opType !== "MatMul")) return null;
  if (place !== undefined && (node.input[place] ?? "") !== "") return true;
  // A linear layer on three axes is a product and a sum.
  return uses
    .readersOf(node.output[0] ?? "")
    .some(({ node: next, index }) => next.opType === "Add" && weights.has(next.input[1 - index] ?? ""));
}
