/**
 * Constants that an exporter computed from parameters. The file then lacks the path from parameter to constant, and the
 * parameter's gradient lacks the part along it. PyTorch's newer exporter records what it computed from what.
 */

import type { GraphProto } from "onnx-buf";
import { PergradError } from "../../../errors.js";
import { listed } from "../../../meant.js";
import { metadataOf } from "../../proto.js";
import type { Uses } from "../uses.js";
import { originsOf, weightsAmong } from "./weights.js";

export interface FoldedConstant {
  readonly name: string;
  readonly parameters: readonly string[];
}

const signatureKey = "pkg.torch.export.ExportedProgram.graph_signature";

/** The exporter's names for parameters; null if it does not record them. */
export function parametersInSignature({ metadataProps }: GraphProto): ReadonlySet<string> | null {
  const signature = metadataOf({ metadataProps }, signatureKey);
  if (signature === undefined) return null;
  const lines = [...signature.matchAll(/^\s*(\S+): PARAMETER target='([^']*)'/gm)];
  return new Set(lines.flatMap(([, placeholder = "", target = ""]) => [placeholder, target]));
}

/** The parameters that a constant was computed from. */
export function parametersBehind(name: string, uses: Uses, signature: ReadonlySet<string> | null): string[] {
  return weightsAmong(originsOf(name, uses) ?? [], signature);
}

const advice = "export with torch.onnx.export(..., dynamo=True, optimize=False), which folds nothing";
const mostNamed = 4;

/** @param present the parameters that the file still has */
export function foldedNotes(folded: readonly FoldedConstant[], present: ReadonlySet<string>): string[] {
  const notes = folded.slice(0, mostNamed).map(({ name, parameters }) => {
    const quoted = listed(
      parameters.map((parameter) => `"${parameter}"`),
      mostNamed,
    );
    const what = `The exporter computed the constant "${name}" from the parameter${parameters.length > 1 ? "s" : ""} ${quoted}`;
    const kept = parameters.filter((parameter) => present.has(parameter));
    const result =
      kept.length > 0
        ? `so the gradient of ${listed(
            kept.map((parameter) => `"${parameter}"`),
            mostNamed,
          )} lacks that path`
        : `so the file has "${name}" in ${parameters.length > 1 ? "their" : "its"} place`;
    return `${what}, ${result}; ${advice}.`;
  });
  const more = folded.length - notes.length;
  return more > 0 ? [...notes, `So it did for ${more} more constant${more > 1 ? "s" : ""}.`] : notes;
}

/** Throws FOLDED_PARAMETERS. */
export function refuseFolded(notes: readonly string[]): void {
  const [first] = notes;
  if (first !== undefined) throw new PergradError("FOLDED_PARAMETERS", first);
}
