/** Compares predictions of losses with trainings without some samples. */
import { PergradError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { Table } from "./table.js";

/** Trainings without some samples, as `linearDatamodelingScore` takes them. */
export interface Retrained {
  /** `[S, N]`: 1 if a sample was in the training, 0 if it was left out. */
  readonly subsets: Tensor;
  /**
   * The queries' losses afterwards, `[S, Q]`, or `[S, R, Q]` if each subset was trained R times: their mean is used.
   */
  readonly losses: Tensor;
}

/** A line through predictions and the actual changes. */
export interface Fit {
  readonly slope: number;
  /** For each query, the root mean square of jackknife residuals, `[Q]`. */
  readonly errors: Float64Array;
}

/** With fewer trainings no error can be estimated. */
const fewest = 3;

/** The samples that each subset leaves out. Throws SHAPE_MISMATCH, INVALID_ARGUMENT. */
export function removedIn({ subsets }: Retrained, samples: number): readonly (readonly number[])[] {
  const [count = 0, width] = subsets.dims;
  if (subsets.dims.length !== 2 || width !== samples)
    throw new PergradError(
      "SHAPE_MISMATCH",
      `The subsets are [${subsets.dims.join(", ")}]; give [subsets, ${samples}], 1 where a sample is in.`,
    );
  if (count < fewest)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `An error bar needs at least ${fewest} trainings without some samples, but there are ${count}; give more.`,
    );
  return Array.from({ length: count }, (_, s) => {
    const removed = Array.from({ length: samples }, (_, n) => n).filter((n) => !Number(subsets.data[s * samples + n]));
    if (removed.length < samples) return removed;
    throw new PergradError(
      "INVALID_ARGUMENT",
      `Subset ${s} leaves out all training samples; give one that holds some.`,
    );
  });
}

/**
 * One slope for all queries, and an intercept for each.
 * @param foretold `[Q, S]`
 * @throws PergradError SHAPE_MISMATCH; INVALID_ARGUMENT: all predictions are equal.
 */
export function fitted(foretold: Table, { losses }: Retrained): Fit {
  const [x, y] = [centred(foretold), centred(measured(losses, foretold.columns, foretold.rows))];
  const whole = momentsOf(x, y);
  if (!(whole.xx > 0))
    throw new PergradError(
      "INVALID_ARGUMENT",
      "The trainings without some samples all have the same predicted losses, so they show nothing; give other subsets.",
    );
  const { rows, columns } = x;
  // Leaving training s out moves the mean of the others by 1/(S - 1) of it.
  const spread = columns / (columns - 1);
  const squares = new Float64Array(rows);
  for (let s = 0; s < columns; s++) {
    const own = momentsOf(x, y, s);
    const [xx, xy] = [whole.xx - spread * own.xx, whole.xy - spread * own.xy];
    const slope = xx > 0 ? xy / xx : 0;
    for (let m = 0; m < rows; m++)
      squares[m] = (squares[m] ?? 0) + (spread * (y.at(m, s) - slope * x.at(m, s))) ** 2 / columns;
  }
  return { slope: whole.xy / whole.xx, errors: squares.map(Math.sqrt) };
}

/** Minus each row's mean. */
function centred(table: Table): Table {
  const means = Array.from(
    { length: table.rows },
    (_, m) => table.row(m).reduce((sum, value) => sum + value, 0) / table.columns,
  );
  return table.map((value, m) => value - (means[m] ?? 0));
}

/** Sums of products, over all columns or over one. */
function momentsOf(x: Table, y: Table, column?: number): { readonly xx: number; readonly xy: number } {
  let [xx, xy] = [0, 0];
  const [from, to] = column === undefined ? [0, x.columns] : [column, column + 1];
  for (let m = 0; m < x.rows; m++)
    for (let s = from; s < to; s++) {
      xx += x.at(m, s) ** 2;
      xy += x.at(m, s) * y.at(m, s);
    }
  return { xx, xy };
}

/** `[Q, S]`. Throws SHAPE_MISMATCH. */
function measured({ dims, data }: Tensor, count: number, queries: number): Table {
  const trainings = dims.length === 3 ? (dims[1] ?? 0) : 1;
  if ((dims.length !== 2 && dims.length !== 3) || dims[0] !== count || dims.at(-1) !== queries || trainings === 0)
    throw new PergradError(
      "SHAPE_MISMATCH",
      `The losses are [${dims.join(", ")}]; give [${count}, ${queries}] or [${count}, trainings, ${queries}].`,
    );
  return new Table(queries, count).map((_, m, s) => {
    let sum = 0;
    for (let r = 0; r < trainings; r++) sum += Number(data[(s * trainings + r) * queries + m] ?? Number.NaN);
    return sum / trainings;
  });
}
