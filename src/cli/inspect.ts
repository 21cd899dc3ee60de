/** inspect: what pergrad sees in a model, and what it would do with it. */
import { SampleAxes } from "../analysis/sample-axes.js";
import { objectiveOf } from "../compile/objective.js";
import { planFor } from "../compile/planning.js";
import { PergradError } from "../errors.js";
import { bindShape, showShape } from "../graph/dim.js";
import type { Model } from "../graph/model.js";
import type { Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { table } from "../inspect/table.js";
import { type NamedLoss, namedLosses } from "../nn/as-loss.js";
import { explainPlan } from "../plan/explain.js";
import { sizeOf } from "../tensor/tensor.js";
import { want } from "../wants/want.js";
import type { Io } from "./io.js";
import { json } from "./json.js";
import type { Progress } from "./progress.js";
import { modelTaskOf, type TaskOptions } from "./task.js";

export interface InspectOptions extends Omit<TaskOptions, "loss"> {
  readonly json?: boolean;
}

interface Port {
  readonly name: string;
  readonly dtype: string;
  readonly shape: string;
  /** The axis of the samples, "shared", or why there is none. */
  readonly samples: string;
}

/** What `inspect` prints. */
interface Inspection {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly parameters: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly elements: number;
  }[];
  readonly elements: number;
  readonly operators: Readonly<Record<string, number>>;
  readonly constants: Readonly<Record<string, string>>;
  readonly leftOut: Readonly<Record<string, string>>;
  readonly notes: readonly string[];
  /** Losses that fit the first output; for each, whether per-sample gradients can be computed. */
  readonly losses: readonly { readonly name: NamedLoss; readonly target: string }[];
  /** For each parameter: the kind of its gradient, and how its norm is computed. */
  readonly plan: readonly { readonly parameter: string; readonly kind: string; readonly norm: string }[];
  /** Why there are no per-sample gradients, if there are none. */
  readonly problem?: string;
}

export async function inspect(modelFile: string, options: InspectOptions, io: Io, progress: Progress): Promise<void> {
  const { model } = await modelTaskOf(modelFile, options, progress);
  const found = inspection(model);
  progress.stop();
  io.stdout.write(options.json ? json(found) : textOf(found));
}

function inspection(model: Model): Inspection {
  const { graph, sampleAxes, constants = {}, leftOut, notes } = model;
  const axes = SampleAxes.ofInputs(graph.inputs, sampleAxes);
  const parameters = graph.parameters.map(({ name, shape }) => {
    const dims = bindShape(shape, 0);
    return { name, shape: dims, elements: sizeOf(dims) };
  });
  return {
    inputs: graph.inputs.map((value) => {
      const axis = sampleAxes[value.name] ?? null;
      return { ...portOf(value.name, value), samples: axis === null ? "shared" : `axis ${axis}` };
    }),
    outputs: graph.outputs.map(({ name, value }) => ({ ...portOf(name, value), samples: samplesOf(value, axes) })),
    parameters,
    elements: parameters.reduce((sum, { elements }) => sum + elements, 0),
    operators: operatorsOf(model),
    constants,
    leftOut,
    notes,
    ...planned(model),
  };
}

function portOf(name: string, { dtype, shape }: Value): Omit<Port, "samples"> {
  return { name, dtype, shape: showShape(shape) };
}

function samplesOf(value: Value, axes: SampleAxes): string {
  try {
    const at = axes.of(value);
    return at === null ? "shared" : `axis ${at.axis}${at.outer * at.inner === 1 ? "" : ", folded with others"}`;
  } catch (error) {
    if (error instanceof PergradError) return `none: ${error.message}`;
    throw error;
  }
}

/** The number of nodes of each operator. */
function operatorsOf({ graph }: Model): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { op } of nodesBefore(graph.outputs.map(({ value }) => value))) counts.set(op, (counts.get(op) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)));
}

/** The losses that fit, and how norms would be computed with the first of them. */
function planned(model: Model): Pick<Inspection, "losses" | "plan" | "problem"> {
  let problem: string | undefined;
  const losses = namedLosses.flatMap((name) => {
    try {
      const objective = objectiveOf(model, { loss: name });
      const target = objective.expected.get("target")?.value;
      return [{ name, target: target ? `${target.dtype} ${showShape(target.shape)}` : "none", objective }];
    } catch (error) {
      if (!(error instanceof PergradError)) throw error;
      problem ??= error.message;
      return [];
    }
  });
  const [first] = losses;
  if (!first) return { losses: [], plan: [], ...(problem === undefined ? {} : { problem }) };
  const rows = explainPlan(planFor(first.objective, { norms: want.norms() }, {}));
  return {
    losses: losses.map(({ name, target }) => ({ name, target })),
    plan: rows.map(({ parameter, kind, norm }) => ({ parameter, kind, norm: norm ?? "-" })),
  };
}

function textOf(found: Inspection): string {
  const ports = (all: readonly Port[]) =>
    table(
      all.map(({ name, dtype, shape, samples }) => [`  ${name}`, dtype, shape, `samples: ${samples}`]),
      4,
    );
  const plans = new Map(found.plan.map((row) => [row.parameter, row]));
  const parameters = found.parameters.map(({ name, shape, elements }) => {
    const own = plans.get(name);
    return [
      `  ${name}`,
      `[${shape.join(", ")}]`,
      elements.toLocaleString("en-US"),
      own?.kind ?? "-",
      own ? `norm: ${own.norm}` : "reaches no loss",
    ];
  });
  const list = (heading: string, entries: readonly string[]) =>
    entries.length === 0 ? [] : [`${heading}\n${entries.map((entry) => `  ${entry}\n`).join("")}`];
  return [
    `Inputs\n${ports(found.inputs)}`,
    `Outputs\n${ports(found.outputs)}`,
    `Parameters (${found.parameters.length}, ${found.elements.toLocaleString("en-US")} numbers; how their gradients are held, and their norms computed)\n${table(parameters, 5)}`,
    `Operators\n  ${Object.entries(found.operators)
      .map(([op, count]) => `${op} ${count}`)
      .join(", ")}\n`,
    ...list(
      "Losses that fit the first output, with their targets",
      found.losses.map(({ name, target }) => `${name}: ${target}`),
    ),
    ...list("No gradients per sample", found.problem === undefined ? [] : [found.problem]),
    ...list(
      "Initializers that are no parameters",
      Object.entries(found.constants).map(([name, why]) => `${name}: ${why}`),
    ),
    ...list(
      "Outputs that cannot be computed",
      Object.entries(found.leftOut).map(([name, why]) => `${name}: ${why}`),
    ),
    ...list("Notes", found.notes),
  ].join("\n");
}
