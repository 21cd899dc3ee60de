/** How the curvature of each block of parameters is approximated, in words. */
import type { Approximation, FullFactorSizes } from "./kronecker.js";
import { type Block, parametersOf, positionsIn } from "./layers.js";

/** How the curvature of some parameters is approximated. */
export interface Standing {
  /** A weight and perhaps its bias, or one parameter. */
  readonly parameters: readonly string[];
  /** In a few words: "Kronecker (expand)", "exact block", "diagonal", ... */
  readonly approximation: string;
  /** The same as the end of a sentence. */
  readonly how: string;
}

/** How a block's curvature is approximated. */
export function standingOf(block: Block, approximation: Approximation, sizes: FullFactorSizes): Standing {
  const parameters = parametersOf(block);
  const { rows, columns } = block.matrix;
  const cut = [rows, columns + parameters.length - 1].some((size) => size > sizes.side);
  const large = cut ? `, of sides above ${sizes.side} the diagonal` : "";
  switch (block.kind) {
    case "layer": {
      const { word, how } = together(positionsIn(block), approximation);
      const moments = "a Kronecker product of its inputs' and its outputs' second moments";
      return { parameters, approximation: `Kronecker${word}`, how: `${moments}${how}${large}` };
    }
    case "table": {
      const { word, how } = together(block.gradient.positions, approximation);
      const moments = "a Kronecker product of how often each row is picked and its outputs' second moments";
      return { parameters, approximation: `Kronecker of a table${word}`, how: `${moments}${how}` };
    }
    case "matrix":
      return {
        parameters,
        approximation: "Kronecker of gradients",
        how: `a Kronecker product of the second moments of its gradient's rows and columns, which is no product of one layer's inputs and outputs${large}`,
      };
    case "vector":
      return columns <= sizes.vector
        ? { parameters, approximation: "exact block", how: `exact, all ${columns} by ${columns} elements` }
        : { parameters, approximation: "diagonal", how: "its diagonal, exactly" };
  }
}

/** How several positions are put together. */
function together(positions: number, approximation: Approximation): { readonly word: string; readonly how: string } {
  if (positions === 1) return { word: "", how: "" };
  return approximation === "expand"
    ? { word: " (expand)", how: `, each of its ${positions} positions taken for a sample` }
    : { word: " (reduce)", how: `, of means and sums over its ${positions} positions` };
}
