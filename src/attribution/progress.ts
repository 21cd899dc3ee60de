/**
 * How far the training was from its end, seen from the training samples alone, as a damping. Descent for a time t (a sum
 * of learning rates) leaves directions of a curvature below 1 / t nearly where they were, as a damping of 1 / t does (Ali,
 * Kolter and Tibshirani 2019, "A continuous-time view of early stopping for least squares regression"). The time is
 * estimated by Polyak's step (Polyak 1987, "Introduction to optimization"): the mean loss over the squared norm of the
 * mean gradient, which is the rate at which the loss falls. For a loss that falls as 1 / t this is t; after a training to
 * its end it is long, and the damping 0.
 */
import type { Dataset } from "../program/given-data.js";
import { dot, meanOf } from "../solvers/vectors.js";
import { want } from "../wants/want.js";
import type { Checkpoint } from "./checkpoint.js";
import type { Table } from "./table.js";

export interface Progress {
  /** The squared norm of the mean gradient: the damping of the Fisher matrix, which has the loss in it twice. */
  readonly fisher: number;
  /** The same over the mean loss: the damping of the Gauss-Newton matrix. 0 if the loss is not positive. */
  readonly ggn: number;
}

/** Of a label that rounds to 0. */
const leastProbability = 1e-12;

/**
 * The progress of all training samples.
 * @param sampled whether the data is a sample of many more
 */
export async function progressOf(checkpoint: Checkpoint, data: Dataset, sampled: boolean): Promise<Progress> {
  const wants = { mean: want.mean(), losses: want.losses(), norms: want.norms() };
  const { mean, losses, norms } = await checkpoint.all(wants, data);
  const gradients = Object.values(mean).map(({ data: own }) => Float64Array.from(own));
  const samples = losses.data.length;
  const found = gradients.reduce((sum, own) => sum + dot(own, own), 0);
  const squares = meanOf(norms.total.data.map((norm) => norm * norm));
  const squared = withoutSampling(found, { squares, samples, all: sampled ? Number.POSITIVE_INFINITY : samples });
  return { fisher: squared, ggn: perLoss(squared, meanOf(losses.data)) };
}

/**
 * The progress from features, as a damping of the mean of their squares.
 * @param phi the features of some samples: gradients of the loss, or, if there are weights, of the label's odds
 * @param weights 1 - p of each sample
 * @param all the number of all training samples
 */
export function progressOfFeatures(phi: Table, weights: Float64Array | null, all: number): number {
  const gradients = weights ? phi.map((value, n) => value * (weights[n] ?? 0)) : phi;
  const mean = new Float64Array(phi.columns);
  const sizes = new Float64Array(phi.rows);
  for (let n = 0; n < phi.rows; n++) {
    const row = gradients.row(n);
    sizes[n] = dot(row, row);
    for (let k = 0; k < row.length; k++) mean[k] = (mean[k] ?? 0) + (row[k] ?? 0) / phi.rows;
  }
  const squared = withoutSampling(dot(mean, mean), { squares: meanOf(sizes), samples: phi.rows, all });
  if (!weights) return squared;
  // The loss -log p of the odds has the second derivative p (1 - p), so a sum of squares of their gradients lacks that.
  const second = meanOf(weights.map((weight) => weight * (1 - weight)));
  return second > 0
    ? perLoss(squared, meanOf(weights.map((weight) => -Math.log(Math.max(1 - weight, leastProbability))))) / second
    : 0;
}

/** The squared norm of the mean over all samples, without what the choice of some of them adds. */
function withoutSampling(
  squared: number,
  { squares, samples, all }: { readonly squares: number; readonly samples: number; readonly all: number },
): number {
  if (samples >= all || samples < 2) return squared;
  return Math.max(0, squared - ((1 - samples / all) * (squares - squared)) / (samples - 1));
}

function perLoss(squared: number, loss: number): number {
  return loss > 0 && Number.isFinite(loss) ? squared / loss : 0;
}
