/**
 * Representer points (Yeh et al. 2018, "Representer point selection for explaining deep neural networks"): the
 * contribution of each training sample to the logits of a last linear layer that was trained with an l2 penalty.
 */
import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import { plain, reverse } from "../autodiff/reverse.js";
import { isMatrix, lastLayer } from "../curvature/posterior.js";
import { PergradError } from "../errors.js";
import { leaf, nodeOf, type Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import { listed, meant } from "../meant.js";
import { labelsThatCount } from "../nn/labels.js";
import type { Loss } from "../nn/loss.js";
import type { Dataset } from "../program/given-data.js";
import { option, sentence, type Words } from "../sentence.js";
import { random } from "../tensor/random.js";
import { constant } from "../trace/functions.js";
import { Traced } from "../trace/traced.js";
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
  /**
   * Minus the loss's gradient in the logits, divided by 2 l2 N, `[N, C]`: (t_n - p_n)/(2 l2 N), where t_n is the one-hot
   * label, smoothed if the loss smooths labels, and both are multiplied by class weights if it has some.
   */
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
  if (layer !== undefined && typeof layer !== "string")
    throw invalidArgument(`The layer of representerPoints must be the name of a parameter, not ${kindOf(layer)}.`);
  if (!(typeof l2 === "number" && l2 > 0 && Number.isFinite(l2)))
    throw invalidArgument(
      `representerPoints needs l2, the factor of the penalty, which must be a number above 0, not ${kindOf(l2)}.`,
    );
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
      const { name } = layerOf(checkpoint, classesOf(checkpoint), layer);
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
  const inputs = Inputs.of(checkpoint, layerOf(checkpoint, classes, layer), classes);
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

/** The weight of a last linear layer. */
interface LastLayer {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
}

/**
 * The layer of this name, or the one that is used last.
 * @throws PergradError INVALID_ARGUMENT: there is none, or the logits are not linear in its weight.
 */
function layerOf(checkpoint: Checkpoint, classes: number, given: string | undefined): LastLayer {
  const { parameters, output } = checkpoint.objective;
  const matrices = [...parameters].flatMap(([name, value]) => {
    const [rows, columns, ...more] = value.shape;
    if (typeof rows !== "number" || typeof columns !== "number" || more.length > 0) return [];
    return rows === classes || columns === classes ? [{ name, rows, columns, value }] : [];
  });
  const name = given ?? lastWeight(checkpoint, classes);
  const found = matrices.find((each) => each.name === name);
  if (!found)
    throw invalidArgument(
      sentence`The layer "${name}" is not the weight of a linear layer to ${classes} classes${meantOne(name, matrices)}`,
    );
  if (isLinear(logitsOf(new Traced(output)).value, found.value)) return found;
  throw invalidArgument(
    sentence`The logits are not linear in "${name}": a function follows the layer, or the weight is used elsewhere too; name the weight of a last linear layer (${option("layer")}), or use another method.`,
  );
}

/** How a sentence about a wrong name ends. */
function meantOne(name: string, matrices: readonly LastLayer[]): Words {
  const names = matrices.map((each) => each.name);
  const near = meant(name, names);
  if (near !== "") return sentence`${near.replace(/\?$/, "")} (${option("layer")})?`;
  return sentence`; give another ${option("layer")}, ${names.length === 0 ? "a matrix" : `such as ${listed(names, 5)}`}.`;
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
  throw invalidArgument(
    sentence`No parameter of the model is the weight of a last linear layer to ${classes} classes; name it (${option("layer")}), or use another method.`,
  );
}

/**
 * The inputs x of a linear layer with the logits W x: the gradient in W of c . W x, for any numbers c, is the outer product
 * of c and x.
 */
class Inputs {
  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly layer: LastLayer,
    private readonly combination: Float32Array,
  ) {}

  static of(checkpoint: Checkpoint, layer: LastLayer, classes: number): Inputs {
    const { loss } = checkpoint.objective;
    const combination = random(1).normals(classes, 1);
    const combined = { ...alongLogits(combination), target: loss.target.bind(loss) };
    return new Inputs(checkpoint.with({ loss: combined, parameters: [layer.name] }), layer, combination);
  }

  get width(): number {
    return (this.layer.rows * this.layer.columns) / this.combination.length;
  }

  /** `[N, width]`. Throws INVALID_ARGUMENT. */
  async read(data: Dataset): Promise<Float32Array> {
    const parts: Float32Array[] = [];
    const { name, rows, columns } = this.layer;
    const size = rows * columns;
    for await (const { from, to, results } of this.checkpoint.stream({ gradients: want.gradients() }, data)) {
      const numbers = results.gradients[name]?.data ?? new Float32Array(0);
      const found = new Float32Array((to - from) * this.width);
      for (let n = 0; n < to - from; n++)
        found.set(this.#inputs(numbers.subarray(n * size, (n + 1) * size)), n * this.width);
      parts.push(found);
    }
    return joined(parts);
  }

  /** Of one sample's gradient. A square weight may hold classes along either axis: the gradient itself says along which. */
  #inputs(gradient: Float32Array): Float32Array {
    const { combination, width } = this;
    const { name, rows, columns } = this.layer;
    const classes = combination.length;
    const found =
      (rows === classes ? factorOf(gradient, combination, { width, step: width, stride: 1 }) : undefined) ??
      (columns === classes ? factorOf(gradient, combination, { width, step: 1, stride: classes }) : undefined);
    if (found) return found;
    throw invalidArgument(
      sentence`"${name}" is not only the weight of the last linear layer: a logit depends on more of it than that logit's own row; name that layer's weight (${option("layer")}).`,
    );
  }
}

