/** Random LSTM, GRU and RNN nodes. */
import fc from "fast-check";
import type { Attributes } from "../../src/graph/value.js";
import { filled, type OpCase, type OpInput } from "./op-checks.js";

export type Kind = "LSTM" | "GRU" | "RNN";

export const gates: Readonly<Record<Kind, number>> = { LSTM: 4, GRU: 3, RNN: 1 };
const functions: Readonly<Record<Kind, number>> = { LSTM: 3, GRU: 2, RNN: 1 };

export const smooth = ["Sigmoid", "Tanh", "Affine", "ScaledTanh", "Softplus"];
/** Their derivative, or the one after it, jumps: at 0, or where they saturate. */
export const kinked = ["Relu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "Elu", "Softsign"];

export interface Choices {
  readonly activations: readonly string[];
  /** Bounds for what goes into activations. */
  readonly clip?: boolean;
  /** Numbers of steps; 1 to 3 unless given. */
  readonly steps?: fc.Arbitrary<number>;
  readonly shortest?: number;
}

const small = fc.integer({ min: -40, max: 40 }).map((i) => i * 0.031 + 0.0137);
const upTo = (max: number, min = 1) => fc.integer({ min, max });
const maybe = <T>(make: fc.Arbitrary<T>) => fc.option(make, { nil: null });

interface Sizes {
  readonly steps: number;
  readonly samples: number;
  readonly inputs: number;
  readonly hidden: number;
  readonly direction: string;
  readonly layout: number;
}

/** Some activations in place of the usual ones, with parameters for the first few that take one. */
function activationsFor(kind: Kind, directions: number, names: readonly string[]): fc.Arbitrary<Attributes> {
  const size = functions[kind] * directions;
  const chosen = fc.record({
    activations: fc.array(fc.constantFrom(...names), { minLength: size, maxLength: size }),
    activation_alpha: fc.array(fc.constantFrom(0.3, 0.7, 1.1), { maxLength: size }),
    activation_beta: fc.array(fc.constantFrom(0.4, 0.9), { maxLength: size }),
  });
  return chosen.map(({ activations, activation_alpha, activation_beta }) => ({
    activations,
    ...(activation_alpha.length > 0 ? { activation_alpha } : {}),
    ...(activation_beta.length > 0 ? { activation_beta } : {}),
  }));
}

function inputsFor(kind: Kind, sizes: Sizes, shortest: number): fc.Arbitrary<(OpInput | null)[]> {
  const { steps, samples, inputs, hidden, direction, layout } = sizes;
  const directions = direction === "bidirectional" ? 2 : 1;
  const rows = gates[kind] * hidden;
  const shared = { shared: true };
  const state = layout === 1 ? [samples, directions, hidden] : [directions, samples, hidden];
  const lengths = fc
    .array(upTo(steps, Math.min(shortest, steps)), { minLength: samples, maxLength: samples })
    .map((data): OpInput => ({ dims: [samples], data, dtype: "int32" }));
  const others =
    kind === "LSTM" ? [maybe(filled(state, small)), maybe(filled([directions, 3 * hidden], small, shared))] : [];
  return fc
    .tuple(
      filled(layout === 1 ? [samples, steps, inputs] : [steps, samples, inputs], small),
      filled([directions, rows, inputs], small, shared),
      filled([directions, rows, hidden], small, shared),
      maybe(filled([directions, 2 * rows], small, shared)),
      maybe(lengths),
      maybe(filled(state, small)),
      ...others,
    )
    .map((all: (OpInput | null)[]) => {
      const list = [...all];
      while (list.at(-1) === null) list.pop();
      return list;
    });
}

export function recurrentCases(kind: Kind, choices: Choices): fc.Arbitrary<OpCase> {
  const { activations, clip = false, steps = upTo(3), shortest = 0 } = choices;
  return fc
    .record({
      steps,
      samples: upTo(2),
      inputs: upTo(2),
      hidden: upTo(2),
      direction: fc.constantFrom("forward", "reverse", "bidirectional"),
      layout: fc.nat(1),
    })
    .chain((sizes) => {
      const directions = sizes.direction === "bidirectional" ? 2 : 1;
      const flag = fc.nat(1);
      const options = fc.record({
        own: maybe(activationsFor(kind, directions, activations)),
        bound: clip ? maybe(fc.constantFrom(0.4, 0.9)) : fc.constant(null),
        coupled: flag,
        outputs: upTo(kind === "LSTM" ? 3 : 2),
      });
      return fc.tuple(inputsFor(kind, sizes, shortest), options).map(([inputs, { own, bound, coupled, outputs }]) => ({
        op: kind,
        inputs,
        attributes: {
          hidden_size: sizes.hidden,
          direction: sizes.direction,
          ...(sizes.layout === 1 ? { layout: 1 } : {}),
          ...(own ?? {}),
          ...(bound ? { clip: bound } : {}),
          ...(kind === "LSTM" && coupled ? { input_forget: 1 } : {}),
          ...(kind === "GRU" && coupled ? { linear_before_reset: 1 } : {}),
        },
        outputs,
      }));
    });
}
