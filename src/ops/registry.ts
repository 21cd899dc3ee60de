/** Every operator that pergrad knows. To add one: write it in a family's file, or list a new family here. */

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
import { trigonometric } from "./rules/trigonometric.js";
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
  trigonometric,
  ...rare,
} as const;

/** Operators of the domain com.microsoft, by the names of their files in `microsoft/`. */
export const microsoftFamilies = rareAtMicrosoft;

/** What no file that is read holds. */
const internal: readonly OpDefinition[] = [addRowsDefinition, ...rareInternal];

/** All operators that programs may hold. */
export const allDefinitions: readonly OpDefinition[] = [families, microsoftFamilies].flatMap((folder) =>
  Object.values(folder).flat(),
);

/**
 * The operators that are loaded, by their domains. This is the one table that grows while pergrad runs: in a page, the operators that few
 * models use are modules of their own, which arrive with the first model that has one. It grows as the modules of a
 * page do, and in no other way: each definition is a constant of its module, none is taken out, and none takes the
 * place of another. So what a name means never changes, and no result depends on what was loaded before. (Handed along
 * as a value, it would go to every rule, since rules make nodes by name, and hold the same constants.)
 */
const loaded = new Map<string, Map<string, OpDefinition>>();

addOperators([...allDefinitions, ...internal]);

/** Those that are there from the start. */
const atFirst: ReadonlySet<OpDefinition> = new Set(all());

function all(): OpDefinition[] {
  return [...loaded.values()].flatMap((own) => [...own.values()]);
}

/** The operators that few models use and a page has loaded. */
export function loadedOperators(): string[] {
  return all().flatMap((each) => (atFirst.has(each) ? [] : [each.op]));
}

/**
 * For modules of our own that make nodes of operators which few models use, and so bring them along.
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
 * Loads the operators that few models use, by their names. Needed in a browser only, and there only before
 * `x.onnx("GridSample", ...)` is written by hand outside of a loss and of a module given to `perSample`: these load what
 * they make, and so do `loadModel` and `nn`.
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

/** Throws UNSUPPORTED_OP where the operator could be loaded, but was not. */
function known(domain: string, op: string): OpDefinition | undefined {
  const found = loaded.get(domain)?.get(op);
  if (found || !rareOperators().has(op)) return found;
  const error = new NotLoaded(
    `The operator ${op} is not loaded in this page; write await loadOperators(["${op}"]) before it is used.`,
    async () => {
      await loadOperators([op]);
      // What files alone hold, such as a loop, is never defined.
      if (!loaded.get(domain)?.has(op)) throw error;
    },
  );
  throw error;
}

/** Makes nodes of all known operators. */
export const build = new Build(known);
