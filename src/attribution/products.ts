/** Inner products of many vectors with many others, on the runtime. */
import { PergradError } from "../errors.js";
import type { Compiled } from "../program/compiled.js";
import { input, type Traced } from "../trace/index.js";
import { Table } from "./table.js";

type Product = Compiled<{ readonly products: Traced }>;

/** Compiled for the number and the length of the vectors it is given. */
export class RowProducts {
  readonly #compiled = new Map<string, Promise<Product>>();

  /** @param threads that the runtime may use; undefined: all cores */
  constructor(private readonly threads: number | undefined) {}

  /**
   * @param a `[n, length]`
   * @param b `[m, length]`
   * @returns `[n, m]`, in float32
   */
  async of(a: Float32Array, b: Float32Array, length: number): Promise<Float32Array> {
    const others = b.length / length;
    if (a.length === 0 || others === 0) return new Float32Array(0);
    const key = `${others} ${length}`;
    const product = this.#compiled.get(key) ?? compiled(others, length, this.threads);
    this.#compiled.set(key, product);
    const { products } = await (await product).run({ a, b }, { notFinite: "ignore" });
    if (products.data instanceof Float32Array) return products.data;
    throw new PergradError("RUNTIME", "The program of inner products returned no float32 numbers; please report it.");
  }

  async release(): Promise<void> {
    for (const product of this.#compiled.values()) await (await product).release();
    this.#compiled.clear();
  }
}

async function compiled(others: number, length: number, threads: number | undefined): Promise<Product> {
  const b = input("b", [others, length]);
  const products = input("a", ["N", length]).matmul(b.transpose([1, 0]));
  // The compiler is loaded when it is first used.
  const compiler = await import("../program/compiled.js");
  return compiler.compiled({ products }, threads === undefined ? {} : { threads });
}

/** Joins rows, one after another. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Joins products `[n, queries]` for parts of the samples to `[queries, samples]`. */
export function besides(
  parts: readonly { readonly from: number; readonly numbers: Float32Array }[],
  queries: number,
  samples: number,
): Table {
  const table = new Table(queries, samples);
  for (const { from, numbers } of parts)
    for (let k = 0; k < numbers.length; k++)
      table.data[(k % queries) * samples + from + Math.floor(k / queries)] = numbers[k] ?? 0;
  return table;
}
