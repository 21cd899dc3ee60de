/**
 * Representer points (Yeh et al. 2018, "Representer point selection for explaining deep neural networks"): the
 * contribution of each training sample to the logits of a last linear layer that was trained with an l2 penalty.
 */
import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import { isMatrix, lastLayer } from "../curvature/posterior.js";
import { PergradError } from "../errors.js";
import { labelsThatCount } from "../nn/labels.js";
import type { Loss } from "../nn/loss.js";
import type { Dataset } from "../program/given-data.js";
import type { Traced } from "../trace/index.js";
import { outputGradient } from "../wants/curvature.js";
import { want } from "../wants/want.js";
import type { Checkpoint } from "./checkpoint.js";
import { added } from "./gradients.js";
import type { Method } from "./method.js";
import { joined, RowProducts } from "./products.js";
import { Table } from "./table.js";

/** Options of `attribution.representerPoints`. */
export interface RepresenterOptions {
  /** The factor of the penalty: the loss was the mean over samples plus l2 |W|^2. */
  readonly l2: number;
  /**
   * The weight of the last linear layer. Default: of the parameters with two axes, one of which is that of the classes,
   * the one that is used last.
   */
  readonly layer?: string;
}

const representerOptions: OptionNames<RepresenterOptions> = { l2: true, layer: true };

/** The representer values of one model. */
export interface RepresenterValues {
  /** (onehot(y_n) - p_n)/(2 l2 N), `[N, C]` */
  readonly alpha: Table;
  /** x_n . x_m, `[M, N]`, where x are the layer's inputs without the bias. */
  readonly products: Table;
  /** Labels of the queries; -1 for those without one. */
  readonly labels: Int32Array;
}

/**
 * alpha[n, y] (x_n . x_m) for the query's label y: what the training sample adds to that label's logit. alpha is minus
 * the loss's gradient in the logits, divided by 2 l2 N; the formula is applied as it stands, whether or not training
 * has converged. The mean over checkpoints.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function representerPoints(options: RepresenterOptions): Method {
  checkOptions("attribution.representerPoints(options)", options, representerOptions);
  const { l2, layer } = options;
  if (!(typeof l2 === "number" && l2 > 0 && Number.isFinite(l2)))
    throw invalidArgument(`representerPoints needs l2, the penalty's factor, a number above 0, not ${kindOf(l2)}.`);
  return {
    name: "representerPoints",
    settings: { l2, ...(layer === undefined ? {} : { layer }) },
    scores: async ({ checkpoints, train }, queries) => {
      const tables: Table[] = [];
      for (const checkpoint of checkpoints) {
        const { alpha, products, labels } = await representerValues(checkpoint, train, queries, options);
        tables.push(products.map((product, m, n) => (owed(alpha, n, labels[m]) * product) / checkpoints.length));
      }
      return { table: added(tables) };
    },
    explain: async (checkpoint) => {
      const name = layer ?? lastWeight(checkpoint, classesOf(checkpoint));
      return checkpoint.parameters.map((own) => ({
        parameters: [own],
        ...(own === name
          ? { approximation: "exact", how: "exact: the inner products of the layer's inputs" }
          : { approximation: "left out", how: "left out: only the last linear layer counts" }),
      }));
    },
    self: async ({ checkpoints, train }) => {
      const sums: Table[] = [];
      for (const checkpoint of checkpoints) {
        const { alpha, products, labels } = await representerValues(checkpoint, train, train, options);
        const own = Float64Array.from(
          labels,
          (label, n) => (owed(alpha, n, label) * products.at(n, n)) / checkpoints.length,
        );
        sums.push(new Table(1, own.length, own));
      }
      return added(sums).row(0);
    },
  };
}

/** alpha[n, label]; 0 if there is no label. */
function owed(alpha: Table, n: number, label = -1): number {
  return label < 0 ? 0 : alpha.at(n, label);
}

/** Throws INVALID_ARGUMENT. */
async function representerValues(
  checkpoint: Checkpoint,
  train: Dataset,
  queries: Dataset,
  { l2, layer }: RepresenterOptions,
): Promise<RepresenterValues> {
  const classes = classesOf(checkpoint);
  const name = layer ?? lastWeight(checkpoint, classes);
  const inputs = await Inputs.of(checkpoint, name, classes);
  const [own, asked] = [await inputs.read(train), await inputs.read(queries)];
  const gradient = await gradients(checkpoint, train, classes);
  const alpha = gradient.map((value) => -value / (2 * l2 * gradient.rows));
  const products = new RowProducts(checkpoint.threads);
  try {
    const found = await products.of(asked, own, inputs.width);
    const table = new Table(asked.length / inputs.width, own.length / inputs.width, Float64Array.from(found));
    return { alpha, products: table, labels: await labelsOf(checkpoint, queries, classes) };
  } finally {
    await products.release();
  }
}

