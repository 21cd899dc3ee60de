/**
 * Finds non-finite gradients of data that may be finite. Sums are checked themselves. For larger results one number per
 * sample is enough: a sample's gradients are all finite if their norm is, or if the squares of their factors have a
 * finite sum, since by Cauchy and Schwarz no element of a product exceeds half of that sum. Results are checked one by
 * one only if that number is not finite.
 */

import { isSummed, nameInWant, type Output } from "../compile/joining.js";
import { hiddenNaN, type Watch } from "../compile/watch.js";
import { PergradError } from "../errors.js";
import { areFinite } from "../tensor/finite.js";
import { takeSamples } from "../tensor/take-samples.js";
import { floatsIn, isFloat, type Tensor } from "../tensor/tensor.js";
import type { Returned, Wants } from "../wants/want.js";
import type { NotFiniteOptions, NotFiniteSample } from "./describe-not-finite.js";

export type { NotFinite, NotFiniteOptions, NotFiniteSample } from "./describe-not-finite.js";

/** The same samples with other numbers. */
export function renumbered(
  samples: readonly NotFiniteSample[],
  numberOf: (sample: number) => number,
): NotFiniteSample[] {
  return samples.map((each) => (typeof each.sample === "number" ? { ...each, sample: numberOf(each.sample) } : each));
}

function allFinite({ dtype, data }: Tensor, bound = Number.MAX_VALUE): boolean {
  if (dtype === "float16") return (data as Uint16Array).every((bits) => (bits & 0x7c00) !== 0x7c00);
  if (!isFloat(dtype)) return true;
  const floats = floatsIn({ data });
  return areFinite(floats) && (bound === Number.MAX_VALUE || floats.every((x) => Math.abs(x) <= bound));
}

/** Checks a program's results. */
export class Watched {
  constructor(
    private readonly watch: Watch | undefined,
    private readonly wants: Wants,
    private readonly outputs: readonly Output[],
    private readonly parameters: ReadonlySet<string>,
  ) {}

  /**
   * The samples of a batch whose results are not finite. Costs next to nothing if all are.
   * @param finite names of results that are known to be finite
   */
  find(returned: Returned, samples: number, finite: ReadonlySet<string> = new Set()): NotFiniteSample[] {
    const losses = this.#losses(returned);
    const watched = this.watch && returned[this.watch.name];
    const open = this.#ofGradients().filter(({ name }) => !finite.has(name));
    const looked = watched ? losses : [...losses, ...open.flatMap(({ name }) => returned[name] ?? [])];
    const fine = (!watched || allFinite(watched, this.watch.bound)) && looked.every((each) => allFinite(each));
    const found = fine ? [] : this.#look(returned, watched, losses, samples);
    const hidden = returned[hiddenNaN];
    return hidden?.data.some((count: number | bigint) => count !== 0) ? withHidden(found, hidden) : found;
  }

  /** @param overflowed results that became non-finite only when those of several parts were added up */
  together(overflowed: readonly string[]): NotFiniteSample[] {
    const own = this.#summed().filter(({ name }) => overflowed.includes(name));
    const parameters = [...new Set(own.flatMap((output) => this.#parameterOf(output)))];
    return own.length === 0 ? [] : [{ sample: "together", loss: false, parameters }];
  }

  /** Sums and means that are not finite. */
  #spoilt(returned: Returned): Output[] {
    return this.#summed().filter(({ name }) => returned[name] && !allFinite(returned[name]));
  }

  /** The parameter that a result is for, by the names that wants use. */
  #parameterOf(output: Output): string[] {
    // The parameter's name may have others before and behind it: "sum/w", "layers/w/A".
    const parts = nameInWant(output).split("/");
    const within = parts.flatMap((_, from) => parts.map((_, k) => parts.slice(from, parts.length - k).join("/")));
    return within.filter((each) => this.parameters.has(each)).slice(0, 1);
  }

  #losses(returned: Returned): Tensor[] {
    const own = this.outputs.filter(({ want }) => this.wants[want]?.holds === "losses");
    return own.flatMap(({ name }) => returned[name] ?? []);
  }

