/** Losses by their names on the command line. */
import { InvalidArgumentError } from "commander";
import { nearest } from "../meant.js";
import { lossNamed, lossNameOf, lossNames, namedLosses } from "../nn/as-loss.js";
import { type Loss, losses } from "../nn/losses.js";
import { UsageError } from "./usage.js";

export interface LossOptions {
  readonly loss: string;
  readonly labelSmoothing?: number;
  readonly ignoreIndex?: number;
  readonly classAxis?: number;
  readonly output?: string;
}

/** Checks the name of a loss, which may be written with hyphens. */
export function lossName(text: string): string {
  if (text === "output" || /^output:./s.test(text)) return text;
  const name = lossNameOf(text);
  if (name) return name;
  const near = nearest(text, namedLosses);
  throw new InvalidArgumentError(`the losses are ${lossNames}${near === undefined ? "" : ` (Did you mean ${near}?)`}`);
}

/** The loss, and the output that it reads, if one is named. Throws UsageError. */
export function lossOf(options: LossOptions): { readonly loss: Loss; readonly output?: string } {
  const { loss: name, labelSmoothing, ignoreIndex, classAxis, output } = options;
  if (labelSmoothing !== undefined && name !== "cross_entropy") {
    throw new UsageError(`--label-smoothing is for --loss cross_entropy, not for ${name}; leave it out.`);
  }
  for (const [flag, value] of Object.entries({ "--ignore-index": ignoreIndex, "--class-axis": classAxis })) {
    if (value === undefined || name === "cross_entropy" || name === "nll") continue;
    throw new UsageError(`${flag} is for --loss cross_entropy or nll, not for ${name}; leave it out.`);
  }
  if (!name.startsWith("output")) {
    const named = lossNameOf(name);
    if (!named) throw new UsageError(`There is no loss ${name}; the losses are ${lossNames}.`);
    const tuning = {
      ...(labelSmoothing === undefined ? {} : { labelSmoothing }),
      ...(ignoreIndex === undefined ? {} : { ignoreIndex }),
      ...(classAxis === undefined ? {} : { classAxis }),
    };
    return { loss: lossNamed(named, tuning), ...(output === undefined ? {} : { output }) };
  }
  const named = name === "output" ? output : name.slice("output:".length);
  if (output !== undefined && output !== named) {
    throw new UsageError(`--loss ${name} and --output ${output} name different outputs; leave out --output.`);
  }
  return { loss: losses.output(named), ...(named === undefined ? {} : { output: named }) };
}
