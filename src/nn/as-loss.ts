/** Losses as callers give them: made by `losses`, named, or functions of their own. */
import { invalidArgument, isPromise, kindOf } from "../arguments.js";
import { nearest } from "../meant.js";
import type { Loss, LossFunction } from "./loss.js";
import { type CrossEntropyOptions, custom, losses } from "./losses.js";

type Maker = (options: CrossEntropyOptions) => Loss;

const makers = {
  cross_entropy: losses.crossEntropy,
  nll: losses.nll,
  mse: () => losses.mse(),
  l1: () => losses.l1(),
  smooth_l1: () => losses.smoothL1(),
  huber: () => losses.huber(),
  bce: () => losses.bce(),
  bce_with_logits: () => losses.bceWithLogits(),
} as const satisfies Readonly<Record<string, Maker>>;

/** The name, as on the command line, of a loss with its default options. */
export type LossName = keyof typeof makers | "output" | `output:${string}`;

export type NamedLoss = keyof typeof makers;

export const namedLosses = Object.keys(makers) as readonly NamedLoss[];

/** The names of losses, for messages. */
export const lossNames = `${namedLosses.join(", ")}, output or output:NAME`;

/** The loss that `text` names, in any spelling ("crossEntropy", "cross-entropy"). */
export function lossNameOf(text: string): NamedLoss | undefined {
  const snake = text
    .replaceAll(/(?<=[a-z\d])(?=[A-Z])/g, "_")
    .toLowerCase()
    .replaceAll("-", "_");
  return namedLosses.find((name) => name === snake);
}

export function lossNamed(name: NamedLoss, options: CrossEntropyOptions = {}): Loss {
  return makers[name](options);
}

/** Throws INVALID_ARGUMENT. */
export function asLoss(given: Loss | LossFunction | LossName): Loss {
  const loss: unknown = given;
  if (typeof given === "string") return byName(given);
  const uncalled = Object.entries(losses).find(([, maker]) => maker === loss)?.[0];
  if (uncalled !== undefined)
    throw invalidArgument(`The loss is the function losses.${uncalled} itself; call it: losses.${uncalled}().`);
  if (typeof given === "function") return custom(given);
  if (typeof loss === "object" && loss !== null && "apply" in loss && "target" in loss) return given;
  const advice = isPromise(loss)
    ? "await it"
    : 'give one of losses, such as losses.crossEntropy(), or its name, "cross_entropy"';
  throw invalidArgument(
    loss === undefined || loss === null
      ? `The loss is missing; ${advice}.`
      : `The loss cannot be ${kindOf(loss)}; ${advice}.`,
  );
}

function byName(text: string): Loss {
  if (text === "output") return losses.output();
  if (/^output:./s.test(text)) return losses.output(text.slice("output:".length));
  const name = lossNameOf(text);
  if (name) return lossNamed(name);
  const near = nearest(text, namedLosses);
  throw invalidArgument(
    `There is no loss "${text}"; ${near === undefined ? `the losses are ${lossNames}.` : `did you mean "${near}"?`}`,
  );
}