/** Whether the values depend linearly on the parameter: their derivative does not depend on it. */
function isLinear(values: Value, parameter: Value): boolean {
  const seed = leaf("seed", values, { kind: "input" });
  const derivative = reverse(new Map([[values, seed]]), new Set([parameter]), plain).get(parameter);
  return derivative !== undefined && !leavesOf([derivative]).includes(parameter);
}

/** What logarithms of probabilities are made of: cross entropy is the same of both, and so is its derivative. */
function logitsOf(output: Traced): Traced {
  const node = nodeOf(output.value);
  const [logits] = node?.inputs ?? [];
  return node?.op === "LogSoftmax" && node.domain === "" && logits ? new Traced(logits, output.scope) : output;
}

/** The scalar c . logits. */
function alongLogits(combination: Float32Array): Omit<Loss, "target"> {
  const weights = { dtype: "float32", dims: [combination.length], data: combination } as const;
  return {
    name: "along_logits",
    apply: (output) => {
      const logits = logitsOf(output);
      return logits.mul(constant(weights).cast(logits.dtype)).sum(1);
    },
  };
}

/** What rounding leaves of a product of two numbers, relative to the largest one. */
const rounding = 1e-5;

interface Layout {
  /** The number of elements of x. */
  readonly width: number;
  /** The distance between the elements for two classes. */
  readonly step: number;
  /** The distance between the elements for two inputs. */
  readonly stride: number;
}

/** The vector x of which a matrix is the outer product with c; undefined if there is none. */
function factorOf(matrix: Float32Array, c: Float32Array, { width, step, stride }: Layout): Float32Array | undefined {
  const square = c.reduce((sum, each) => sum + each * each, 0);
  const at = (k: number, i: number) => matrix[k * step + i * stride] ?? 0;
  const x = Float32Array.from(
    { length: width },
    (_, i) => c.reduce((sum, each, k) => sum + each * at(k, i), 0) / square,
  );
  const most = rounding * matrix.reduce((size, each) => Math.max(size, Math.abs(each)), 0);
  return c.every((each, k) => x.every((value, i) => Math.abs(each * value - at(k, i)) <= most)) ? x : undefined;
}
