/** Applies a user's function to each sample's gradients. */

import { unseenBefore } from "../analysis/hidden-nan.js";
import { batchOver } from "../autodiff/vmap.js";
import { PergradError } from "../errors.js";
import { isBatch, N, showShape } from "../graph/dim.js";
import { leaf, type Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import { build } from "../ops/registry.js";
import { nth } from "../present.js";
import type { DType, Tensor } from "../tensor/tensor.js";
import { Traced } from "../trace/traced.js";
import type { Returned, Want, WantContext } from "./wanted.js";

type Gradients = Readonly<Record<string, Traced>>;

/** A traced function of one sample's gradients, by parameter, `[...shape]` each. */
export type Reduction<R extends Reduced, G extends Gradients = Gradients> = (gradients: G) => R;

/** One tensor, or several by names of your own. */
export type Reduced = Traced | Readonly<Record<string, Traced>>;

/** The function's results for all samples, `[N, ...]` each. */
export type ReducedBatch<R extends Reduced, D extends DType> = R extends Traced
  ? Tensor<D>
  : { readonly [K in keyof R]: Tensor<D> };

/** Options of `want.reduce`. */
export interface ReduceResultOptions<D extends DType> {
  /** The dtype of the function's results. Default "float32". */
  readonly dtype?: D;
}

/** The name of a single result; the results in a record keep their own names, after a slash. */
const single = "result";

/**
 * The name of a result that shows gradients whose NaN and infinities the function may hide: NaN for each sample that
 * has some, else 0.
 */
const unseen = "unseen";

/**
 * A traced function of your own of each sample's gradients: written for one sample, run for all, inside the program.
 * The parameters that it reads are materialised there, and only its results `[N, ...]` come back: `want.reduce(({
 * weight }: { weight: Traced }) => weight.abs().max())`.
 * @throws PergradError when the program is compiled: INVALID_ARGUMENT (it returns something other than traced tensors,
 *   or reads inputs besides the gradients), MISSING_TENSOR (no such parameter), DTYPE_MISMATCH, UNSUPPORTED_OP.
 */
export function reduce<R extends Reduced, G extends Gradients = Gradients, D extends DType = "float32">(
  reduction: Reduction<R, G>,
  options: ReduceResultOptions<D> = {},
): Want<ReducedBatch<R, D>> {
  const dtype = options.dtype ?? "float32";
  return {
    name: "reduce",
    requirements: { factors: true },
    emit: (wanted) => emitReduction(wanted, reduction as Reduction<R>, dtype),
    read: (returned) => readReduction(returned) as ReducedBatch<R, D>,
  };
}

function emitReduction(
  { plan, losses }: WantContext,
  reduction: Reduction<Reduced>,
  dtype: DType,
): Record<string, Value> {
  const leaves = plan.parameters.map((name) =>
    leaf(name, { dtype: losses.dtype, shape: plan.shapeOf(name) }, { kind: "input" }),
  );
  const returned = reduction(known(Object.fromEntries(leaves.map((value) => [value.name, new Traced(value)]))));
  const named = returned instanceof Traced ? { [single]: returned } : prefixed(returned);
  const values = Object.values(named).map((result) => checked(result, dtype));
  const read = new Set(leavesOf(values));
  checkReads(read, leaves);
  const gradients = leaves
    .filter((value) => read.has(value))
    .map((value) => [value, plan.gradient(value.name)] as const);
  const batched = batchOver(values, new Map(gradients));
  const results = Object.keys(named).map((name, k) => {
    const value = nth(values, k);
    return [name, batched[k] ?? build.expand(build.unsqueeze(value, [0]), [N, ...value.shape])] as const;
  });
  const hidden = new Set(leavesOf(unseenBefore(values)));
  const watched = gradients.filter(([value]) => hidden.has(value));
  return Object.fromEntries([...results, ...watched.map(([{ name }, all]) => [`${unseen}/${name}`, notFinite(all)])]);
}

/** For gradients `[N, ...shape]`: NaN for each sample that has a non-finite element, else 0; `[N]`. */
function notFinite(gradients: Value): Value {
  const others = gradients.shape.slice(1).map((_, k) => k + 1);
  const differences = build.sub(gradients, gradients);
  return others.length === 0 ? differences : build.sum(differences, others);
}

/** The gradients, as a record that throws if it is asked for one that does not exist. */
function known(gradients: Gradients): Gradients {
  return new Proxy(gradients, {
    get: (_, name) => {
      if (typeof name === "symbol" || Object.hasOwn(gradients, name)) return Reflect.get(gradients, name);
      const names = Object.keys(gradients).map((each) => `"${each}"`);
      throw new PergradError(
        "MISSING_TENSOR",
        `The function of want.reduce reads the gradient of "${name}"; read one of ${names.join(", ")}.`,
      );
    },
  });
}

function prefixed(results: Readonly<Record<string, Traced>>): Record<string, Traced> {
  const named = Object.entries(results ?? {}).map(([name, result]) => [`${single}/${name}`, result] as const);
  if (named.length === 0)
    throw new PergradError(
      "INVALID_ARGUMENT",
      "The function of want.reduce returned nothing; return a traced tensor, or several by name.",
    );
  return Object.fromEntries(named);
}

function checked(result: Traced, dtype: DType): Value {
  if (!(result instanceof Traced))
    throw new PergradError("INVALID_ARGUMENT", "The function of want.reduce must return traced tensors.");
  if (result.value.shape.some(isBatch))
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The function of want.reduce works on one sample, but returned ${showShape(result.value.shape)}; return a shape without N.`,
    );
  if (result.dtype === dtype) return result.value;
  throw new PergradError(
    "DTYPE_MISMATCH",
    `The function of want.reduce returned ${result.dtype}, not ${dtype}; cast it, or say so: want.reduce(f, { dtype: "${result.dtype}" }).`,
  );
}

function checkReads(read: ReadonlySet<Value>, gradients: readonly Value[]): void {
  const foreign = ({ source }: Value) =>
    source.kind === "dims" ? source.dims.some(isBatch) : source.kind === "input" || source.kind === "parameter";
  const other = [...read].find((value) => foreign(value) && !gradients.includes(value));
  if (!other) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `The function of want.reduce reads ${other.name ? `"${other.name}"` : "the size of the batch"}, which is not one of its gradients; read only these.`,
  );
}

function readReduction(returned: Returned): Tensor | Record<string, Tensor> {
  const only = returned[single];
  if (only) return only;
  const named = Object.entries(returned).filter(([name]) => name.startsWith(`${single}/`));
  return Object.fromEntries(named.map(([name, tensor]) => [name.slice(single.length + 1), tensor]));
}
