/** Programs for small memory budgets: planned again with methods that hold less at a time and take longer. */
import { blockedUnfold } from "../gradients/factored.js";
import type { LowMemoryStrategy } from "../plan/strategy.js";
import type { Executable } from "../target/target.js";

/** A convolution with the kernel flipped needs no unfolded cotangents. */
const inBlocks = { norm: blockedUnfold, materialise: "lowMemory", convolutionData: "flipped" } as const;

/**
 * Keeps the gradients of convolutions from norm to sum: they are small if images are large and kernels small, and what
 * they are made from is freed. Or unfolds once more for the sums, and keeps no gradients.
 */
const methods: readonly LowMemoryStrategy[] = [
  { ...inBlocks, sum: "materialise" },
  { ...inBlocks, sum: blockedUnfold },
];

/**
 * The usual plan if one sample fits into `budget` bytes; else the first low-memory plan in which one fits, or the plan
 * that needs the least.
 */
export async function withinBudget<P extends { readonly executable: Executable }>(
  plan: (lowMemory: LowMemoryStrategy) => Promise<P>,
  budget = Number.POSITIVE_INFINITY,
): Promise<P> {
  const needed = ({ executable }: P) => executable.memory.at(1);
  let best = await plan({});
  for (const lowMemory of methods) {
    if (needed(best) <= budget) break;
    const other = await plan(lowMemory);
    if (needed(other) < needed(best)) best = other;
  }
  return best;
}
