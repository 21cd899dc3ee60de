/** Scores that are inner products of gradients. */
import { checkNumber, checkOptions, checkSwitch, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import { PergradError } from "../errors.js";
import { nth } from "../present.js";
import type { Dataset } from "../program/given-data.js";
import { dot, norm } from "../solvers/vectors.js";
import type { ByParameter } from "../wants/want.js";
import type { Checkpoint } from "./checkpoint.js";
import { alike, type Method, type Setting } from "./method.js";
import { besides, RowProducts } from "./products.js";
import { Table } from "./table.js";

/** The state of Adam at a checkpoint. */
export interface AdamMoments {
  /** The running mean of gradients, by parameter. */
  readonly first: ByParameter;
  /** The running mean of squared gradients, by parameter. */
  readonly second: ByParameter;
  /** Steps taken so far. */
  readonly steps: number;
}

/** Options of `attribution.tracIn`. */
export interface TracInOptions {
  /** For each checkpoint, the learning rate with which training continued from there. Default: 1 each. */
  readonly learningRates?: readonly number[];
  /** Whether gradients are divided by their norms. Default false. */
  readonly cosine?: boolean;
  /**
   * Adam's state at each checkpoint. If it is given, a training sample counts with the step that Adam would take with
   * its gradient alone, and the score is the cosine of that step with the query's gradient (LESS, Xia et al. 2024).
   * Default: none.
   */
  readonly adam?: readonly AdamMoments[];
  /** Adam's beta1. Default 0.9. */
  readonly beta1?: number;
  /** Adam's beta2. Default 0.999. */
  readonly beta2?: number;
  /** Adam's epsilon. Default 1e-8. */
  readonly epsilon?: number;
}

/** g_m . g_n (Charpiat et al. 2019, "Input similarity from the neural network perspective"); the mean over checkpoints. */
export function gradDot(): Method {
  return summed("gradDot", {}, (checkpoints) => checkpoints.map(() => 1 / checkpoints.length), false);
}

/** The cosine of the angle between the gradients, 0 if a gradient is 0; the mean over checkpoints. */
export function gradCos(): Method {
  return summed("gradCos", {}, (checkpoints) => checkpoints.map(() => 1 / checkpoints.length), true);
}

const tracInOptions: OptionNames<TracInOptions> = {
  learningRates: true,
  cosine: true,
  adam: true,
  beta1: true,
  beta2: true,
  epsilon: true,
};

/**
 * The sum over checkpoints of their learning rate times g_m . g_n there (Pruthi et al. 2020, "Estimating training data
 * influence by tracing gradient descent").
 * @throws PergradError INVALID_ARGUMENT, here or if the number of checkpoints differs.
 */
export function tracIn(options: TracInOptions = {}): Method {
  checkOptions("attribution.tracIn(options)", options, tracInOptions);
  checkTracIn(options);
  const { learningRates, cosine = false, adam } = options;
  const rates = (checkpoints: readonly Checkpoint[]) => ratesOf(checkpoints, learningRates);
  const settings = { ...(learningRates ? { learningRates } : {}), cosine };
  if (!adam) return summed("tracIn", settings, rates, cosine);
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options;
  return steps(settings, rates, adam, { beta1, beta2, epsilon });
}

/** Throws INVALID_ARGUMENT. */
function checkTracIn({ learningRates, cosine, adam, beta1, beta2, epsilon }: TracInOptions): void {
  const rates: unknown = learningRates;
  if (rates !== undefined && !(Array.isArray(rates) && rates.every(Number.isFinite)))
    throw invalidArgument(
      `The learning rates of tracIn must be an array of numbers, not ${Array.isArray(rates) ? rates.map(kindOf).join(", ") : kindOf(rates)}; give one for each checkpoint.`,
    );
  checkSwitch("The option cosine of tracIn", cosine);
  checkNumber("The beta1 of tracIn", beta1, { from: 0, below: 1 });
  checkNumber("The beta2 of tracIn", beta2, { from: 0, below: 1 });
  checkNumber("The epsilon of tracIn", epsilon, { from: 0 });
  const states: unknown = adam;
  if (states === undefined) {
    for (const [name, value] of Object.entries({ beta1, beta2, epsilon }))
      if (value !== undefined)
        throw invalidArgument(
          `tracIn uses ${name} for steps of Adam only; give adam (its states) too, or leave out ${name}.`,
        );
    return;
  }
  if (!(Array.isArray(states) && states.every(isState)))
    throw invalidArgument(
      `The option adam of tracIn must be an array with { first, second, steps } for each checkpoint, not ${kindOf(states)}.`,
    );
  if (cosine === false) throw invalidArgument("With the steps of Adam, tracIn always gives cosines; leave out cosine.");
}

/** Whether this is a state of Adam, as far as one can tell without the model. */
function isState(state: unknown): boolean {
  if (typeof state !== "object" || state === null) return false;
  const { first, second, steps }: Partial<Record<keyof AdamMoments, unknown>> = state;
  const records = [first, second].every((each) => typeof each === "object" && each !== null);
  return records && Number.isSafeInteger(steps) && Number(steps) >= 0;
}

/** The learning rate of each checkpoint: 1 unless they are given. Throws INVALID_ARGUMENT. */
export function ratesOf(checkpoints: readonly Checkpoint[], given: readonly number[] | undefined): readonly number[] {
  if (given && given.length !== checkpoints.length)
    throw invalidArgument(
      `There are ${checkpoints.length} checkpoints, but ${given.length} learning rates; give one for each.`,
    );
  return given ?? checkpoints.map(() => 1);
}

/** Adds each checkpoint's products times its weight. */
function summed(
  name: string,
  settings: Method["settings"],
  weightsOf: (checkpoints: readonly Checkpoint[]) => readonly number[],
  cosine: boolean,
): Method {
  return {
    name,
    settings,
    scores: async ({ checkpoints, train }, queries) => {
      const weights = weightsOf(checkpoints);
      const tables: Table[] = [];
      for (const [k, checkpoint] of checkpoints.entries()) {
        const table = nth(await checkpoint.cross(train, queries), 0);
        tables.push(times(cosine ? await cosines(checkpoint, table, train, queries) : table, nth(weights, k)));
      }
      return { table: added(tables) };
    },
    explain: async (checkpoint) =>
      alike(checkpoint, "exact", "exact: the inner products of its gradients with those of queries"),
    self: async ({ checkpoints, train }) => {
      const weights = weightsOf(checkpoints);
      const parts: Float64Array[] = [];
      for (const [k, checkpoint] of checkpoints.entries()) {
        const squares = await checkpoint.squaredNorms(train);
        parts.push(squares.map((square) => nth(weights, k) * (cosine ? Math.sign(square) : square)));
      }
      return nth(parts, 0).map((_, n) => parts.reduce((sum, part) => sum + (part[n] ?? 0), 0));
    },
  };
}

async function cosines(checkpoint: Checkpoint, table: Table, train: Dataset, queries: Dataset): Promise<Table> {
  const [columns, rows] = [await checkpoint.squaredNorms(train), await checkpoint.squaredNorms(queries)];
  return table.map((value, row, column) => {
    const size = Math.sqrt((rows[row] ?? 0) * (columns[column] ?? 0));
    return size === 0 ? 0 : value / size;
  });
}

function times(table: Table, factor: number): Table {
  return factor === 1 ? table : table.map((value) => factor * value);
}

/** The sum of tables, which the first of them becomes. */
export function added(tables: readonly Table[]): Table {
  const [first = new Table(0, 0), ...others] = tables;
  for (const each of others) first.add(each);
  return first;
}

interface AdamConstants {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/** Products of queries' gradients with the steps that single training samples would cause. */
function steps(
  settings: Method["settings"],
  ratesOf: (checkpoints: readonly Checkpoint[]) => readonly number[],
  adam: readonly AdamMoments[],
  constants: AdamConstants,
): Method {
  const checked = ({ checkpoints }: Setting) => {
    if (adam.length === checkpoints.length) return ratesOf(checkpoints);
    throw new PergradError(
      "INVALID_ARGUMENT",
      `There are ${checkpoints.length} checkpoints, but ${adam.length} states of Adam; give one for each.`,
    );
  };
  return {
    name: "tracIn",
    settings: { ...settings, adam: true },
    scores: async (setting, queries) => {
      const rates = checked(setting);
      const tables: Table[] = [];
      for (const [k, checkpoint] of setting.checkpoints.entries()) {
        const step = stepOf(checkpoint, nth(adam, k), constants);
        tables.push(times(await stepCosines(checkpoint, setting.train, queries, step), nth(rates, k)));
      }
      return { table: added(tables) };
    },
    explain: async (checkpoint) =>
      alike(
        checkpoint,
        "exact",
        "exact: the cosines of Adam's steps, made of its gradients, with gradients of queries",
      ),
    self: async (setting) => {
      const rates = checked(setting);
      const found: number[] = [];
      for (const [k, checkpoint] of setting.checkpoints.entries()) {
        const step = stepOf(checkpoint, nth(adam, k), constants);
        const { size } = checkpoint.space;
        for await (const { from, rows } of checkpoint.rows(setting.train))
          for (let at = 0; at < rows.length; at += size) {
            const row = Float64Array.from(rows.subarray(at, at + size));
            const stepped = step(row);
            const sizes = norm(row) * norm(stepped);
            const n = from + at / size;
            found[n] = (found[n] ?? 0) + (sizes === 0 ? 0 : (nth(rates, k) * dot(row, stepped)) / sizes);
          }
      }
      return Float64Array.from(found);
    },
  };
}

/** The direction of Adam's next step, if this were the gradient. Throws MISSING_TENSOR, SHAPE_MISMATCH. */
function stepOf(checkpoint: Checkpoint, moments: AdamMoments, { beta1, beta2, epsilon }: AdamConstants) {
  const [first, second] = [checkpoint.space.join(moments.first), checkpoint.space.join(moments.second)];
  const [unbias1, unbias2] = [1 - beta1 ** (moments.steps + 1), 1 - beta2 ** (moments.steps + 1)];
  return (row: Float64Array) =>
    row.map((g, k) => {
      const mean = (beta1 * (first[k] ?? 0) + (1 - beta1) * g) / unbias1;
      const square = (beta2 * (second[k] ?? 0) + (1 - beta2) * g * g) / unbias2;
      return mean / (Math.sqrt(square) + epsilon);
    });
}

async function stepCosines(
  checkpoint: Checkpoint,
  train: Dataset,
  queries: Dataset,
  step: (row: Float64Array) => Float64Array,
): Promise<Table> {
  const { size } = checkpoint.space;
  const products = new RowProducts(checkpoint.threads);
  const strips: Table[] = [];
  try {
    for await (const { rows: asked } of checkpoint.rows(queries)) {
      unit(asked, size, (row) => row);
      const count = asked.length / size;
      const found: { readonly from: number; readonly numbers: Float32Array }[] = [];
      let samples = 0;
      for await (const { from, to, rows } of checkpoint.rows(train)) {
        unit(rows, size, step);
        found.push({ from, numbers: await products.of(rows, asked, size) });
        samples = to;
      }
      strips.push(besides(found, count, samples));
    }
  } finally {
    await products.release();
  }
  return Table.stacked(strips);
}

/** Replaces each row by f of it, divided by its norm. */
function unit(rows: Float32Array, size: number, f: (row: Float64Array) => Float64Array): void {
  for (let at = 0; at < rows.length; at += size) {
    const made = f(Float64Array.from(rows.subarray(at, at + size)));
    const length = norm(made);
    rows.set(length === 0 ? made : made.map((x) => x / length), at);
  }
}
