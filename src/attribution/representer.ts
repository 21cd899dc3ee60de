/**
 * Representer points (Yeh et al. 2018, "Representer point selection for explaining deep neural networks"): the
 * contribution of each training sample to the logits of a last linear layer that was trained with an l2 penalty.
 */
import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import { PergradError } from "../errors.js";
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
   * The weight of the last linear layer. Default: the last parameter with two axes, one of which is that of the
   * classes.
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
  /** Labels of the queries. */
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
        tables.push(products.map((product, m, n) => (alpha.at(n, labels[m] ?? 0) * product) / checkpoints.length));
      }
      return { table: added(tables) };
    },
    explain: async (checkpoint) => {
      const name = layer ?? lastLayer(checkpoint, classesOf(checkpoint));
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
          (label, n) => (alpha.at(n, label) * products.at(n, n)) / checkpoints.length,
        );
        sums.push(new Table(1, own.length, own));
      }
      return added(sums).row(0);
    },
  };
}

/** Throws INVALID_ARGUMENT. */
async function representerValues(
  checkpoint: Checkpoint,
  train: Dataset,
  queries: Dataset,
  { l2, layer }: RepresenterOptions,
): Promise<RepresenterValues> {
  const classes = classesOf(checkpoint);
  const name = layer ?? lastLayer(checkpoint, classes);
  const inputs = await Inputs.of(checkpoint, name, classes);
  const [own, asked] = [await inputs.read(train), await inputs.read(queries)];
  const gradient = await gradients(checkpoint, train, classes);
  const alpha = gradient.map((value) => -value / (2 * l2 * gradient.rows));
  const products = new RowProducts(checkpoint.threads);
  try {
    const found = await products.of(asked, own, inputs.width);
    const table = new Table(asked.length / inputs.width, own.length / inputs.width, Float64Array.from(found));
    return { alpha, products: table, labels: labelsOf(await gradients(checkpoint, queries, classes)) };
  } finally {
    await products.release();
  }
}

/** For a sample with one label, the gradient in the logits, p - onehot, is negative for that label only. */
function labelsOf(gradient: Table): Int32Array {
  return Int32Array.from({ length: gradient.rows }, (_, n) => {
    const row = gradient.row(n);
    return row.indexOf(Math.min(...row));
  });
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
function lastLayer({ objective }: Checkpoint, classes: number): string {
  const found = [...objective.parameters].filter(([, { shape }]) => shape.length === 2 && shape.includes(classes));
  const name = found.at(-1)?.[0];
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
    /** Whether the weight's rows are the classes. */
    private readonly byRow: boolean,
    private readonly classes: number,
    readonly width: number,
  ) {}

  static async of(checkpoint: Checkpoint, layer: string, classes: number): Promise<Inputs> {
    const shape = checkpoint.objective.parameters.get(layer)?.shape ?? [];
    const [rows, columns] = shape;
    if (shape.length !== 2 || typeof rows !== "number" || typeof columns !== "number" || !shape.includes(classes))
      throw new PergradError(
        "INVALID_ARGUMENT",
        `The layer "${layer}" is no weight of a linear layer to ${classes} classes; name one with two axes.`,
      );
    const byRow = rows === classes;
    const { loss } = checkpoint.objective;
    const first = checkpoint.with({ loss: { ...firstLogit, target: loss.target.bind(loss) }, parameters: [layer] });
    return new Inputs(first, layer, byRow, classes, byRow ? columns : rows);
  }

  /** `[N, width]` */
  async read(data: Dataset): Promise<Float32Array> {
    const parts: Float32Array[] = [];
    for await (const { from, to, results } of this.checkpoint.stream({ gradients: want.gradients() }, data)) {
      const found = new Float32Array((to - from) * this.width);
      const numbers = results.gradients[this.layer]?.data ?? new Float32Array(0);
      const size = this.width * this.classes;
      const step = this.byRow ? 1 : this.classes;
      for (let k = 0; k < found.length; k++)
        found[k] = numbers[Math.floor(k / this.width) * size + (k % this.width) * step] ?? 0;
      parts.push(found);
    }
    return joined(parts);
  }
}

const firstLogit: Omit<Loss, "target"> = {
  name: "firstLogit",
  apply: (output: Traced) => output.slice(1, 0, 1).sum(1),
};
