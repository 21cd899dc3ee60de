/**
 * Integers that grow by the number of samples: q * N in the place q * N + n, if the samples are behind another axis.
 */

import { isBatch } from "../../../graph/dim.js";
import { nodeOf, type Value } from "../../../graph/value.js";
import { build } from "../../../ops/registry.js";
import { present } from "../../../present.js";

/** A value that is `number` times `round` times the number of samples, plus `rest` (null: 0). */
export interface Rounds {
  readonly number: Value;
  readonly round: number;
  readonly rest: Value | null;
}

/** Null if the value holds no multiple of the number of samples, or one that is not understood. */
export function roundsOf(value: Value): Rounds | null {
  const node = nodeOf(value);
  if (node?.domain !== "") return null;
  const [first, second] = node.inputs;
  if (!first) return null;
  switch (node.op) {
    case "Identity":
      return roundsOf(first);
    case "Cast":
      return value.dtype === "int64" || value.dtype === "int32" ? castTo(roundsOf(first), value) : null;
    case "Mul":
      return product(first, present(second)) ?? product(present(second), first);
    case "Add":
      return added(first, present(second)) ?? added(present(second), first);
    default:
      return null;
  }
}

/** The number of rounds, times a size that is a multiple of the number of samples. */
function product(number: Value, size: Value): Rounds | null {
  const [round] = size.known ?? [];
  const alike = size.known?.every((dim) => isBatch(dim) && isBatch(round) && dim.perSample === round.perSample);
  return isBatch(round) && alike ? { number, round: round.perSample, rest: null } : null;
}

function added(a: Value, b: Value): Rounds | null {
  const rounds = roundsOf(a);
  if (!rounds || roundsOf(b)) return null;
  return { ...rounds, rest: rounds.rest ? build.add(rounds.rest, b) : b };
}

function castTo(rounds: Rounds | null, { dtype }: Value): Rounds | null {
  if (!rounds) return null;
  return { ...rounds, number: build.cast(rounds.number, dtype), rest: rounds.rest && build.cast(rounds.rest, dtype) };
}