/** The label of each sample, -1 where the loss ignores it. */
async function labelsOf(checkpoint: Checkpoint, data: Dataset, classes: number): Promise<Int32Array> {
  const { loss, output, expected } = checkpoint.objective;
  const target = expected.get("target")?.value;
  const ignored = target && loss.labels?.(output.shape, target.shape).ignored;
  const found: (number | bigint)[] = [];
  for await (const { feeds } of checkpoint.blocks(data))
    for (const label of feeds.target?.data ?? []) found.push(label);
  return labelsThatCount(found, { classes, ignored });
}

async function gradients(checkpoint: Checkpoint, data: Dataset, classes: number): Promise<Table> {
  const { gradient } = await checkpoint.all({ gradient: outputGradient() }, data);
  return new Table(gradient.data.length / classes, classes, Float64Array.from(gradient.data));
}

/** Throws INVALID_ARGUMENT. */
function classesOf({ objective: { loss, output } }: Checkpoint): number {
  const [, classes, ...more] = output.shape;
  if (loss.name === "cross_entropy" && typeof classes === "number" && more.length === 0) return classes;
  throw new PergradError(
    "INVALID_ARGUMENT",
    "Representer points are of a classifier with one label for each sample, an output [N, C] and the loss cross_entropy; give such a model, or use another method.",
  );
}

/** Throws INVALID_ARGUMENT. */
function lastWeight({ objective }: Checkpoint, classes: number): string {
  const { parameters } = objective;
  const found = lastLayer(objective).flatMap((name) => {
    const shape = parameters.get(name)?.shape ?? [];
    return shape.length === 2 && shape.includes(classes) ? [{ name, shape }] : [];
  });
  // A bias may be stored as a row; so is the weight of a layer of one input, if there is no other.
  const name = (found.find(isMatrix) ?? found[0])?.name;
  if (name !== undefined) return name;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `No parameter of the model is the weight of a last linear layer to ${classes} classes; name it: { layer: "head.weight" }.`,
  );
}

/**
 * A linear layer's inputs: the gradient of the first logit in the layer's weight is the input in the first row (or
 * column), and 0 elsewhere.
 */
class Inputs {
  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly layer: string,
    private readonly rows: number,
    private readonly columns: number,
    private readonly classes: number,
  ) {}

  static async of(checkpoint: Checkpoint, layer: string, classes: number): Promise<Inputs> {
    const shape = checkpoint.objective.parameters.get(layer)?.shape ?? [];
    const [rows, columns] = shape;
    if (shape.length !== 2 || typeof rows !== "number" || typeof columns !== "number" || !shape.includes(classes))
      throw new PergradError(
        "INVALID_ARGUMENT",
        `The layer "${layer}" is no weight of a linear layer to ${classes} classes; name one with two axes.`,
      );
    const { loss } = checkpoint.objective;
    const first = checkpoint.with({ loss: { ...firstLogit, target: loss.target.bind(loss) }, parameters: [layer] });
    return new Inputs(first, layer, rows, columns, classes);
  }

  get width(): number {
    return (this.rows * this.columns) / this.classes;
  }

  /** `[N, width]`. Throws INVALID_ARGUMENT. */
  async read(data: Dataset): Promise<Float32Array> {
    const parts: Float32Array[] = [];
    const size = this.rows * this.columns;
    for await (const { from, to, results } of this.checkpoint.stream({ gradients: want.gradients() }, data)) {
      const numbers = results.gradients[this.layer]?.data ?? new Float32Array(0);
      const found = new Float32Array((to - from) * this.width);
      for (let n = 0; n < to - from; n++)
        found.set(this.#inputs(numbers.subarray(n * size, (n + 1) * size)), n * this.width);
      parts.push(found);
    }
    return joined(parts);
  }

  /** Of one sample's gradient. A square weight may hold classes along either axis: the gradient itself says along which. */
  #inputs(gradient: Float32Array): Float32Array {
    const { rows, columns, classes } = this;
    if (rows === classes && gradient.subarray(columns).every((value) => value === 0))
      return gradient.subarray(0, columns);
    if (columns === classes && gradient.every((value, k) => value === 0 || k % columns === 0))
      return gradient.filter((_, k) => k % columns === 0);
    throw new PergradError(
      "INVALID_ARGUMENT",
      `"${this.layer}" is not only the weight of the last linear layer: the first logit depends on more of it than that logit's own row; name that layer's weight: { layer: "head.weight" }.`,
    );
  }
}

const firstLogit: Omit<Loss, "target"> = {
  name: "firstLogit",
  apply: (output: Traced) => output.slice(1, 0, 1).sum(1),
};
