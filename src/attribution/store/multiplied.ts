/** Products of an index's blocks with queries, and with themselves, on the runtime. */
import { PergradError } from "../../errors.js";
import { present } from "../../present.js";
import { type Compiled, compiled } from "../../program/compiled.js";
import type { Tensor, TypedArray } from "../../tensor/tensor.js";
import { constant, input, type Traced } from "../../trace/index.js";
import type { Block } from "./blocks.js";
import type { Manifest } from "./manifest.js";
import { zeroCode } from "./sketch.js";

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

/** Inner products of each model's part of rows with that of queries; the caller applies scales and weights. */
export class QueryProducts {
  private constructor(
    private readonly program: Program,
    private readonly asked: Readonly<Record<string, Tensor>>,
  ) {}

  /** @param queries for each model `[Q, dims]`, one after another */
  static async of(manifest: Manifest, queries: readonly Float32Array[], threads?: number): Promise<QueryProducts> {
    const { dims } = manifest;
    const asked = queries.map((data) => ({ dtype: "float32" as const, dims: [data.length / dims, dims], data }));
    const products = partsOf(manifest).map((part, k) => {
      const own = input(`queries${k}`, present(asked[k]).dims);
      return [`${k}`, part.matmul(own.transpose([1, 0]))] as const;
    });
    const program = await compiled(Object.fromEntries(products), threadsOf(threads));
    return new QueryProducts(program, Object.fromEntries(asked.map((each, k) => [`queries${k}`, each])));
  }

  /** For each model `[n, Q]`. */
  async with({ features }: Pick<Block, "features">): Promise<readonly Float32Array[]> {
    const found = await this.program.run({ features, ...this.asked }, { notFinite: "ignore" });
    return arraysOf(found, Float32Array);
  }

  release(): Promise<void> {
    return this.program.release();
  }
}

/** The same for codes, in whole numbers. */
export class SketchProducts {
  private constructor(private readonly program: Program) {}

  /** For `count` queries. */
  static async of(
    { models, dims }: Pick<Manifest, "models" | "dims">,
    queries: number,
    threads?: number,
  ): Promise<SketchProducts> {
    const codes = input("codes", ["N", models.length, dims], "uint8");
    const zero = constant({ dtype: "uint8", dims: [], data: Uint8Array.of(zeroCode) });
    const products = models.map((_, k) => {
      const own = input(`queries${k}`, [dims, queries], "int8");
      // Unsigned times signed is the only one of the four combinations that is fast on x86.
      return [
        `${k}`,
        codes
          .slice(1, k, k + 1)
          .squeeze(1)
          .onnx("MatMulInteger", [own, zero]),
      ] as const;
    });
    return new SketchProducts(await compiled(Object.fromEntries(products), threadsOf(threads)));
  }

  /**
   * For each model `[n, Q]`.
   * @param codes `[n, models, dims]`
   * @param queries for each model `[dims, Q]`
   */
  async with(codes: Tensor<"uint8">, queries: readonly Int8Array[]): Promise<readonly Int32Array[]> {
    const dims = codes.dims[2] ?? 0;
    const asked = queries.map((data, k): [string, Tensor] => [
      `queries${k}`,
      { dtype: "int8", dims: [dims, data.length / dims], data },
    ]);
    return arraysOf(
      await this.program.run({ codes, ...Object.fromEntries(asked) }, { notFinite: "ignore" }),
      Int32Array,
    );
  }

  release(): Promise<void> {
    return this.program.release();
  }
}

/** For each model, the sum over samples of a row's outer product with itself. */
export class Squares {
  private constructor(
    private readonly program: Program,
    /** For each model `[dims, dims]`. */
    readonly sums: readonly Float64Array[],
  ) {}

  static async of(manifest: Manifest, threads?: number): Promise<Squares> {
    const { models, dims } = manifest;
    const scales = input("scales", ["N", models.length]);
    const products = partsOf(manifest).map((part, k) => {
      const rows = part.mul(scales.slice(1, k, k + 1));
      return [`${k}`, rows.transpose([1, 0]).matmul(rows)] as const;
    });
    const program = await compiled(Object.fromEntries(products), threadsOf(threads));
    return new Squares(
      program,
      models.map(() => new Float64Array(dims * dims)),
    );
  }

  async add({ features, scales, samples }: Block): Promise<void> {
    const own: Tensor = { dtype: "float32", dims: [samples, scales.length / samples], data: scales };
    const found = arraysOf(await this.program.run({ features, scales: own }, { notFinite: "ignore" }), Float32Array);
    for (const [k, sum] of this.sums.entries()) {
      const part = present(found[k]);
      for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) + (part[at] ?? 0);
    }
  }

  release(): Promise<void> {
    return this.program.release();
  }
}

const threadsOf = (threads: number | undefined) => (threads === undefined ? {} : { threads });

function arraysOf<T extends TypedArray>(
  found: Readonly<Record<string, Tensor>>,
  kind: new (length: number) => T,
): readonly T[] {
  return Object.keys(found).map((_, k) => {
    const data: unknown = found[`${k}`]?.data;
    if (data instanceof kind) return data;
    throw new PergradError("RUNTIME", `The program of an index's products returned no ${kind.name}; please report it.`);
  });
}
