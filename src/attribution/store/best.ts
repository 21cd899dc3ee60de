/** The largest scores, kept while others pass by. */
import type { Tensor } from "../../tensor/tensor.js";
import type { Table } from "../table.js";

/** The training samples with the largest scores for each query. */
export interface TopScores {
  /** Numbers of training samples, counted from 0, the largest score first, `[Q, top]`; -1 where there are fewer samples. */
  readonly samples: Tensor<"int32">;
  /** Their scores, `[Q, top]`. */
  readonly scores: Tensor<"float64">;
}

/** The largest scores of each query. */
export class Best {
  readonly #samples: Int32Array;
  readonly #scores: Float64Array;

  constructor(
    private readonly queries: number,
    private readonly top: number,
  ) {
    this.#samples = new Int32Array(queries * top).fill(-1);
    this.#scores = new Float64Array(queries * top).fill(Number.NEGATIVE_INFINITY);
  }

  add(table: Table, from: number): void {
    const { top } = this;
    for (let m = 0; m < table.rows; m++) {
      const [start, row] = [m * top, table.row(m)];
      const last = start + top - 1;
      for (let n = 0; n < row.length; n++) {
        const score = row[n] ?? 0;
        if (score <= (this.#scores[last] ?? 0)) continue;
        let place = last;
        for (; place > start && (this.#scores[place - 1] ?? 0) < score; place--) {
          this.#scores[place] = this.#scores[place - 1] ?? 0;
          this.#samples[place] = this.#samples[place - 1] ?? 0;
        }
        this.#scores[place] = score;
        this.#samples[place] = from + n;
      }
    }
  }

  result(): TopScores {
    const dims = [this.queries, this.top];
    return {
      samples: { dtype: "int32", dims, data: this.#samples },
      scores: { dtype: "float64", dims, data: this.#scores },
    };
  }
}
