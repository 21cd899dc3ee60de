/** Every operator that pergrad knows. To add one, write it in a family's file, or list a new family here. */

import { defect } from "../errors.js";
import { NotLoaded } from "../missing.js";
import { Build } from "./build.js";
import type { OpDefinition } from "./definition.js";
import { rare, rareAtMicrosoft, rareDefinitions, rareInternal, rareOperators } from "./rare.js";
import { activations } from "./rules/activations.js";
import { arithmetic } from "./rules/arithmetic.js";
import { exponential } from "./rules/exponential.js";
import { indexing } from "./rules/indexing.js";
import { joining } from "./rules/joining.js";
import { linear } from "./rules/linear.js";
import { logic } from "./rules/logic.js";
import { reductions } from "./rules/reductions.js";
import { shapes } from "./rules/shapes.js";
import { sizes } from "./rules/sizes.js";
import { slicing } from "./rules/slicing.js";
import { softmax } from "./rules/softmax.js";
import { addRowsDefinition } from "./subgraphs/table.js";

/** By the names of their files in `rules/`. */
export const families = {
  activations,
  arithmetic,
  exponential,
  indexing,
  joining,
  linear,
  logic,
  reductions,
  shapes,
  sizes,
  slicing,
  softmax,
  ...rare,
} as const;

/** Operators of the domain com.microsoft, by the names of their files in `microsoft/`. */
export const microsoftFamilies = rareAtMicrosoft;

/** Operators that no file has. */
const internal: readonly OpDefinition[] = [addRowsDefinition, ...rareInternal];

/** All operators that programs may contain. */
export const allDefinitions: readonly OpDefinition[] = [families, microsoftFamilies].flatMap((folder) =>
  Object.values(folder).flat(),
);

/**
 * The operators that are loaded, by domain. This is the one table that grows while pergrad runs: in a page, operators
 * that few models use are modules of their own, which arrive with the first model that has one. It only ever grows as a
 * page's modules do: each definition is a constant of its module, none is removed, and none replaces another. So the
 * meaning of a name never changes, and no result depends on what was loaded before. (Passed along as a value, the table
 * would have to go to every rule, since rules make nodes by name, and would hold the same constants.)
 */
const loaded = new Map<string, Map<string, OpDefinition>>();

addOperators([...allDefinitions, ...internal]);

/** The operators that are available from the start. */
const atFirst: ReadonlySet<OpDefinition> = new Set(all());

function all(): OpDefinition[] {
  return [...loaded.values()].flatMap((own) => [...own.values()]);
}

/** The operators that few models use and a page has loaded. */
export function loadedOperators(): string[] {
  return all().flatMap((each) => (atFirst.has(each) ? [] : [each.op]));
}

/**
 * Registers operators that few models use, for modules of our own that make nodes of them.
 * @throws PergradError INTERNAL: two operators have one name
 */
export function addOperators(added: readonly OpDefinition[]): void {
  for (const definition of added) {
    const own = loaded.get(definition.domain ?? "") ?? new Map<string, OpDefinition>();
    const before = own.get(definition.op) ?? definition;
    if (before !== definition) throw defect(`the operator ${definition.op} has two definitions`);
    loaded.set(definition.domain ?? "", own.set(definition.op, definition));
  }
}

/**
 * Loads operators that few models use, by name. Needed only in a browser, and there only if you write such an operator
 * by hand (`x.onnx("GridSample", ...)`) outside a loss and outside a module given to `perSample`: these load what they
 * need, and so do `loadModel` and `nn`.
 * @throws PergradError INTERNAL: two operators have one name
 */
export async function loadOperators(ops: Iterable<string>): Promise<void> {
  addOperators(await rareDefinitions(new Set(ops)));
}

export function definitionOf(node: { readonly domain: string; readonly op: string }): OpDefinition | undefined {
  return loaded.get(node.domain)?.get(node.op);
}

/** The operator of ONNX's default domain that a file names. */
export function standardDefinition(op: string): OpDefinition | undefined {
  return loaded.get("")?.get(op);
}

/** Throws UNSUPPORTED_OP if the operator could be loaded but was not. */
function known(domain: string, op: string): OpDefinition | undefined {
  const found = loaded.get(domain)?.get(op);
  if (found || !rareOperators().has(op)) return found;
  const error = new NotLoaded(
    `The operator ${op} is not loaded in this page; write await loadOperators(["${op}"]) before it is used.`,
    async () => {
      await loadOperators([op]);
      // Operators that only files have, such as Loop, are never defined.
      if (!loaded.get(domain)?.has(op)) throw error;
    },
  );
  throw error;
}

/** Makes nodes of all known operators. */
export const build = new Build(known);
