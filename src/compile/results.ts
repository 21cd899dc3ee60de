/** From a plan to the wanted results: the stage "planned". */
import type { Differentiable } from "../curvature/differentiable.js";
import { leaf, type Value } from "../graph/value.js";
import type { TimesVector } from "../nn/loss.js";
import type { Plan } from "../plan/planner.js";
import { needsGradients } from "../plan/questions.js";
import type { DType } from "../tensor/tensor.js";
import { Traced } from "../trace/traced.js";
import type { WantContext, Wants } from "../wants/wanted.js";
import { hiddenNotNumbers } from "./hidden-nan.js";
import { joiningOf, type Output } from "./joining.js";
import { type Objective, targetName } from "./objective.js";
import { hiddenNaN, type Watch, watchFor } from "./watch.js";

/** An input that a want adds: a tensor of a parameter's shape. */
export interface Vector {
  readonly want: string;
  readonly parameter: string;
  readonly value: Value;
}

/** An input that a want adds: a tensor of its other batch. */
export interface Factor {
  readonly want: string;
  readonly name: string;
  readonly value: Value;
}

/** An input that a want adds: a number. */
export interface Scalar {
  readonly want: string;
  readonly name: string;
  readonly value: Value;
  readonly initial: number;
}

/** All results, and the inputs that wants add. */
export interface WantedResults {
  readonly results: readonly Output[];
  readonly vectors: readonly Vector[];
  readonly factors: readonly Factor[];
  readonly scalars: readonly Scalar[];
  /** How the program checks that gradients are finite; undefined if there are none. */
  readonly watch: Watch | undefined;
}

/** @param others the other batches that wants read, by name */
export function wantedResults(
  objective: Objective,
  plan: Plan,
  wants: Wants,
  others: ReadonlyMap<string, { readonly samples: number }>,
  allowNotFinite = false,
): WantedResults {
  const own = new OwnInputs(objective.losses.dtype, plan);
  const differentiable = differentiableOf(objective, plan, allowNotFinite);
  const given = (want: string) => ({
    plan,
    differentiable,
    losses: objective.losses,
    outputs: objective.outputs,
    others: others.get(want)?.samples ?? 0,
    ...own.of(want),
  });
  const results = Object.entries(wants).flatMap(([name, each]) =>
    Object.entries(each.emit(given(name))).map(([tensor, value]): Output => {
      const as = each.joinedAs?.(tensor);
      const joining = as?.kind === "deviations" ? { ...as, sum: `${name}/${as.sum}` } : as;
      return {
        want: name,
        name: `${name}/${tensor}`,
        value,
        joining: joining ?? joiningOf(value, objective, each.joining),
      };
    }),
  );
  const { watch, added } = watchedBy(objective, plan, wants);
  const more = added.map((each) => ({ want: "", ...each, joining: joiningOf(each.value, objective) }));
  return { results: [...results, ...more], ...own.all, watch };
}

/** The parts of an objective that second derivatives need. */
export function differentiableOf(
  objective: Objective,
  { options }: Pick<Plan, "options">,
  notFiniteInputs: boolean,
): Differentiable {
  const { losses, loss, output, parameters, axes, expected } = objective;
  const target = expected.get(targetName)?.value;
  const given = target ? new Traced(target) : null;
  const { root, second } = loss;
  const zeroColumns = loss.zeroColumns?.(output.shape, target?.shape);
  const traced = (times: TimesVector) => (value: Value, vector: Value) =>
    times(new Traced(value), given, new Traced(vector)).value;
  return {
    losses,
    output,
    parameters,
    axes,
    lossOf: (value) => loss.apply(new Traced(value), given).value,
    terms: loss.terms?.(output.shape, target?.shape ?? null) ?? 1,
    root: typeof root === "function" ? traced(root) : root,
    zeroColumns,
    second: second && traced(second),
    strategy: { ...options.lowMemory, ...options.strategy, ...(options.prices ? { prices: options.prices } : {}) },
    notFiniteInputs,
  };
}

/** How non-finite results are detected, and the results needed for that. */
function watchedBy(
  objective: Objective,
  plan: Plan,
  wants: Wants,
): { readonly watch: Watch | undefined; readonly added: readonly Pick<Output, "name" | "value">[] } {
  // If memory is short, factors are not kept to be watched; the results themselves are checked.
  const watches = needsGradients(plan.requirements) && !plan.holdsLittle;
  const watched = watches ? watchFor(plan, wants, objective.losses) : undefined;
  const hidden = hiddenNotNumbers(objective);
  return {
    watch: watched?.watch,
    added: [...(watched?.added ? [watched.added] : []), ...(hidden ? [{ name: hiddenNaN, value: hidden }] : [])],
  };
}

/** Collects the inputs that wants add. */
class OwnInputs {
  readonly #vectors: Vector[] = [];
  readonly #factors: Factor[] = [];
  readonly #scalars: Scalar[] = [];

  constructor(
    private readonly dtype: DType,
    private readonly plan: Plan,
  ) {}

  get all(): Pick<WantedResults, "vectors" | "factors" | "scalars"> {
    return { vectors: this.#vectors, factors: this.#factors, scalars: this.#scalars };
  }

  /** The functions that make inputs for one want. */
  of(want: string): Pick<WantContext, "vector" | "factor" | "scalar"> {
    const { dtype } = this;
    return {
      vector: (parameter) => {
        const type = { dtype, shape: this.plan.shapeOf(parameter) };
        const value = leaf(`${want}/with/${parameter}`, type, { kind: "input" });
        this.#vectors.push({ want, parameter, value });
        return value;
      },
      factor: (name, type) => {
        const value = leaf(`${want}/other/${name}`, type, { kind: "input" });
        this.#factors.push({ want, name, value });
        return value;
      },
      scalar: (name, initial) => {
        const value = leaf(`${want}/at/${name}`, { dtype, shape: [] }, { kind: "input" });
        this.#scalars.push({ want, name, value, initial });
        return value;
      },
    };
  }
}
