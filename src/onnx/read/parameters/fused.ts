/**
 * Weights that an exporter multiplied by something and stored under the same name or a made-up one: for a batch
 * normalisation after a convolution, or a weight normalisation. Their gradients are those of the product.
 */

import type { NodeProto } from "onnx-buf";
import { listed } from "../../../meant.js";
import { standardDefinition } from "../../../ops/registry.js";
import { describeProto, metadataOf, standardDomain } from "../../proto.js";
import type { Uses } from "../uses.js";

/** The key that PyTorch's newer exporter writes on a node made by one of its rules. */
const ruleKey = "pkg.onnxscript.rewriter.rule_name";
/** Names that ONNX Runtime's optimizer gives to weights that it multiplied by what follows the layer. */
const optimised = /^(ConvBnFusion_W|ConvMulFusion_W|MatMulBnFusion_GemmB)_/;
/** The rules that compute new weights. */
const fusing = /^FuseBatchNorm|^(ConvAffine|AffineConv)/;
const mostNamed = 4;

export interface FusedNotes {
  /** What the file records. */
  readonly certain: readonly string[];
  /** What names suggest. */
  readonly likely: readonly string[];
}

/** @param names the parameters' names, by those in the file */
export function fusedNotes(nodes: readonly NodeProto[], names: ReadonlyMap<string, string>, uses: Uses): FusedNotes {
  const weighted = nodes.filter(({ input: [, weight = ""] }) => names.has(weight));
  const fused = weighted.filter((node) => fusing.test(metadataOf(node, ruleKey) ?? ""));
  const offline = weighted.filter(({ input: [, weight = ""] }) => optimised.test(weight));
  const computed = weighted.filter((node) => !fused.includes(node) && hasComputedWeight(node, uses));
  const multiplied =
    (who: string, advice: string) =>
    (weights: string, readers: string, many: boolean): string =>
      `${who} multiplied what follows ${readers}, such as a batch normalisation, into ${weights}, so the file has ` +
      `${many ? "the products in their places" : "the product in its place"}; ${advice}.`;
  return {
    certain: [
      ...noteOn(
        fused,
        names,
        multiplied(
          "The exporter",
          "export with torch.onnx.export(..., dynamo=True, optimize=False), which folds nothing",
        ),
      ),
      ...noteOn(
        offline,
        names,
        multiplied("ONNX Runtime's optimizer", "load the model that it was given, from before the optimisation"),
      ),
    ],
    likely: noteOn(computed, names, (weights, readers, many) => {
      return (
        `By ${many ? "their names" : "its name"}, ${weights} of ${readers} ${many ? "were" : "was"} computed by the ` +
        `exporter, from a weight and a batch normalisation behind it perhaps, whose own gradients the file cannot give; ` +
        "export with do_constant_folding=False."
      );
    }),
  };
}

function noteOn(
  nodes: readonly NodeProto[],
  names: ReadonlyMap<string, string>,
  say: (weights: string, readers: string, many: boolean) => string,
): string[] {
  if (nodes.length === 0) return [];
  const weights = [...new Set(nodes.map(({ input: [, weight = ""] }) => `"${names.get(weight)}"`))];
  return [say(listed(weights, mostNamed), listed(nodes.map(describeProto), mostNamed), weights.length > 1)];
}

/**
 * A linear layer's weight may be transposed in the file, which loses nothing; a weight that is transposed at run time
 * was not.
 */
function hasComputedWeight({ opType, domain, input: [, weight = ""], attribute }: NodeProto, uses: Uses): boolean {
  // PyTorch's older exporter stores the weight of a linear layer unchanged, under its own name, unless it computed it.
  const kind = standardDomain(domain) === "" ? standardDefinition(opType)?.layer?.kind : undefined;
  const linear = kind === "linear" || kind === "convolution";
  if (!linear || !/^onnx::/.test(weight)) return false;
  const turned = attribute.some(({ name, i }) => name === "transB" && i === 1n);
  return uses.isStored(weight) && (opType !== "Gemm" || turned);
}
