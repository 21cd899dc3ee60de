/** The sizes of an LSTM, GRU or RNN, from its shapes: T steps, N samples, H hidden, D directions. */

import { type Dim, isBatch, type Shape, sameDim, showShape } from "../../graph/dim.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Call } from "../call.js";
import { intAttribute, interaction, part, requireInput, shapeMismatch, stringAttribute } from "../checks.js";

export type Kind = "LSTM" | "GRU" | "RNN";

export const gatesOf: Readonly<Record<Kind, number>> = { LSTM: 4, GRU: 3, RNN: 1 };

export interface RecurrentSizes {
  readonly steps: number;
  readonly samples: Dim;
  readonly hidden: number;
  readonly directions: number;
  /** `[N, T, ...]` instead of `[T, N, ...]`. */
  readonly samplesFirst: boolean;
}

export function recurrentSizes(call: Call | Node, kind: Kind): RecurrentSizes {
  const [x, w, r] = leadingOf(
    [0, 1, 2].map((k) => requireInput(call, k)),
    3,
  );
  const samplesFirst = intAttribute(call, "layout", 0) === 1;
  const directions = stringAttribute(call, "direction", "forward") === "bidirectional" ? 2 : 1;
  const hidden = r.shape[2];
  if (x.shape.length !== 3 || w.shape.length !== 3 || r.shape.length !== 3 || hidden === undefined || isBatch(hidden)) {
    throw shapeMismatch(
      call,
      `takes X, W and R of 3 axes each, not ${[x, w, r].map(({ shape }) => showShape(shape)).join(", ")}`,
    );
  }
  const [samples, steps] = samplesFirst ? [x.shape[0], x.shape[1]] : [x.shape[1], x.shape[0]];
  if (isBatch(steps)) throw interaction(call, "steps from sample to sample");
  const rows = gatesOf[kind] * hidden;
  const expected: [Value, Shape][] = [
    [w, [directions, rows, nth(x.shape, 2)]],
    [r, [directions, rows, hidden]],
    ...optional(call, 3, [directions, 2 * rows]),
    ...optional(call, 4, [present(samples)]),
    ...optional(
      call,
      5,
      samplesFirst ? [present(samples), directions, hidden] : [directions, present(samples), hidden],
    ),
    ...optional(
      call,
      6,
      samplesFirst ? [present(samples), directions, hidden] : [directions, present(samples), hidden],
    ),
    ...optional(call, 7, [directions, 3 * hidden]),
  ];
  for (const [value, shape] of expected) {
    const fits =
      value.shape.length === shape.length && value.shape.every((dim, axis) => sameDim(dim, nth(shape, axis)));
    if (!fits)
      throw shapeMismatch(part(call, `input "${value.name}"`), `is ${showShape(value.shape)}, not ${showShape(shape)}`);
  }
  return { steps: present(steps), samples: present(samples), hidden, directions, samplesFirst };
}

function optional(call: Call | Node, index: number, shape: Shape): [Value, Shape][] {
  const value = call.inputs[index];
  return value ? [[value, shape]] : [];
}

export function isRecurrentKind(op: string): op is Kind {
  return Object.hasOwn(gatesOf, op);
}