  #summed(): Output[] {
    return this.#ofGradients().filter(({ joining }) => isSummed(joining) || joining.kind === "whole");
  }

  /** The outputs computed from gradients. */
  #ofGradients(): Output[] {
    return this.outputs.filter((output) => {
      const want = this.wants[output.want];
      return want !== undefined && want.holds === undefined;
    });
  }

  #look(
    returned: Returned,
    watched: Tensor | undefined,
    losses: readonly Tensor[],
    samples: number,
  ): NotFiniteSample[] {
    const spoilt = this.#spoilt(returned);
    const perSample = this.#ofGradients().flatMap((output) => {
      const tensor = returned[output.name];
      const { joining } = output;
      return tensor && joining.kind === "samples" ? [{ output, tensor, axis: joining.at.axis }] : [];
    });
    // Results that spread what is not finite do not show which parameter is at fault.
    const isTelling = ({ want }: Output) => !this.wants[want]?.spreads;
    const telling = spoilt.filter(isTelling);
    const parametersOf = (outputs: readonly Output[]) => [
      ...new Set(outputs.flatMap((output) => this.#parameterOf(output))),
    ];
    const within = ({ data }: Tensor, n: number, bound = Number.MAX_VALUE) => Math.abs(Number(data[n])) <= bound;
    const found: NotFiniteSample[] = [];
    for (let n = 0; n < samples; n++) {
      const loss = losses.some((each) => !within(each, n));
      const suspect = loss || !watched || !within(watched, n, this.watch?.bound);
      if (!suspect) continue;
      const wrong = perSample.filter(({ tensor, axis }) => !allFinite(takeSamples(tensor, axis, n, n + 1)));
      // A watched number alone may be a false alarm: a square overflows before its root does.
      if (!loss && wrong.length === 0) continue;
      const own = parametersOf(wrong.map(({ output }) => output).filter(isTelling));
      found.push({ sample: n, loss, parameters: own.length > 0 ? own : parametersOf(telling) });
    }
    if (found.length > 0 || spoilt.length === 0) return found;
    // If something is watched, each sample's own results would have shown it.
    return [{ sample: watched ? "together" : null, loss: false, parameters: parametersOf(spoilt) }];
  }
}

/** @param counts the number of hidden NaN in each sample, `[N]` */
function withHidden(found: readonly NotFiniteSample[], { data }: Tensor): NotFiniteSample[] {
  const numbers = [...data.keys()].filter((n) => data[n] !== 0);
  const known = new Set(found.map(({ sample }) => sample));
  const all = found.map((each) => (numbers.some((n) => n === each.sample) ? { ...each, hidden: true as const } : each));
  const others = numbers.filter((n) => !known.has(n));
  return [...all, ...others.map((sample) => ({ sample, loss: false, hidden: true as const, parameters: [] }))];
}

/** Reports to the user as the options say. Throws NOT_FINITE if they ask for it. */
export class Reporter {
  #warned = false;

  /** Whether anything is reported. */
  listens({ notFinite, onNotFinite }: NotFiniteOptions): boolean {
    if (onNotFinite || notFinite === "throw" || notFinite === "leave out") return true;
    return notFinite !== "ignore" && !this.#warned;
  }

  async report(samples: readonly NotFiniteSample[], options: NotFiniteOptions): Promise<void> {
    if (samples.length === 0) return;
    const { tell } = await import("./describe-not-finite.js");
    this.#warned = tell(samples, options, this.#warned);
  }
}

/** Throws INVALID_ARGUMENT. */
export function checkNotFiniteOptions({ notFinite, onNotFinite }: NotFiniteOptions): void {
  if (notFinite !== undefined && !["warn", "throw", "leave out", "ignore"].includes(notFinite))
    throw new PergradError(
      "INVALID_ARGUMENT",
      `notFinite is ${JSON.stringify(notFinite)}; it must be "warn", "throw", "leave out" or "ignore".`,
    );
  if (onNotFinite !== undefined && typeof onNotFinite !== "function")
    throw new PergradError("INVALID_ARGUMENT", "onNotFinite must be a function.");
}
