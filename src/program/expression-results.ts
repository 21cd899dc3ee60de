/** Results of compiled expressions that are not finite, or that hide a NaN. */

import { unseenBefore } from "../analysis/hidden-nan.js";
import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import { PergradError } from "../errors.js";
import { isBatch, type Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { listed } from "../meant.js";
import { build } from "../ops/registry.js";
import { entryOf, nth } from "../present.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { mostNamed } from "./describe-not-finite.js";
import { warn } from "./environment.js";
import { firstNotFinite } from "./feeds.js";

/** A result that is not finite. */
export interface NotFiniteResult {
  /** Its name, as it was given to `compile`. */
  readonly name: string;
  /** The samples, from 0, along the result's axis N; null if it has no such axis, or if the samples are not known. */
  readonly samples: readonly number[] | null;
  /** The result may be finite, but was computed from a NaN that a maximum, a comparison or a conversion hides. */
  readonly hidden?: true;
}

/** What `onNotFinite` is called with for compiled expressions. */
export interface NotFiniteResults {
  /** The results, in the order in which they were given to `compile`. */
  readonly results: readonly NotFiniteResult[];
  /** The same as a sentence. */
  readonly message: string;
}

/** What `run` of compiled expressions does where a result is not finite. */
export interface ExpressionOptions {
  /**
   * What to do if a result is NaN or infinite, or hides a NaN: "warn", once for each `compile`, by a process warning or in
   * the console; "throw" NOT_FINITE; "ignore" it. Default "warn"; with `onNotFinite`, which is called anyway, "ignore".
   */
  readonly notFinite?: "warn" | "throw" | "ignore";
  /** Called after each run that has such results. Default: no call. */
  readonly onNotFinite?: (found: NotFiniteResults) => void;
}

const names: OptionNames<ExpressionOptions> = { notFinite: true, onNotFinite: true };

/** Throws INVALID_ARGUMENT. */
export function checkExpressionOptions(options: ExpressionOptions): void {
  checkOptions("run(data, options)", options, names);
  const { notFinite, onNotFinite } = options;
  if (notFinite !== undefined && !["warn", "throw", "ignore"].includes(notFinite))
    throw invalidArgument(
      `notFinite of a compiled expression is ${kindOf(notFinite)}; it must be "warn", "throw" or "ignore".`,
    );
  if (onNotFinite !== undefined && typeof onNotFinite !== "function")
    throw invalidArgument("onNotFinite must be a function.");
}

/** The number of NaN in a value that results may hide: for each sample, `[N]`, or in all, `[]`. */
interface Count {
  readonly value: Value;
  /** The results that depend on it. */
  readonly results: readonly string[];
}

/** Looks for results of compiled expressions that are not finite. */
export class ResultsWatch {
  #warned = false;

  private constructor(
    private readonly shapes: ReadonlyMap<string, Shape>,
    private readonly counts: readonly Count[],
  ) {}

  /** @param outputs the traced results by name */
  static of(outputs: ReadonlyMap<string, Value>): ResultsWatch {
    const before = new Map([...outputs].map(([name, value]) => [name, new Set(unseenBefore([value]))]));
    const hidden = new Set([...before.values()].flatMap((values) => [...values]));
    const counts = [...hidden].map((value) => ({
      value: numberOfNaN(value),
      results: [...before].flatMap(([name, values]) => (values.has(value) ? [name] : [])),
    }));
    return new ResultsWatch(new Map([...outputs].map(([name, { shape }]) => [name, shape])), counts);
  }

  /** Counts of NaN, to be computed together with the results. */
  get added(): Value[] {
    return this.counts.map(({ value }) => value);
  }

  /** @param counted what was computed of `added` */
  find(results: Readonly<Record<string, Tensor>>, counted: readonly Tensor[]): NotFiniteResult[] {
    return [...this.shapes].flatMap(([name, shape]) => {
      const result = entryOf(results, name);
      if (holdsNotFinite(result)) return [{ name, samples: samplesWith(result, shape) }];
      const hidden = counted.filter(
        ({ data }, k) => this.counts[k]?.results.includes(name) && data.some((n: number | bigint) => Number(n) !== 0),
      );
      return hidden.length === 0 ? [] : [{ name, samples: samplesOf(hidden), hidden: true as const }];
    });
  }

  /** Reports to the user as the options say. Throws NOT_FINITE if they ask for it. */
  report(results: readonly NotFiniteResult[], { notFinite, onNotFinite }: ExpressionOptions): void {
    if (results.length === 0) return;
    const message = described(results);
    onNotFinite?.({ results, message });
    if (notFinite === "throw")
      throw new PergradError("NOT_FINITE", `${message.slice(0, -1)}; look for an overflow or a division by 0.`);
    if (notFinite === "ignore" || onNotFinite !== undefined || this.#warned) return;
    this.#warned = true;
    const advice = "run takes notFinite and onNotFinite to throw, to be told of each run, or to ignore it";
    warn(`${message} These expressions warn no more: ${advice}.`, "NOT_FINITE");
  }
}

/** The axis that holds the samples and nothing else; undefined if there is none. */
function sampleAxisOf(shape: Shape): number | undefined {
  const axes = shape.flatMap((dim, axis) => (isBatch(dim) ? [axis] : []));
  const [axis] = axes;
  const dim = axis === undefined ? undefined : shape[axis];
  return axes.length === 1 && dim !== undefined && isBatch(dim) && dim.perSample === 1 ? axis : undefined;
}

function numberOfNaN(value: Value): Value {
  const axis = sampleAxisOf(value.shape);
  const others = value.shape.flatMap((_, k) => (k === axis ? [] : [k]));
  const tests = build.cast(build.op("IsNaN", [value]), "float32");
  return others.length === 0 ? tests : build.sum(tests, others);
}

function isNotFinite({ dtype, data }: Tensor, at: number): boolean {
  if (dtype === "float16") return ((data[at] as number) & 0x7c00) === 0x7c00;
  return !Number.isFinite(data[at]);
}

function holdsNotFinite(tensor: Tensor): boolean {
  if (tensor.dtype === "float16") return [...tensor.data.keys()].some((at) => isNotFinite(tensor, at));
  return firstNotFinite(tensor, null) >= 0;
}

function samplesWith(tensor: Tensor, shape: Shape): number[] | null {
  const axis = sampleAxisOf(shape);
  if (axis === undefined) return null;
  const behind = sizeOf(tensor.dims.slice(axis + 1));
  const samples = new Set<number>();
  for (let at = 0; at < tensor.data.length; at++)
    if (isNotFinite(tensor, at)) samples.add(Math.floor(at / behind) % nth(tensor.dims, axis));
  return [...samples].sort((a, b) => a - b);
}

/** @param counts numbers of NaN, `[N]` or `[]`, some of them not 0 */
function samplesOf(counts: readonly Tensor[]): number[] | null {
  if (counts.some(({ dims }) => dims.length === 0)) return null;
  const samples = counts.flatMap(({ data }) => [...data.keys()].filter((n) => Number(data[n]) !== 0));
  return [...new Set(samples)].sort((a, b) => a - b);
}

function described(results: readonly NotFiniteResult[]): string {
  const say = (some: readonly NotFiniteResult[], one: string, several: string) => {
    if (some.length === 0) return [];
    const which = `The ${some.length === 1 ? "result" : "results"} ${listed(
      some.map(({ name }) => `"${name}"`),
      mostNamed,
    )}`;
    const samples = [...new Set(some.flatMap((each) => each.samples ?? []))].sort((a, b) => a - b);
    const where =
      samples.length === 0 ? "" : ` (${samples.length === 1 ? "sample" : "samples"} ${listed(samples, mostNamed)})`;
    return [`${which}${where} ${some.length === 1 ? one : several}.`];
  };
  const open = results.filter(({ hidden }) => !hidden);
  const hidden = results.filter((each) => each.hidden);
  const why = "computed of a NaN that a maximum, a comparison or a conversion hides";
  return [
    ...say(open, "is not finite", "are not finite"),
    ...say(hidden, `means nothing: it was ${why}`, `mean nothing: they were ${why}`),
  ].join(" ");
}
