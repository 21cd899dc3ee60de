/** Blocks of an index times queries, and times themselves, on the runtime. */
import { PergradError } from "../../errors.js";
import { present } from "../../present.js";
import type { Compiled } from "../../program/compiled.js";
import { compile } from "../../program/expressions.js";
import type { Tensor } from "../../tensor/tensor.js";
import { input, type Traced } from "../../trace/index.js";
import type { Block } from "./blocks.js";
import type { Manifest } from "./manifest.js";

type Program = Compiled<Readonly<Record<string, Traced>>>;

/** Each model's part of the rows, as floats. */
function partsOf({ models, dims, storage }: Manifest): readonly Traced[] {
  const features = input("features", ["N", models.length, dims], storage);
  return models.map((_, k) =>
    features
      .slice(1, k, k + 1)
      .squeeze(1)
      .cast("float32"),
  );
}

/** Inner products of each model's part of rows with that of queries; scales and weights are left to the caller. */
export class QueryProducts {
  private constructor(
    private readonly program: Program,
    private readonly asked: Readonly<Record<string, Tensor>>,
  ) {}

  /** @param queries of each model `[Q, dims]`, one after another */
  static async of(manifest: Manifest, queries: readonly Float32Array[]): Promise<QueryProducts> {
    const { dims } = manifest;
    const asked = queries.map((data) => ({ dtype: "float32" as const, dims: [data.length / dims, dims], data }));
    const products = partsOf(manifest).map((part, k) => {
      const own = input(`queries${k}`, present(asked[k]).dims);
      return [`${k}`, part.matmul(own.transpose([1, 0]))] as const;
    });
    const program = await compile(Object.fromEntries(products));
    return new QueryProducts(program, Object.fromEntries(asked.map((each, k) => [`queries${k}`, each])));
  }

  /** Of each model `[n, Q]`. */
  async with({ features }: Block): Promise<readonly Float32Array[]> {
    const found = await this.program.run({ features, ...this.asked }, { notFinite: "ignore" });
    return floatsOf(found);
  }

  release(): Promise<void> {
    return this.program.release();
  }
}

/** Of each model the sum over samples of a row times itself. */
export class Squares {
  private constructor(
    private readonly program: Program,
    /** Of each model `[dims, dims]`. */
    readonly sums: readonly Float64Array[],
  ) {}

  static async of(manifest: Manifest): Promise<Squares> {
    const { models, dims } = manifest;
    const scales = input("scales", ["N", models.length]);
    const products = partsOf(manifest).map((part, k) => {
      const rows = part.mul(scales.slice(1, k, k + 1));
      return [`${k}`, rows.transpose([1, 0]).matmul(rows)] as const;
    });
    const program = await compile(Object.fromEntries(products));
    return new Squares(
      program,
      models.map(() => new Float64Array(dims * dims)),
    );
  }

  async add({ features, scales, samples }: Block): Promise<void> {
    const own: Tensor = { dtype: "float32", dims: [samples, scales.length / samples], data: scales };
    const found = floatsOf(await this.program.run({ features, scales: own }, { notFinite: "ignore" }));
    for (const [k, sum] of this.sums.entries()) {
      const part = present(found[k]);
      for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) + (part[at] ?? 0);
    }
  }

  release(): Promise<void> {
    return this.program.release();
  }
}

function floatsOf(found: Readonly<Record<string, Tensor>>): readonly Float32Array[] {
  return Object.keys(found).map((_, k) => {
    const data = found[`${k}`]?.data;
    if (data instanceof Float32Array) return data;
    throw new PergradError("RUNTIME", "The program of an index's products returned no float32 numbers; report it.");
  });
}
