/** Random cases of the layers that carry a state through time. */
import fc from "fast-check";
import { anywhere, filled, type OpInput } from "./op-checks.js";
import type { Cases } from "./op-suite.js";

const pick = fc.constantFrom;
const upTo = (max: number, min = 0) => fc.integer({ min, max });
const orNot = (use: boolean, input: OpInput): OpInput | null => (use ? input : null);
const lists = (length: number) => fc.array(fc.boolean(), { minLength: length, maxLength: length });

const causalCases: Cases = fc
  .tuple(upTo(2, 1), upTo(2, 1), upTo(4, 1), upTo(3, 1), lists(2), pick("none", "silu", "swish", undefined), upTo(2, 1))
  .chain(([batch, channels, length, kernel, [biased = false, carried = false], activation, outputs]) =>
    fc
      .tuple(
        filled([batch, channels, length]),
        filled([channels, 1, kernel], anywhere, { shared: true }),
        filled([channels], anywhere, { shared: true }),
        filled([batch, channels, kernel - 1]),
      )
      .map(([x, weight, bias, past]) => ({
        op: "CausalConvWithState",
        inputs: [x, weight, orNot(biased, bias), orNot(carried && kernel > 1, past)],
        attributes: activation ? { activation } : {},
        outputs,
      })),
  );

/** All four rules, heads that share keys, decays by head and by element of a key. */
const attentionCases: Cases = fc
  .tuple(
    fc.tuple(upTo(2, 1), upTo(3, 1), upTo(2, 1), upTo(2, 1), upTo(2, 1), upTo(2, 1)),
    pick("linear", "gated", "delta", "gated_delta", undefined),
    lists(3),
    pick(0, 0.5, undefined),
  )
  .chain(([[batch, steps, heads, shared, wide, deep], rule, [byKey, oneBeta, carried], scale]) => {
    const kind = rule ?? "gated_delta";
    const small = anywhere.map((x) => 0.4 * x);
    return fc
      .tuple(
        filled([batch, steps, heads * shared * wide], small),
        filled([batch, steps, heads * wide], small),
        filled([batch, steps, heads * deep], small),
        filled([batch, heads, wide, deep], small),
        filled([batch, steps, byKey ? heads * wide : heads], small),
        filled([batch, steps, oneBeta ? 1 : heads], small),
      )
      .map(([q, k, v, state, decay, beta]) => ({
        op: "LinearAttention",
        inputs: [
          q,
          k,
          v,
          orNot(carried === true, state),
          orNot(kind.startsWith("gated"), decay),
          orNot(kind.endsWith("delta"), beta),
        ],
        attributes: {
          q_num_heads: heads * shared,
          kv_num_heads: heads,
          ...(rule ? { update_rule: rule } : {}),
          ...(scale === undefined ? {} : { scale }),
        },
        outputs: 2,
      }));
  });

/** By operator. */
export const stateTable: Record<string, Cases> = { CausalConvWithState: causalCases, LinearAttention: attentionCases };
