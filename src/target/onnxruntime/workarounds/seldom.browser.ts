/** Work-arounds for operators that few models use, for a page: they are loaded with these operators. */
import { loadedOperators } from "../../../ops/registry.js";
import type { FasterForms } from "../faster-forms.js";
import type { Seldom, Workaround } from "./workaround.js";

type Others = Pick<typeof import("./seldom-needed.js"), "seldomNeeded" | "fasterAfterLoops">;

const none: Seldom = { workarounds: [], poolsOfInfinities: (outputs) => outputs, names: [] };

/** What has been loaded: it stays for the next program. */
const loaded: { convolutions?: readonly Workaround[]; pools?: Seldom; others?: Others } = {};

const convolving: ReadonlySet<string> = new Set(["Conv", "ConvTranspose", "DeformConv"]);

const pools: ReadonlySet<string> = new Set([
  "MaxPool",
  "MaxUnpool",
  "AveragePool",
  "LpPool",
  "GlobalAveragePool",
  "GlobalMaxPool",
  "GlobalLpPool",
]);

/** Operators that need none of the rest. */
export const withoutAny: ReadonlySet<string> = new Set([
  "Conv",
  "ConvTranspose",
  ...pools,
  "Einsum",
  "Gelu",
  "HardSwish",
  "Mish",
  "OnePlusErf",
  "PRelu",
  "Shrink",
  "SwiGLU",
  "Swish",
]);

export function seldom(): Seldom {
  const { convolutions = [], pools: ofPools = none, others } = loaded;
  return { ...ofPools, workarounds: [...convolutions, ...ofPools.workarounds, ...(others?.seldomNeeded ?? [])] };
}

/** Faster forms of what these operators give. */
export function seldomFaster(): FasterForms {
  return loaded.others?.fasterAfterLoops ?? {};
}

/** Loads what programs made of the loaded operators may need. */
export async function loadSeldom(): Promise<void> {
  const ops = loadedOperators();
  if (ops.some((op) => convolving.has(op))) loaded.convolutions ??= (await import("./convolutions.js")).convolutions;
  if (ops.some((op) => pools.has(op))) loaded.pools ??= (await import("./pool-workarounds.js")).poolWorkarounds;
  if (ops.some((op) => !withoutAny.has(op))) loaded.others ??= await import("./seldom-needed.js");
}
